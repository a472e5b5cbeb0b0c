"""Samples that stay where they are until they are needed: what a source is, and one over a ``.npy`` file."""

from __future__ import annotations

import errno
import math
import os
from functools import cache
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np

from pellucid.arrays import Array, Shape
from pellucid.errors import DataError

#: what the numbers of a source may be
DTYPES = (np.dtype(np.uint8), np.dtype(np.float32))


@runtime_checkable
class Source(Protocol):
    """Samples that need not fit into memory: ``network.fit(source, y)``, ``evaluate`` and ``predict`` take one.

    Any object will do that has these three. A row is always the same sample, whenever and however often it is read.
    """

    @property
    def shape(self) -> Shape:
        """(N, C, H, W), or (N, K) for vectors."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """``uint8``, which counts as pixels and is divided by 255, or ``float32``."""
        ...

    def read(self, rows: Array) -> Array:
        """Return some samples, in a new array.

        It is called on threads that read ahead, several at a time: with a file of its own position each, with locks,
        or, best, by calls that share nothing.

        Args:
            rows: int64 (n,), their numbers, from 0 to N − 1, in any order.

        Returns:
            (n, C, H, W) of :attr:`dtype`.
        """
        ...


class NpySource:
    """The array in a ``.npy`` file, of any size, as a source.

    Rows are read as they are asked for, by position and without a memory map: so what has been read belongs to the
    system, which may drop it at any time, and does not count as memory of this process. :meth:`close`, or the end of
    a ``with`` block, lets go of the file; readers in the middle of it finish first.

    Args:
        path: the file, as ``np.save`` writes it: ``uint8`` or ``float32``, (N, C, H, W), (N, H, W) or (N, K), C order.

    Raises:
        DataError: the file is missing, cannot be read, is no ``.npy`` file, is cut off, or holds numbers of another
            type or order.

    Example:
        >>> import numpy as np, tempfile
        >>> path = tempfile.mkdtemp() + "/x.npy"
        >>> np.save(path, np.arange(24, dtype=np.uint8).reshape(4, 1, 2, 3))
        >>> with NpySource(path) as source:
        ...     source.read(np.array([3, 0]))[:, 0, 0].tolist()
        [[18, 19, 20], [0, 1, 2]]
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._shape, self._dtype, self._start = _read_header(self._path)
        self._sample = math.prod(self._shape[1:]) * self._dtype.itemsize
        self._file: _File | None = _File(self._path)
        there, claimed = os.fstat(self._file.number).st_size - self._start, self._sample * len(self)
        if there < claimed:
            raise DataError(
                f"{self._path} is cut off: its header claims {self._dtype} numbers of shape {self._shape}, "
                f"{claimed} bytes, but there are {there}; copy or download it again"
            )

    @property
    def shape(self) -> Shape:
        """Shape of the array in the file."""
        return self._shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """``uint8`` or ``float32``."""
        return self._dtype

    def __len__(self) -> int:
        """Return N."""
        return self._shape[0]

    def read(self, rows: Array, threads: int = 1) -> Array:
        """Return some samples, (n, ...); neighbours that are asked for one after the other are read in one go.

        Args:
            rows: int64 (n,).
            threads: to share them, where there is a compiled part.

        Raises:
            DataError: there are no such rows, the file is closed, cannot be read, or has become shorter.
        """
        file, rows = self._open(), self._checked(rows)
        found = np.empty((len(rows), *self._shape[1:]), self._dtype)
        room = found.view(np.uint8).reshape(len(rows), self._sample)
        whole, error = _reader()(file.number, self._start, rows, room, threads)
        if error:
            raise DataError(f"{self._path} cannot be read: {os.strerror(error)}")
        if whole < len(rows):
            raise DataError(f"{self._path} has become shorter: it no longer reaches to row {rows[whole:].max()}")
        return found

    def announce(self, rows: Array, threads: int = 1) -> None:
        """Say which samples are read soon, so that the disk may begin with all of them; does not wait for it.

        Args:
            rows: int64 (n,).
            threads: to share the telling.

        Raises:
            DataError: the file is closed.
        """
        if hasattr(os, "posix_fadvise"):
            rows = np.ascontiguousarray(rows, np.int64)
            _announcer()(self._open().number, self._start, rows, self._sample, threads)

    def _open(self) -> _File:
        if self._file is None:
            raise DataError(f"{self._path} has been closed; open it again with NpySource({str(self._path)!r})")
        return self._file

    def _checked(self, rows: Array) -> Array:
        rows = np.ascontiguousarray(rows, np.int64)
        if rows.size and not 0 <= rows.min() <= rows.max() < len(self):
            raise DataError(f"{self._path} has rows 0 to {len(self) - 1}, asked for {rows.min()} to {rows.max()}")
        return rows

    def close(self) -> None:
        """Let go of the file."""
        self._file = None

    def __enter__(self) -> Self:
        """Return the source itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        """Close it."""
        self.close()

    def __repr__(self) -> str:
        """Name the file and what is in it."""
        return f"NpySource({str(self._path)!r}: {self._dtype} {self._shape})"


class _File:
    """An open file that is closed when the last who uses it lets go of it, so that nobody reads from another one."""

    def __init__(self, path: Path) -> None:
        self.number = os.open(path, os.O_RDONLY)

    def __del__(self) -> None:
        if hasattr(self, "number"):
            os.close(self.number)


def _reader() -> Any:
    """Return what reads rows."""
    return _compiled("read_rows", _read_rows)


def _announcer() -> Any:
    """Return what announces rows."""
    return _compiled("announce_rows", _announce_rows)


@cache
def _compiled(name: str, otherwise: Any) -> Any:
    """Return a function of the compiled part, or, where there is none, what does the same in Python."""
    try:
        return getattr(import_module("pellucid._native"), name)
    except ImportError:
        return otherwise


def _announce_rows(file: int, start: int, rows: Array, size: int, threads: int = 1) -> None:
    """Do what ``announce_rows`` in native/bindings/reading.cpp does."""
    for row in rows.tolist():
        os.posix_fadvise(file, start + row * size, size, os.POSIX_FADV_WILLNEED)


def _read_rows(file: int, start: int, rows: Array, room: Array, threads: int = 1) -> tuple[int, int]:
    """Do what ``read_rows`` in native/bindings/reading.cpp does."""
    for place, row in enumerate(rows.tolist()):
        done = 0
        while done < room.shape[1]:
            try:
                count = os.preadv(file, [room[place, done:].data], start + row * room.shape[1] + done)
            except OSError as error:
                return place, error.errno or errno.EIO
            if not count:
                return place, 0
            done += count
    return len(rows), 0


def _read_header(path: Path) -> tuple[Shape, np.dtype[Any], int]:
    """Return shape and type of the array in a ``.npy`` file, and where its numbers begin."""
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, columns_first, dtype = read(file)
            start = file.tell()
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise DataError(f"{path} is not a .npy file as np.save writes it: {error}") from error
    if dtype not in DTYPES:
        raise DataError(f"{path} holds {dtype.str} numbers, expected uint8 or float32 in this machine's byte order")
    if columns_first and len(shape) > 1:
        raise DataError(f"{path} is in Fortran order, where samples lie in pieces; save np.ascontiguousarray of it")
    if len(shape) < 2 or min(shape) < 1:
        raise DataError(f"{path} has shape {shape}, expected (N, C, H, W), (N, H, W) or (N, K), with samples in it")
    return shape, dtype, start
