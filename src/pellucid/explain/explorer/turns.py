"""A lock that gives everyone a turn: who waits for it comes before who has just had it."""

from __future__ import annotations

from threading import Lock
from types import TracebackType


class Turns:
    """A lock for one that takes it over and over, a training, and others that want it now and then.

    Python's own lock lets the one that has just let go take it again before anyone else wakes up. Here everybody
    passes through a door, which the first in waiting holds until the lock is free.
    """

    def __init__(self) -> None:
        self._door, self._lock = Lock(), Lock()

    def __enter__(self) -> None:
        with self._door:
            self._lock.acquire()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._lock.release()
