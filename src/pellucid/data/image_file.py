"""One image file becomes an array of pixels: any size, any kind of colour, the right way up."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, get_args

import numpy as np

from pellucid.arrays import Array, Shape
from pellucid.errors import ConfigError, DataError
from pellucid.extra import need

#: what is read; others that Pillow knows (PostScript, for one) run programs or are no photographs
FORMATS = ("BMP", "GIF", "JPEG", "MPO", "PNG", "PPM", "TIFF", "WEBP")
#: how the names of such files end
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp")
#: more pixels than this are taken for an attack; Pillow warns from here on
MOST_PIXELS = 89_478_485

Resize = Literal["crop", "stretch", "pad"]


@dataclass(frozen=True)
class ImageForm:
    """What every image is made into.

    An image is turned as its EXIF orientation tells; transparent parts become white; 16 bits become the nearest 8; of
    several frames the first counts. Grey is 0.299 red + 0.587 green + 0.114 blue (ITU-R 601). Sizes change by linear
    interpolation over as much of the image as a new pixel covers.

    Attributes:
        size: (H, W), or None to leave the size as it is.
        grey: one channel instead of red, green and blue.
        resize: what becomes of an image of another shape: ``"crop"`` cuts off what sticks out on the longer side,
            equally at both ends; ``"stretch"`` distorts; ``"pad"`` puts black bars at both ends of the shorter side.

    Raises:
        ConfigError: a setting is out of range.
    """

    size: tuple[int, int] | None = None
    grey: bool = False
    resize: Resize = "crop"

    def __post_init__(self) -> None:
        if self.size is not None and not _is_size(self.size):
            raise ConfigError(f"the size of images must be (height, width), each at least 1, got {self.size!r}")
        if self.resize not in get_args(Resize):
            raise ConfigError(f"resize must be one of {', '.join(get_args(Resize))}, got {self.resize!r}")

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour."""
        return 1 if self.grey else 3

    @property
    def shape(self) -> Shape | None:
        """(C, H, W); None if every image keeps its size."""
        return None if self.size is None else (self.channels, *self.size)

    def read(self, path: Path) -> Array:
        """Return the pixels of a file, uint8 (C, H, W).

        Raises:
            DataError: it cannot be read, is no image, damaged, or has more than 89 million pixels.
            MissingExtraError: Pillow is not installed.
        """
        try:
            with path.open("rb") as file:
                return self.decode(file, str(path))
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror or error}") from error

    def decode(self, file: IO[bytes] | bytes, name: str) -> Array:
        """Return the pixels of an open file, or of its contents; ``name`` stands in the errors of :meth:`read`."""
        pillow = _pillow("PIL.Image")
        stream = io.BytesIO(file) if isinstance(file, bytes) else file
        pillow.init()
        try:
            with pillow.open(stream, formats=[kind for kind in FORMATS if kind in pillow.OPEN]) as image:
                return self._pixels(image, name)
        except (DataError, MemoryError):
            raise
        except _pillow("PIL").UnidentifiedImageError:
            raise DataError(
                f"{name} is not an image, or cut off in its first bytes; expected one of {', '.join(FORMATS)}. Remove "
                "it or replace it"
            ) from None
        except (pillow.DecompressionBombError, pillow.DecompressionBombWarning) as error:
            raise DataError(f"{name} is too large: {error}; scale it down") from error
        except Exception as error:  # a damaged file leads Pillow's decoders to raise nearly anything
            raise DataError(f"{name} cannot be decoded: {error}; it is cut off or damaged, replace it") from error

    def _pixels(self, image: Any, name: str) -> Array:
        if image.width * image.height > MOST_PIXELS:
            raise DataError(
                f"{name} is too large: {image.width}×{image.height} pixels, more than {MOST_PIXELS:,}; scale it down"
            )
        if self.size is not None:
            # A JPEG far too large is decoded at a half, a quarter or an eighth of its size, which takes less time.
            image.draft("L" if self.grey else "RGB", (2 * max(self.size),) * 2)
        upright = _pillow("PIL.ImageOps").exif_transpose(image)
        pixels = np.asarray(self._resized(self._eight_bits(upright, name)))
        return np.ascontiguousarray(pixels[None] if self.grey else pixels.transpose(2, 0, 1))

    def _eight_bits(self, image: Any, name: str) -> Any:
        """Return an opaque image of 8 bits a channel, in the colours asked for."""
        pillow = _pillow("PIL.Image")
        if image.mode == "F":
            raise DataError(f"{name} holds floating-point numbers; save it with 8 or 16 bits a channel")
        if image.mode.startswith("I"):
            deep = np.asarray(image).astype(np.int64)
            if deep.min() < 0 or deep.max() > 65535:
                raise DataError(f"{name} holds numbers of 32 bits; save it with 8 or 16 bits a channel")
            image = pillow.fromarray(((deep * 255 + 32767) // 65535).astype(np.uint8))
        elif image.has_transparency_data:
            coloured = image.convert("RGBA")
            image = pillow.alpha_composite(pillow.new("RGBA", image.size, "white"), coloured)
        return image.convert("L" if self.grey else "RGB")

    def _resized(self, image: Any) -> Any:
        if self.size is None or image.size == self.size[::-1]:
            return image
        linear = _pillow("PIL.Image").Resampling.BILINEAR
        height, width = self.size
        if self.resize == "crop":
            return _pillow("PIL.ImageOps").fit(image, (width, height), linear)
        if self.resize == "stretch":
            return image.resize((width, height), linear, reducing_gap=2.0)
        scale = min(width / image.width, height / image.height)
        inner = image.resize((max(1, round(scale * image.width)), max(1, round(scale * image.height))), linear)
        padded = _pillow("PIL.Image").new(image.mode, (width, height))
        padded.paste(inner, ((width - inner.width) // 2, (height - inner.height) // 2))
        return padded


def both_sides(image_size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """Return (H, W) of a size that may be told in one number."""
    return (image_size, image_size) if isinstance(image_size, int) else image_size


def _is_size(size: Any) -> bool:
    return isinstance(size, (tuple, list)) and [type(side) is int and side >= 1 for side in size] == [True, True]  # pyright: ignore


def _pillow(module: str) -> Any:
    return need(module, "image files are read with Pillow")
