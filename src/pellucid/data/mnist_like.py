"""MNIST, and the data sets that took its form: a folder of four IDX files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pellucid.arrays import Array
from pellucid.data.dataset import Dataset
from pellucid.data.idx import read_idx
from pellucid.data.missing import not_found
from pellucid.errors import DataError


@dataclass(frozen=True)
class MnistLike:
    """How one of these data sets is published.

    Attributes:
        name: what :func:`pellucid.data.load_dataset` calls it, and the folder it is looked for in.
        test_prefix: how the names of its two test files begin.
        class_names: the name of every class.
    """

    name: str
    test_prefix: str
    class_names: tuple[str, ...]

    @property
    def files(self) -> tuple[str, str, str, str]:
        """Names of the four files: training images and labels, test images and labels."""
        test = self.test_prefix
        return (
            "train-images-idx3-ubyte",
            "train-labels-idx1-ubyte",
            f"{test}-images-idx3-ubyte",
            f"{test}-labels-idx1-ubyte",
        )

    def load(self, folders: Sequence[Path]) -> Dataset:
        """Read the four files, each as it is or with ``.gz``, from the first folder that has them all.

        Returns:
            Images as uint8 (N, 1, H, W).

        Raises:
            DataNotFoundError: no folder has the files.
            DataError: they cannot be used.
        """
        for folder in folders:
            found = [_find(folder, name) for name in self.files]
            paths = [path for path in found if path is not None]
            if len(paths) == len(found):
                return self._read(paths)
        raise not_found(self.name, folders, self.lack, f"{', '.join(self.files)}, each as it is or with .gz")

    def _read(self, paths: Sequence[Path]) -> Dataset:
        x_train, y_train = _read_pair(paths[0], paths[1], len(self.class_names))
        x_test, y_test = _read_pair(paths[2], paths[3], len(self.class_names))
        if x_train.shape[1:] != x_test.shape[1:]:
            raise DataError(
                f"{paths[0]} has images of {x_train.shape[2:]} pixels, {paths[2]} of {x_test.shape[2:]}: "
                "they are not of one data set"
            )
        return Dataset(self.name, x_train, y_train, x_test, y_test, self.class_names)

    def lack(self, folder: Path) -> str:
        """Tell which files a folder lacks."""
        return "it lacks " + ", ".join(name for name in self.files if _find(folder, name) is None)


def _find(folder: Path, name: str) -> Path | None:
    # os.path.isfile, unlike Path.is_file, is just false for a folder that may not be searched.
    return next((path for path in (folder / name, folder / f"{name}.gz") if os.path.isfile(path)), None)


def _read_pair(images_path: Path, labels_path: Path, classes: int) -> tuple[Array, Array]:
    """Read images as (N, 1, H, W) and their labels as int64 (N,), and check one against the other."""
    return pair(read_idx(images_path), read_idx(labels_path), images_path, labels_path, classes)


def pair(images: Array, labels: Array, images_path: Path, labels_path: Path, classes: int) -> tuple[Array, Array]:
    """Return images as (N, 1, H, W) and labels as int64 (N,).

    Raises:
        DataError: one is not what it should be, or they do not belong together.
    """
    if images.ndim != 3 or images.dtype != np.uint8:
        raise DataError(f"{images_path} holds {images.dtype}{list(images.shape)}, expected images as uint8 (N, H, W)")
    if labels.ndim != 1 or labels.dtype != np.uint8:
        raise DataError(f"{labels_path} holds {labels.dtype}{list(labels.shape)}, expected labels as uint8 (N,)")
    if len(images) != len(labels):
        raise DataError(
            f"{images_path} holds {len(images)} images, but {labels_path} {len(labels)} labels: "
            "they do not belong together"
        )
    if labels.max() >= classes:
        where = int(labels.argmax())
        raise DataError(f"{labels_path}: label {labels[where]} of sample {where} is not one of 0 to {classes - 1}")
    return images[:, None], labels.astype(np.int64)
