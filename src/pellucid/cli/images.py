"""Images from the files that are given on the command line."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from pellucid.errors import DataError

if TYPE_CHECKING:
    from pellucid.arrays import Array, Shape

#: first bytes of the files
_NPY, _ZIP, _IDX, _GZIP = b"\x93NUMPY", b"PK", b"\0\0", b"\x1f\x8b"


def read_images(path: Path, image_shape: Shape, resize: str) -> Array:
    """Return the images of a picture, .npy, .npz or IDX file (plain or gzip), with the batch as first dimension.

    What a file is, its first bytes tell. A picture is brought to ``image_shape``. A single array of that shape, or of
    its height and width if there is one channel, becomes a batch of one; any other array is returned as it is, for the
    network to judge.

    Raises:
        ConfigError: ``resize`` is none that there is.
        DataError: the file is missing, damaged, of another kind, or holds several arrays.
        MissingExtraError: Pillow is not installed.
    """
    images = _read(path, image_shape, resize)
    single = (image_shape, image_shape[1:]) if image_shape[0] == 1 else (image_shape,)
    return images[None] if images.shape in single else images


def _read(path: Path, image_shape: Shape, resize: str) -> Array:
    from pellucid.data import ImageForm, read_idx

    try:
        with path.open("rb") as file:
            start = file.read(6)
            file.seek(0)
            arrays = _load(file) if start.startswith((_NPY, _ZIP)) else {}
    except (OSError, ValueError, EOFError, BadZipFile, zlib.error) as error:
        raise DataError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    if start.startswith((_IDX, _GZIP)):
        return read_idx(path)
    if not start.startswith((_NPY, _ZIP)):
        if len(image_shape) != 3 or image_shape[0] not in (1, 3):
            raise DataError(f"{path} is no .npy, .npz or IDX file, and the model takes no pictures: {image_shape}")
        kind: Any = resize
        return ImageForm(image_shape[1:], image_shape[0] == 1, kind).read(path)
    if len(arrays) != 1:
        raise DataError(f"{path} holds {len(arrays)} arrays ({', '.join(arrays)}); save the images alone")
    return next(iter(arrays.values()))


def _load(file: IO[bytes]) -> dict[str, Array]:
    """Return the arrays of a .npz file by name, or the single one of a .npy file."""
    stored: Any = np.load(file, allow_pickle=False)
    return {"": stored} if isinstance(stored, np.ndarray) else dict(stored)
