"""Data sets as NumPy saves them: a .npz file, or .npy files in a folder, which are memory-mapped."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from pellucid.arrays import Array
from pellucid.data.dataset import Dataset
from pellucid.data.split import split_rows
from pellucid.errors import DataError

#: what the arrays are called, split and not
SPLIT = ("x_train", "y_train", "x_test", "y_test")
WHOLE = ("x", "y")


def load_arrays(path: str | Path, *, test_share: float = 0.2, seed: int = 0) -> Dataset:
    """Read images and labels that NumPy has saved.

    The arrays are called ``x_train``, ``y_train``, ``x_test`` and ``y_test``, or ``x`` and ``y``: then a share of each
    class is for testing. ``class_names``, text, may tell the classes' names; else they are their numbers.

    Images are (N, C, H, W), (N, H, W), or (N, H, W, C) if the last dimension is 1 or 3 and the second is not; labels
    are whole numbers from 0, (N,) or (N, 1). Nothing is ever unpickled.

    Args:
        path: a .npz file; or a folder of .npy files of these names, whose images stay on disk until they are used,
            unless a share of them has to be taken out.
        test_share: share of the samples of each class to test with.
        seed: chooses them.

    Raises:
        ConfigError: ``test_share`` is out of range.
        DataError: files or arrays are missing, damaged, hold objects, or do not fit together.
    """
    path = Path(path)
    arrays = _read_folder(path) if path.is_dir() else _read_archive(path)
    names = next((names for names in (SPLIT, WHOLE) if set(names) <= arrays.keys()), None)
    if names is None:
        raise DataError(
            f"{path} holds {', '.join(arrays) or 'no arrays'}; expected {', '.join(SPLIT)}, or {', '.join(WHOLE)}"
        )
    y = {name: _labels(f"{path}: {name}", arrays[name]) for name in names[1::2]}
    classes = _class_names(path, arrays.get("class_names"), 1 + max(int(labels.max()) for labels in y.values()))
    samples: list[Array] = []
    for images, labels in zip(names[::2], names[1::2], strict=True):
        samples += [_images(f"{path}: {images}", arrays[images]), y[labels]]
        if len(samples[-2]) != len(samples[-1]):
            raise DataError(f"{path}: {images} holds {len(samples[-2])} images, but {labels} {len(samples[-1])} labels")
    if names == SPLIT and samples[0].shape[1:] != samples[2].shape[1:]:
        raise DataError(f"{path}: x_train has images of shape {samples[0].shape[1:]}, x_test {samples[2].shape[1:]}")
    if names == WHOLE:
        samples = split_rows(path, samples[0], samples[1], classes, test_share, seed)
    return Dataset(path.stem, samples[0], samples[1], samples[2], samples[3], classes)


def _read_archive(path: Path) -> dict[str, Array]:
    try:
        with path.open("rb") as file:
            stored: Any = np.load(file, allow_pickle=False)
            if isinstance(stored, np.ndarray):
                raise DataError(f"{path} holds a single array; expected a .npz file of several")
            return {name: stored[name] for name in stored.files if name in (*SPLIT, *WHOLE, "class_names")}
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except MemoryError as error:
        raise DataError(f"{path} claims more numbers than there is memory for: {error}") from error
    except (OSError, ValueError, EOFError, BadZipFile, zlib.error) as error:
        raise DataError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def _read_folder(path: Path) -> dict[str, Array]:
    arrays: dict[str, Array] = {}
    for name in (*SPLIT, *WHOLE, "class_names"):
        file = path / f"{name}.npy"
        if not file.is_file():
            continue
        try:
            arrays[name] = np.load(file, mmap_mode="r" if name.startswith("x") else None, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"cannot read {file}: {getattr(error, 'strerror', None) or error}") from error
    return arrays


def _images(where: str, images: Array) -> Array:
    """Return images as (N, C, H, W), the same numbers."""
    if images.ndim not in (3, 4) or images.dtype.kind not in "uif" or not images.size:
        raise DataError(
            f"{where} holds {images.dtype}{list(images.shape)}, expected images as numbers (N, C, H, W), (N, H, W, C) "
            "or (N, H, W)"
        )
    if images.ndim == 3:
        return images[:, None]
    channels_last = images.shape[3] in (1, 3) and images.shape[1] not in (1, 3)
    return images.transpose(0, 3, 1, 2) if channels_last else images


def _labels(where: str, labels: Array) -> Array:
    flat = labels.reshape(len(labels)) if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if flat.ndim != 1 or flat.dtype.kind not in "ui" or not flat.size:
        raise DataError(f"{where} holds {labels.dtype}{list(labels.shape)}, expected class numbers as integers (N,)")
    if flat.min() < 0:
        raise DataError(f"{where}: label {flat.min()} of sample {int(flat.argmin())} is less than 0")
    return flat.astype(np.int64)


def _class_names(path: Path, names: Array | None, classes: int) -> tuple[str, ...]:
    if names is None:
        return tuple(str(label) for label in range(classes))
    if names.ndim != 1 or names.dtype.kind != "U" or len(names) < classes:
        raise DataError(
            f"{path}: class_names holds {names.dtype}{list(names.shape)}, expected text, a name for each of "
            f"{classes} classes"
        )
    return tuple(names.tolist())
