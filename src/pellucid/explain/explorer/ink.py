"""A drawing is brought to where a data set's own drawings lie: a network knows digits of one size, in one place.

MNIST's digits, for one, were scaled to 20 pixels and centred by mass in 28; scikit-learn's fill their 8 from top to
bottom. Which it is, the images themselves tell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pellucid.arrays import Array

#: images that are looked at; the share of the brightest pixel from which a pixel is ink
_LOOKED_AT, _INK = 256, 0.3
#: share of the images whose border must be free of ink, and share of the border
_CLEAR = 0.8
#: how much a drawing may grow at most, as a share of what would shrink the whole canvas: a dot stays a dot
_SMALLEST = 0.4
#: pixels along the longer side of what is cut out of a drawing; a larger drawing is made coarser first
_WIDEST = 4096


@dataclass(frozen=True)
class Ink:
    """Where the drawings of a data set lie.

    Attributes:
        size: (H, W) of an image.
        side: the longer side of the box around the ink, in pixels; the median over images.
        centre: (row, column) of the middle, in pixels from the upper left corner; the mean over images.
        by_mass: whether the middle is that of the mass, which then varies less than that of the box.
    """

    size: tuple[int, int]
    side: float
    centre: tuple[float, float]
    by_mass: bool

    @classmethod
    def of(cls, images: Array) -> Ink | None:
        """Return where the ink of images (N, 1, H, W) lies; None unless they are bright drawings on dark ground."""
        numbers = images[:_LOOKED_AT, 0].astype(np.float64)
        if images.shape[1] != 1 or not len(numbers) or numbers.min() < 0:
            return None
        ink = [image > _INK * image.max() for image in numbers if image.max() > 0]
        if not ink or np.mean([_clear_border(mask) for mask in ink]) < _CLEAR:
            return None
        boxes = [_box(mask) for mask in ink]
        side = float(np.median([max(bottom - top, right - left) for top, bottom, left, right in boxes]))
        middles = [((top + bottom) / 2, (left + right) / 2) for top, bottom, left, right in boxes]
        masses = [_middle_of_mass(image) for image in numbers if image.max() > 0]
        by_mass = bool(np.std(masses, axis=0).sum() < np.std(middles, axis=0).sum())
        row, column = np.mean(masses if by_mass else middles, axis=0)
        return cls(numbers.shape[1:], side, (float(row), float(column)), by_mass)

    def frame(self, drawing: Array) -> Array:
        """Return the part of a grey drawing (h, w) that, shrunk to an image, has its ink where the data has it.

        Where it reaches beyond the drawing it is dark. A drawing without ink is returned as it is.
        """
        mask = drawing > _INK * 255
        if not mask.any():
            return drawing
        top, bottom, left, right = _box(mask)
        shrunk = min(n / own for n, own in zip(drawing.shape, self.size, strict=True))
        scale = max(max(bottom - top, right - left) / self.side, _SMALLEST * shrunk)
        row, column = _middle_of_mass(drawing) if self.by_mass else ((top + bottom) / 2, (left + right) / 2)
        height, width = (max(1, round(n * scale)) for n in self.size)
        if max(height, width) > _WIDEST:
            return self.frame(_coarser(drawing, -(-max(height, width) // _WIDEST)))
        above, before = round(row - self.centre[0] * scale), round(column - self.centre[1] * scale)
        found = np.zeros((height, width), drawing.dtype)
        rows, columns = (
            slice(max(start, 0), max(min(start + length, n), 0))
            for start, length, n in ((above, height, drawing.shape[0]), (before, width, drawing.shape[1]))
        )
        part = drawing[rows, columns]
        at = rows.start - above, columns.start - before
        found[at[0] : at[0] + part.shape[0], at[1] : at[1] + part.shape[1]] = part
        return found


def _coarser(drawing: Array, step: int) -> Array:
    """Return the brightest of every ``step × step`` pixels, so that thin strokes stay."""
    whole = np.pad(drawing, [(0, -n % step) for n in drawing.shape])
    height, width = (n // step for n in whole.shape)
    return whole.reshape(height, step, width, step).max(axis=(1, 3))


def _clear_border(mask: Array) -> bool:
    """Tell whether two opposite sides of an image are dark; the others are touched where a drawing fills its image."""
    left_and_right = np.concatenate([mask[:, 0], mask[:, -1]])
    top_and_bottom = np.concatenate([mask[0], mask[-1]])
    return min(left_and_right.mean(), top_and_bottom.mean()) < 1 - _CLEAR


def _box(mask: Array) -> tuple[int, int, int, int]:
    """Return top, bottom, left and right of what is true."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _middle_of_mass(image: Array) -> tuple[float, float]:
    mass = image.astype(np.float64)
    row = float(np.arange(len(mass)) @ mass.sum(axis=1) / mass.sum())
    column = float(np.arange(len(mass[0])) @ mass.sum(axis=0) / mass.sum())
    return row + 0.5, column + 0.5
