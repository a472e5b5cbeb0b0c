"""EMNIST: handwritten letters and digits in six arrangements, each four IDX files, all in one archive."""

from __future__ import annotations

import os
import string
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np

from pellucid.arrays import Array
from pellucid.data.dataset import DIGITS, Dataset
from pellucid.data.idx import parse_idx, read_idx
from pellucid.data.missing import not_found
from pellucid.data.mnist_like import pair
from pellucid.errors import DataError

ARCHIVE = "gzip.zip"
#: the folder in the archive
FOLDER = "gzip"
#: capitals, and the small letters that look unlike theirs
MERGED = (*DIGITS, *string.ascii_uppercase, *"abdefghnqrt")


@dataclass(frozen=True)
class Emnist:
    """One of the arrangements.

    The files' images lie on their sides, mirrored; they are turned to stand as MNIST's do.

    Attributes:
        name: what :func:`pellucid.data.load_dataset` calls it.
        part: what its files call it.
        class_names: the name of every class.
        first_label: the number of the first class in the files.
    """

    name: str
    part: str
    class_names: tuple[str, ...]
    first_label: int = 0

    @property
    def files(self) -> tuple[str, str, str, str]:
        """Names of the four files: training images and labels, test images and labels."""
        train, test = f"emnist-{self.part}-train", f"emnist-{self.part}-test"
        kinds = ("images-idx3-ubyte.gz", "labels-idx1-ubyte.gz")
        return (f"{train}-{kinds[0]}", f"{train}-{kinds[1]}", f"{test}-{kinds[0]}", f"{test}-{kinds[1]}")

    def load(self, folders: Sequence[Path]) -> Dataset:
        """Read the four files from the first folder that has them, or from the archive, which is not unpacked.

        Returns:
            Images as uint8 (N, 1, 28, 28).

        Raises:
            DataNotFoundError: no folder has the files.
            DataError: they cannot be used.

        Source: Cohen, Afshar, Tapson & van Schaik, "EMNIST: an extension of MNIST to handwritten letters", 2017.
        """
        for folder in folders:
            for unpacked in (folder / FOLDER, folder):
                if all(os.path.isfile(unpacked / name) for name in self.files):
                    return self._dataset(unpacked, read_idx)
            if os.path.isfile(folder / ARCHIVE):
                return self._read_archive(folder / ARCHIVE)
        wanted = f"{ARCHIVE}, or {', '.join(self.files)} out of it"
        raise not_found(self.name, folders, lambda _: f"it lacks {ARCHIVE}", wanted, "emnist")

    def _read_archive(self, path: Path) -> Dataset:
        try:
            with ZipFile(path) as archive:
                held = {os.path.basename(name): name for name in archive.namelist()}

                def read(member: Path) -> Array:
                    if member.name not in held:
                        raise DataError(f"{path} does not hold {member.name}; copy or download it again")
                    with archive.open(held[member.name]) as file:
                        return parse_idx(file, member)

                return self._dataset(path, read)
        except (BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error) as error:
            raise DataError(f"{path} is cut off or damaged: {error}; copy or download it again") from error
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror or error}") from error

    def _dataset(self, folder: Path, read: Callable[[Path], Array]) -> Dataset:
        paths = [folder / name for name in self.files]
        training, test = (self._pair(read, *paths[place : place + 2]) for place in (0, 2))
        return Dataset(self.name, *training, *test, self.class_names)

    def _pair(self, read: Callable[[Path], Array], images_path: Path, labels_path: Path) -> tuple[Array, Array]:
        last = self.first_label + len(self.class_names)
        images, labels = pair(read(images_path), read(labels_path), images_path, labels_path, last)
        if labels.min() < self.first_label:
            where = int(labels.argmin())
            raise DataError(
                f"{labels_path}: label {labels[where]} of sample {where} is not one of {self.first_label} to {last - 1}"
            )
        return np.ascontiguousarray(images.swapaxes(2, 3)), labels - self.first_label


EMNIST = (
    Emnist("emnist", "balanced", MERGED),
    Emnist("emnist-bymerge", "bymerge", MERGED),
    Emnist("emnist-byclass", "byclass", (*DIGITS, *string.ascii_uppercase, *string.ascii_lowercase)),
    Emnist("emnist-letters", "letters", tuple(string.ascii_uppercase), first_label=1),
    Emnist("emnist-digits", "digits", DIGITS),
    Emnist("emnist-mnist", "mnist", DIGITS),
)
