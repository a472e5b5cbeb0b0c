"""USPS digits as LIBSVM publishes them: two packed text files, a line for every image.

::

    class + 1   1:pixel   2:pixel ...   256:pixel        each from -1, paper, to 1, ink
"""

from __future__ import annotations

import bz2
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pellucid.arrays import Array
from pellucid.data.dataset import DIGITS, Dataset
from pellucid.data.missing import not_found
from pellucid.data.mnist_like import MnistLike
from pellucid.errors import DataError, DataNotFoundError

TRAINING_FILE = "usps.bz2"
TEST_FILE = "usps.t.bz2"
_SIDE = 16
_WORDS = 1 + 2 * _SIDE * _SIDE
IDX = MnistLike("usps", "test", DIGITS)


def load_usps(folders: Sequence[Path]) -> Dataset:
    """Read USPS from the first folder that has it in LIBSVM's form, else as four IDX files.

    Returns:
        Images as uint8 (N, 1, 16, 16), 0 for paper and 255 for ink.

    Raises:
        DataNotFoundError: no folder has the files.
        DataError: they cannot be used.

    Source: Hull, "A database for handwritten text recognition research", 1994.
    """
    for folder in folders:
        if all(os.path.isfile(folder / name) for name in (TRAINING_FILE, TEST_FILE)):
            return Dataset("usps", *_read(folder / TRAINING_FILE), *_read(folder / TEST_FILE), DIGITS)
    try:
        return IDX.load(folders)
    except DataNotFoundError:
        wanted = f"{', '.join(IDX.files)}, each as it is or with .gz; or for {TRAINING_FILE} and {TEST_FILE}"
        raise not_found("usps", folders, IDX.lack, wanted) from None


def _read(path: Path) -> tuple[Array, Array]:
    try:
        with bz2.open(path, "rb") as file:
            words = file.read().replace(b":", b" ").split()
        table = np.array(words, dtype=np.float64).reshape(-1, _WORDS)
    except EOFError:
        raise DataError(f"{path} is cut off: its bzip2 stream does not end; copy or download it again") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}; copy or download it again") from error
    except ValueError as error:
        raise DataError(
            f"{path} does not hold lines of a class and {_SIDE * _SIDE} numbered pixels: {error}"
        ) from error
    numbers, pixels, labels = table[:, 1::2], table[:, 2::2], table[:, 0]
    if not len(table) or (numbers != np.arange(1, _SIDE * _SIDE + 1)).any() or not (np.abs(pixels) <= 1).all():
        raise DataError(f"{path} does not hold lines of a class and {_SIDE * _SIDE} numbered pixels from -1 to 1")
    if not np.isin(labels, np.arange(1, 11)).all():
        raise DataError(f"{path} holds classes other than 1 to 10")
    images = np.rint((pixels + 1) * 127.5).astype(np.uint8)
    return images.reshape(-1, 1, _SIDE, _SIDE), labels.astype(np.int64) - 1
