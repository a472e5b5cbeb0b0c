"""A source as a network reads it: batch by batch, each checked, and read ahead."""

from __future__ import annotations

import math
import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np

from pellucid import machine
from pellucid.arrays import Array, Shape
from pellucid.data.announced import Announced
from pellucid.data.read_ahead import ReadAhead
from pellucid.data.source import NpySource, Source
from pellucid.errors import DataError, PellucidError

#: bytes that are read ahead, if that is at least a batch for every thread and one more
AHEAD = 2**24

#: batches that are read ahead at most
MOST_AHEAD = 64

#: threads that read at most, so that large batches in progress do not fill the memory
MOST_THREADS = 4


class Stream:
    """Some rows of a source, to be read like an array: ``stream[rows]`` is a new array of these samples.

    Args:
        source: what to read.
        sample: shape of one sample, as the network takes it.
        rows: which samples these are; None for all.
        threads: that a file is read on, while the network waits.
    """

    def __init__(self, source: Source, sample: Shape, rows: Array | None = None, threads: int = 1) -> None:
        self._source, self._sample, self._rows, self._threads = source, sample, rows, threads
        self._dtype = np.dtype(source.dtype)
        self._ahead: ReadAhead | Announced | None = None

    @property
    def shape(self) -> Shape:
        """(N, *sample)."""
        return (len(self), *self._sample)

    @property
    def dtype(self) -> np.dtype[Any]:
        """``uint8`` or ``float32``."""
        return self._dtype

    def __len__(self) -> int:
        """Return N."""
        return self._source.shape[0] if self._rows is None else len(self._rows)

    def __getitem__(self, rows: Array) -> Array:
        """Return some samples; those that :meth:`ahead` has announced next have been read meanwhile.

        Raises:
            DataError: the source gives something else than it should, or NaN, or fails; its error is the cause.
        """
        if self._ahead is not None and self._ahead.is_next(rows):
            return self._ahead.take()
        return self._read(rows)

    @contextmanager
    def ahead(self, batches: Sequence[Array]) -> Generator[None]:
        """Inside the ``with`` block, read these batches ahead, if they are asked for in this order.

        Args:
            batches: rows of each; they are known by being the very same arrays.
        """
        threads = min(MOST_THREADS, machine.processors_worth() or os.cpu_count() or 1)
        size = max(map(len, batches), default=0) * math.prod(self._sample) * self._dtype.itemsize
        ahead = max(threads + 1, min(MOST_AHEAD, AHEAD // max(size, 1)))
        if isinstance(self._source, NpySource):
            reading = Announced(self._announce, self._read, batches, ahead)
        else:
            reading = ReadAhead(self._read, batches, ahead, threads)
        with reading as self._ahead:
            try:
                yield
            finally:
                self._ahead = None

    def part(self, rows: Array) -> Stream:
        """Return some of the samples as a stream of their own; nothing is read."""
        return Stream(self._source, self._sample, self._numbers(rows), self._threads)

    def none(self) -> Array:
        """Return an array like those that are read, of no samples."""
        return np.empty((0, *self._sample), self._dtype)

    def _numbers(self, rows: Array) -> Array:
        """Return the rows of the source that some rows of these samples are."""
        return rows if self._rows is None else self._rows[rows]

    def _announce(self, rows: Array) -> None:
        if isinstance(self._source, NpySource):
            self._source.announce(self._numbers(rows), self._threads)

    def _read(self, rows: Array) -> Array:
        numbers, source = self._numbers(rows), self._source
        try:
            found = source.read(numbers, self._threads) if isinstance(source, NpySource) else source.read(numbers)
        except (PellucidError, MemoryError):
            raise
        except Exception as error:
            raise DataError(
                f"{self._source!r} failed to read {_told(numbers)}: {type(error).__name__}: {error}"
            ) from error
        self._check(found, numbers)
        return np.require(found.reshape(len(rows), *self._sample), requirements=("C", "A"))

    def _check(self, found: Array, numbers: Array) -> None:
        expected = (len(numbers), *self._source.shape[1:])
        is_array = isinstance(found, np.ndarray)  # pyright: ignore[reportUnnecessaryIsInstance]
        if not is_array or found.shape != expected or found.dtype != self._dtype:
            told = f"{found.dtype} {found.shape}" if is_array else type(found).__name__
            raise DataError(f"{self._source!r} gave {told} for {_told(numbers)}, expected {self._dtype} {expected}")
        if self._dtype.kind == "f":
            bad = ~np.isfinite(found).reshape(len(found), -1).all(axis=1)
            if bad.any():
                raise DataError(f"sample {numbers[bad.argmax()]} contains NaN or infinity; clean the data first")


#: inputs that have been checked: all there, or read when they are needed, and checked further then
Images: TypeAlias = Array | Stream


def _told(rows: Array) -> str:
    return f"rows {', '.join(map(str, rows[:3].tolist()))}{', …' if len(rows) > 3 else ''}"
