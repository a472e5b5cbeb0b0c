"""Reading when it is needed, of a disk that has been told before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from pellucid.arrays import Array


class Announced:
    """Batches that are announced some time before they are asked for, and read then; use it in a ``with`` block.

    For files: the disk begins at once, and what it finds waits in the system's cache, from where all threads of the
    network fetch it together. Threads of their own would take turns with those, each time at the worst moment.

    Args:
        announce: is told some rows that are read soon.
        read: gives the samples of some rows.
        batches: the rows of each batch.
        ahead: batches that are announced beyond the one in use.
    """

    def __init__(
        self,
        announce: Callable[[Array], None],
        read: Callable[[Array], Array],
        batches: Sequence[Array],
        ahead: int,
    ) -> None:
        self._announce, self._read, self._batches, self._ahead = announce, read, batches, ahead
        self._told = self._taken = 0

    def __enter__(self) -> Self:
        """Announce the first batches."""
        self._go_on()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        """Forget the others."""

    def is_next(self, rows: Array) -> bool:
        """Tell whether the batch that comes next has these rows: the very array that was announced."""
        return self._taken < len(self._batches) and self._batches[self._taken] is rows

    def take(self) -> Array:
        """Return the next batch, and announce a further one."""
        self._taken += 1
        self._go_on()
        return self._read(self._batches[self._taken - 1])

    def _go_on(self) -> None:
        while self._told < min(self._taken + self._ahead, len(self._batches)):
            self._announce(self._batches[self._told])
            self._told += 1
