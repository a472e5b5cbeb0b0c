"""Reading on threads of its own, ahead of whoever needs what is read."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from pellucid.arrays import Array


class ReadAhead:
    """Batches, read in order on threads of their own before they are asked for; use it in a ``with`` block.

    Several threads read several batches at once, since a disk answers many questions sooner together, and since
    unpacking one batch may take longer than training on it; they are handed out in order all the same.

    Args:
        read: gives the samples of some rows; called on the threads.
        batches: the rows of each batch.
        ahead: batches that may be read, or in progress, beyond the one in use.
        threads: that read.
    """

    def __init__(self, read: Callable[[Array], Array], batches: Sequence[Array], ahead: int, threads: int) -> None:
        self._read, self._batches, self._ahead = read, batches, ahead
        self._started = self._taken = 0
        self._reading: deque[Future[Array]] = deque()
        self._threads = ThreadPoolExecutor(threads, "pellucid-read")

    def __enter__(self) -> Self:
        """Begin to read."""
        self._go_on()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        """Wait for what is being read, and end the threads."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def is_next(self, rows: Array) -> bool:
        """Tell whether the batch that comes next has these rows: the very array that was announced."""
        return self._taken < len(self._batches) and self._batches[self._taken] is rows

    def take(self) -> Array:
        """Return the next batch, as soon as it is read; whatever reading it raises is raised here."""
        found = self._reading.popleft().result()
        self._taken += 1
        self._go_on()
        return found

    def _go_on(self) -> None:
        while len(self._reading) < self._ahead and self._started < len(self._batches):
            self._reading.append(self._threads.submit(self._read, self._batches[self._started]))
            self._started += 1
