"""Sources for the tests: an array that notes who reads what of it, and may be told to fail."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np


class Rows:
    """The rows of an array, as a source.

    Args:
        x: what to read.
        before: called with the rows before they are read.
        gives: what to give instead.

    Attributes:
        asked: the rows of every reading, in the order in which they began.
        threads: names of the threads that read.
    """

    def __init__(
        self,
        x: np.ndarray,
        before: Callable[[np.ndarray], object] | None = None,
        gives: Callable[[np.ndarray], Any] | None = None,
    ) -> None:
        self._x, self._before, self._gives = x, before, gives
        self.shape, self.dtype = x.shape, x.dtype
        self.asked: list[np.ndarray] = []
        self.threads: list[str] = []

    def read(self, rows: np.ndarray) -> Any:
        self.asked.append(rows)
        self.threads.append(threading.current_thread().name)
        if self._before is not None:
            self._before(rows)
        return self._x[rows] if self._gives is None else self._gives(rows)

    def __repr__(self) -> str:
        return "Rows()"


def no_readers(within: float = 0) -> bool:
    """Tell whether no thread is left that reads ahead, now or after so many seconds at most."""
    end = time.perf_counter() + within
    while any(thread.name.startswith("pellucid-read") for thread in threading.enumerate()):
        if time.perf_counter() >= end:
            return False
        time.sleep(1e-3)
    return True
