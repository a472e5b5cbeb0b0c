"""Augmentation: every time a sample is trained on, it looks a little different."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from pellucid.arrays import Array, Shape
from pellucid.description import Described
from pellucid.errors import ConfigError
from pellucid.philox import philox

#: stands in Philox's counter where dropout has the position of its layer: no graph is as long as that
PLACE = 2**32 - 1


@dataclass(frozen=True)
class Augmentation(Described):
    """Random crops, mirror images and cutouts, for ``network.fit(x, y, augment=Augmentation(padding=4, flip=True))``.

    Legend: x = a channel (H, W) of what the network sees, scaled and with the input mean taken off, and 0 wherever it
    is read outside; y = what it trains on; p = padding; n = cutout; a, b = the crop's place; r, s = the cutout's.

    The crop, with a and b drawn from −p … p, and where half of all samples are flipped, v′ = W − 1 − v, else v′ = v::

        y(u, v) = x(u + a, v′ + b)

    The cutout, with r drawn from 0 … H − 1 and s from 0 … W − 1, may reach over the edge::

        y(u, v) = 0    for r − ⌊n/2⌋ ≤ u < r − ⌊n/2⌋ + n  and  s − ⌊n/2⌋ ≤ v < s − ⌊n/2⌋ + n

    All channels of a sample share them. 0 comes after the mean is taken off, so what is filled in is the average pixel;
    without an ``input_mean`` it is black.

    What is drawn depends on the network's seed and step and on the sample's row in the data set, and on nothing else:
    not on the batch around it, the engine, or the number of threads. Words w of counter (0, row, 2³² − 1, step) tell
    a = ⌊w₀(2p + 1)/2³²⌋ − p, b likewise by w₁, and flipped if w₂ < 2³¹; those of (1, row, 2³² − 1, step) tell
    r = ⌊w₀H/2³²⌋ and s = ⌊w₁W/2³²⌋. ``native/kernels/augment.hpp`` draws the same.

    Args:
        padding: p, pixels by which a crop is moved at most; less than height and width.
        flip: whether half of the samples are mirrored, left to right.
        cutout: n, side of the square that is blanked; at most height and width.

    Raises:
        ConfigError: a setting is out of range.

    Source: He et al. 2015, Deep Residual Learning, §4.2 (crop and flip); DeVries & Taylor 2017, Improved Regularization
        of Convolutional Neural Networks with Cutout, §3.2; the random words, see :mod:`pellucid.philox`.
    """

    padding: int = 0
    flip: bool = False
    cutout: int = 0

    def __post_init__(self) -> None:
        for name in ("padding", "cutout"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
                raise ConfigError(f"Augmentation: {name} must be a whole number of at least 0, got {value!r}")
            object.__setattr__(self, name, int(cast("int", value)))
        if not isinstance(self.flip, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"Augmentation: flip must be True or False, got {self.flip!r}")

    def check(self, input_shape: Shape) -> None:
        """Raise :class:`ConfigError` unless samples of that shape are images large enough."""
        if len(input_shape) != 3:
            raise ConfigError(f"{self!r} is for images (C, H, W); the network's input has shape {input_shape}")
        _, height, width = input_shape
        if self.padding >= min(height, width):
            raise ConfigError(
                f"{self!r} could move images of {height}×{width} pixels out of sight; padding must be less than "
                f"{min(height, width)}"
            )
        if self.cutout > min(height, width):
            raise ConfigError(
                f"{self!r} could blank images of {height}×{width} pixels; cutout must be at most {min(height, width)}"
            )

    def apply(self, x: Array, rows: Array, seed: int, step: int) -> Array:
        """Return y for samples x, a new array.

        Args:
            x: (N, C, H, W), scaled and with the mean taken off.
            rows: (N,), their rows in the data set.
            seed, step: of the network.
        """
        height, width = x.shape[2:]
        crop, place = self._words(0, rows, seed, step), self._words(1, rows, seed, step)
        y = self._crop(x, _number(crop[0], 2 * self.padding + 1), _number(crop[1], 2 * self.padding + 1))
        if self.flip:
            y = np.where((crop[2] < 2**31)[:, None, None, None], y[..., ::-1], y)
        if self.cutout:
            rows_cut = self._cut(_number(place[0], height), height)
            columns_cut = self._cut(_number(place[1], width), width)
            y = np.where(rows_cut[:, None, :, None] & columns_cut[:, None, None, :], x.dtype.type(0), y)
        return y

    def native(self) -> dict[str, int]:
        """Return the fields of ``Augmentation`` in native/program.hpp."""
        return {"padding": self.padding, "flip": self.flip, "cutout": self.cutout}

    def _crop(self, x: Array, down: Array, across: Array) -> Array:
        """Return x(u + a, v + b) with down = a + p and across = b + p, (N,)."""
        edge = (self.padding, self.padding)
        padded = np.pad(x, ((0, 0), (0, 0), edge, edge))
        windows = np.lib.stride_tricks.sliding_window_view(padded, x.shape[2:], axis=(2, 3))
        return windows[np.arange(len(x)), :, down, across]

    def _cut(self, centre: Array, length: int) -> Array:
        """Tell for each sample which rows, or columns, are in the square, (N, length)."""
        from_centre = np.arange(length) - centre[:, None] + self.cutout // 2
        return (from_centre >= 0) & (from_centre < self.cutout)

    @staticmethod
    def _words(group: int, rows: Array, seed: int, step: int) -> tuple[Array, Array, Array, Array]:
        fixed = [np.array(word, np.uint64) for word in (group, PLACE, step % 2**32)]
        row = rows.astype(np.uint64) % 2**32
        return philox((fixed[0], row, fixed[1], fixed[2]), (seed % 2**32, (seed >> 32) % 2**32))


def _number(word: Array, count: int) -> Array:
    """Return a whole number from 0 to count − 1 for each word below 2³²."""
    return (word * np.uint64(count) >> np.uint64(32)).astype(np.int64)
