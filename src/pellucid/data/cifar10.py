"""CIFAR-10 in its publisher's binary version: six files of records, in an archive or unpacked from it.

::

    label (1 byte, 0 to 9) | 1024 red pixels, row by row | 1024 green | 1024 blue
"""

from __future__ import annotations

import gzip
import os
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pellucid.arrays import Array
from pellucid.data.dataset import Dataset
from pellucid.data.idx import CHUNK, read_at_most
from pellucid.data.missing import not_found
from pellucid.errors import DataError

ARCHIVE = "cifar-10-binary.tar.gz"
#: the folder in the archive
FOLDER = "cifar-10-batches-bin"
TRAINING_FILES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST_FILE = "test_batch.bin"
FILES = (*TRAINING_FILES, TEST_FILE)
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_SHAPE = (3, 32, 32)
_RECORD = 1 + 3 * 32 * 32


def load_cifar10(folders: Sequence[Path]) -> Dataset:
    """Read CIFAR-10 from the first folder that has it.

    It is found unpacked, in a folder ``cifar-10-batches-bin`` or without one, or as the archive
    ``cifar-10-binary.tar.gz``, which is read as it is and never unpacked to disk.

    Returns:
        Images as uint8 (N, 3, 32, 32), channels red, green, blue; the order is that of the files.

    Raises:
        DataError: no folder has the files, or they cannot be used.

    Source: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
    """
    for folder in folders:
        for unpacked in (folder / FOLDER, folder):
            if not _missing(unpacked):
                return _dataset(unpacked, _read_files(unpacked))
        if os.path.isfile(folder / ARCHIVE):
            return _dataset(folder / ARCHIVE, _read_archive(folder / ARCHIVE))
    raise not_found("cifar10", folders, _lack, f"{ARCHIVE}, or a folder {FOLDER} with what it holds")


def _missing(folder: Path) -> list[str]:
    # os.path.isfile, unlike Path.is_file, is just false for a folder that may not be searched.
    return [name for name in FILES if not os.path.isfile(folder / name)]


def _lack(folder: Path) -> str:
    unpacked = next((path for path in (folder / FOLDER, folder) if len(_missing(path)) < len(FILES)), None)
    if unpacked is None:
        return f"it lacks {ARCHIVE}"
    return f"it lacks {ARCHIVE}, and {unpacked} lacks {', '.join(_missing(unpacked))}"


def _read_files(folder: Path) -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    for name in FILES:
        try:
            contents[name] = (folder / name).read_bytes()
        except OSError as error:
            raise DataError(f"{folder / name} cannot be read: {error.strerror or error}") from error
    return contents


def _read_archive(path: Path) -> dict[str, bytearray]:
    """Return the contents of the files; those of another kind or name are passed over."""
    contents: dict[str, bytearray] = {}
    try:
        with gzip.open(path, "rb") as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
            for member in archive:
                name = os.path.basename(member.name)
                file = archive.extractfile(member) if name in FILES and member.isfile() else None
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
    lacking = [name for name in FILES if name not in contents]
    if lacking:
        raise DataError(
            f"{path} does not hold {', '.join(lacking)}: it is cut off, or not the binary version of CIFAR-10; "
            "copy or download it again"
        )
    return contents


def _dataset(path: Path, contents: Mapping[str, bytes | bytearray]) -> Dataset:
    records = {name: _records(path / name, content) for name, content in contents.items()}
    training, test = np.concatenate([records[name] for name in TRAINING_FILES]), records[TEST_FILE]
    return Dataset("cifar10", *_samples(training), *_samples(test), CLASSES)


def _records(path: Path, content: bytes | bytearray) -> Array:
    if not content or len(content) % _RECORD:
        raise DataError(
            f"{path} holds {len(content)} bytes, expected records of {_RECORD}, a label and 32×32 pixels in 3 colours; "
            "copy or download it again"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, _RECORD)
    labels = records[:, 0]
    if labels.max() >= len(CLASSES):
        where = int(labels.argmax())
        raise DataError(f"{path}: label {labels[where]} of record {where} is not one of 0 to {len(CLASSES) - 1}")
    return records


def _samples(records: Array) -> tuple[Array, Array]:
    images = np.ascontiguousarray(records[:, 1:]).reshape(-1, *_SHAPE)
    return images, records[:, 0].astype(np.int64)
