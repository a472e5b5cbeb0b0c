"""Data sets by the path of a file or folder of one's own."""

from __future__ import annotations

import os
from pathlib import Path

from pellucid.data.array_files import load_arrays
from pellucid.data.dataset import Dataset
from pellucid.data.image_file import Resize, both_sides
from pellucid.data.image_folder import ImageFolder
from pellucid.data.parquet import load_parquet
from pellucid.errors import ConfigError, DataError


def load_path(
    path: str | Path,
    *,
    image_size: int | tuple[int, int] | None = None,
    grey: bool = False,
    resize: Resize = "crop",
    test_share: float = 0.2,
    seed: int = 0,
) -> Dataset:
    """Load images and labels of one's own into memory.

    ==================================================  =====================================================
    path                                                read by
    ==================================================  =====================================================
    a .npz file; a folder of x.npy or x_train.npy, ...  :func:`load_arrays <pellucid.data.load_arrays>`
    a .parquet file; a folder, or its ``data``, of      :func:`load_parquet <pellucid.data.load_parquet>`
    such files
    any other folder                                    :class:`ImageFolder <pellucid.data.ImageFolder>`
    ==================================================  =====================================================

    Args:
        path: what to load.
        image_size, grey, resize, test_share, seed: see :meth:`ImageFolder.open <pellucid.data.ImageFolder.open>`.
            Arrays stay as they are: they must have this size, and one channel if they are to be grey.

    Raises:
        ConfigError: a setting is out of range, or arrays are not what it asks for.
        DataError: the data is missing or cannot be used.
        MissingExtraError: a package that reads it is not installed.
    """
    path = Path(path)
    is_folder = os.path.isdir(path)
    if path.suffix == ".npz" or (is_folder and any(map(os.path.isfile, (path / "x.npy", path / "x_train.npy")))):
        return _as_asked(load_arrays(path, test_share=test_share, seed=seed), path, image_size, grey)
    packed = path.suffix == ".parquet" or next((f for f in (path, path / "data") if any(f.glob("*.parquet"))), None)
    if packed:
        return load_parquet(path, image_size=image_size, grey=grey, resize=resize, test_share=test_share, seed=seed)
    if is_folder:
        folder = ImageFolder.open(
            path, image_size=image_size, grey=grey, resize=resize, test_share=test_share, seed=seed
        )
        return folder.load()
    if path.suffix == ".npy" and path.exists():
        raise DataError(
            f"{path} holds images or labels alone; give the folder of x.npy and y.npy, or a .npz file of both"
        )
    fault = "it is no folder, .npz or .parquet file" if path.exists() else "there is no such file or folder"
    raise DataError(f"{path}: {fault}")


def _as_asked(dataset: Dataset, path: Path, image_size: int | tuple[int, int] | None, grey: bool) -> Dataset:
    channels, *size = dataset.input_shape
    asked = both_sides(image_size)
    if (asked is not None and list(asked) != size) or (grey and channels != 1):
        wanted = f"{'grey ' if grey else ''}images{'' if asked is None else f' of {asked[0]}×{asked[1]}'}"
        raise ConfigError(
            f"{path} holds arrays, images of shape {dataset.input_shape}, which stay as they are; {wanted} were asked "
            "for, and image_size and grey are for image files"
        )
    return dataset
