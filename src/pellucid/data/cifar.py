"""CIFAR-10 and CIFAR-100 in their publisher's binary version: files of records, in an archive or unpacked from it.

::

    CIFAR-10:                       class, 0 to 9   | 1024 red pixels, row by row | 1024 green | 1024 blue
    CIFAR-100: group, 0 to 19 (unused) | class, 0 to 99 | the same
"""

from __future__ import annotations

import gzip
import os
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pellucid.arrays import Array
from pellucid.data.dataset import Dataset
from pellucid.data.idx import CHUNK, read_at_most
from pellucid.data.missing import not_found
from pellucid.errors import DataError

_SHAPE = (3, 32, 32)
_PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class Cifar:
    """How one of the two is published.

    Attributes:
        name: what :func:`pellucid.data.load_dataset` calls it, and the folder it is looked for in.
        archive: the file that holds all others.
        folder: the folder in the archive.
        training_files, test_file: the files of records.
        label_bytes: bytes before the pixels; the last is the class.
        class_names: the name of every class.
    """

    name: str
    archive: str
    folder: str
    training_files: tuple[str, ...]
    test_file: str
    label_bytes: int
    class_names: tuple[str, ...]

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files of records."""
        return (*self.training_files, self.test_file)

    def load(self, folders: Sequence[Path]) -> Dataset:
        """Read the data from the first folder that has it.

        It is found unpacked, in its folder or without one, or as the archive, which is read as it is and never
        unpacked to disk.

        Returns:
            Images as uint8 (N, 3, 32, 32), channels red, green, blue; the order is that of the files.

        Raises:
            DataNotFoundError: no folder has the files.
            DataError: they cannot be used.

        Source: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
        """
        for folder in folders:
            for unpacked in (folder / self.folder, folder):
                if not self._missing(unpacked):
                    return self._dataset(unpacked, self._read_files(unpacked))
            if os.path.isfile(folder / self.archive):
                return self._dataset(folder / self.archive, self._read_archive(folder / self.archive))
        wanted = f"{self.archive}, or a folder {self.folder} with what it holds"
        raise not_found(self.name, folders, self._lack, wanted)

    def _missing(self, folder: Path) -> list[str]:
        # os.path.isfile, unlike Path.is_file, is just false for a folder that may not be searched.
        return [name for name in self.files if not os.path.isfile(folder / name)]

    def _lack(self, folder: Path) -> str:
        unpacked = next(
            (path for path in (folder / self.folder, folder) if len(self._missing(path)) < len(self.files)), None
        )
        if unpacked is None:
            return f"it lacks {self.archive}"
        return f"it lacks {self.archive}, and {unpacked} lacks {', '.join(self._missing(unpacked))}"

    def _read_files(self, folder: Path) -> dict[str, bytes]:
        contents: dict[str, bytes] = {}
        for name in self.files:
            try:
                contents[name] = (folder / name).read_bytes()
            except OSError as error:
                raise DataError(f"{folder / name} cannot be read: {error.strerror or error}") from error
        return contents

    def _read_archive(self, path: Path) -> dict[str, bytearray]:
        """Return the contents of the files; those of another kind or name are passed over."""
        contents: dict[str, bytearray] = {}
        try:
            with gzip.open(path, "rb") as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
                for member in archive:
                    name = os.path.basename(member.name)
                    file = archive.extractfile(member) if name in self.files and member.isfile() else None
                    if file is not None:
                        contents[name] = read_at_most(file, member.size)
                while stream.read(CHUNK):  # to the end of the stream: only there stands its checksum
                    pass
        except EOFError:
            raise DataError(f"{path} is cut off: its gzip stream does not end; copy or download it again") from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise DataError(f"{path} is damaged: gzip says {error}; copy or download it again") from error
        except tarfile.TarError as error:
            raise DataError(f"{path} is damaged: tar says {error}; copy or download it again") from error
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
        lacking = [name for name in self.files if name not in contents]
        if lacking:
            raise DataError(
                f"{path} does not hold {', '.join(lacking)}: it is cut off, or not the binary version of {self.name}; "
                "copy or download it again"
            )
        return contents

    def _dataset(self, path: Path, contents: Mapping[str, bytes | bytearray]) -> Dataset:
        records = {name: self._records(path / name, content) for name, content in contents.items()}
        training, test = np.concatenate([records[name] for name in self.training_files]), records[self.test_file]
        return Dataset(self.name, *_samples(training), *_samples(test), self.class_names)

    def _records(self, path: Path, content: bytes | bytearray) -> Array:
        length = self.label_bytes + _PIXELS
        if not content or len(content) % length:
            raise DataError(
                f"{path} holds {len(content)} bytes, expected records of {length}, a label and 32×32 pixels in 3 "
                "colours; copy or download it again"
            )
        records = np.frombuffer(content, np.uint8).reshape(-1, length)[:, self.label_bytes - 1 :]
        labels, last = records[:, 0], len(self.class_names) - 1
        if labels.max() > last:
            where = int(labels.argmax())
            raise DataError(f"{path}: label {labels[where]} of record {where} is not one of 0 to {last}")
        return records


def _samples(records: Array) -> tuple[Array, Array]:
    """Return images and labels of records that begin with their class."""
    images = np.ascontiguousarray(records[:, 1:]).reshape(-1, *_SHAPE)
    return images, records[:, 0].astype(np.int64)


#: CIFAR-100's classes
_HUNDRED = """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
    castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
    elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster
    man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck
    pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
    skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger
    tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""

CIFAR10 = Cifar(
    name="cifar10",
    archive="cifar-10-binary.tar.gz",
    folder="cifar-10-batches-bin",
    training_files=tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
    test_file="test_batch.bin",
    label_bytes=1,
    class_names=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
)

CIFAR100 = Cifar(
    name="cifar100",
    archive="cifar-100-binary.tar.gz",
    folder="cifar-100-binary",
    training_files=("train.bin",),
    test_file="test.bin",
    label_bytes=2,
    class_names=tuple(_HUNDRED.split()),
)
