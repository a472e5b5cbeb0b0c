"""How many threads the native engine runs on."""

from __future__ import annotations

import os
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from pellucid import machine
from pellucid.errors import ConfigError

#: threads for each processor; beyond them the system may refuse to start more, which OpenMP does not survive
MOST_PER_PROCESSOR = 4

#: whether the user said how many; without that, a container's quota of processor time counts too
_ASKED = bool(os.environ.get("OMP_NUM_THREADS"))

#: how often this process, or a parent of it, has forked
_forks = 0


def _after_fork() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):
    # The threads of the parent do not exist in a forked child: OpenMP would wait for them for ever, and so would a
    # runner that another thread had in use.
    os.register_at_fork(after_in_child=_after_fork)


def forks() -> int:
    """Return how often this process, or a parent of it, has forked."""
    return _forks


def check_n_jobs(n_jobs: int | None) -> int | None:
    """Return ``n_jobs`` if it is a number of threads.

    Raises:
        ConfigError: it is 0, or no whole number.
    """
    whole = isinstance(n_jobs, (int, np.integer)) and not isinstance(n_jobs, bool)
    if n_jobs is not None and not (whole and n_jobs):
        raise ConfigError(
            "n_jobs must be a number of threads, -1 for one on every processor, -2 for one less, ..., or None for "
            f"OpenMP's setting; got {n_jobs!r}"
        )
    return None if n_jobs is None else int(n_jobs)


def threads(n_jobs: int | None = None) -> int:
    """Return how many threads to use here and now.

    Args:
        n_jobs: so many; a negative number counts down from −1, one on every processor. None for OpenMP's setting in
            this thread: ``OMP_NUM_THREADS`` when the process began, what threadpoolctl has set since, else one on every
            processor. A processor counts if this process may run on it and its container's quota of time covers it.

    There are never more than four for each processor, one in a forked child, whose parent's threads are gone, and one
    if Pellucid was compiled without OpenMP.
    """
    if _forks:
        return 1
    asked, processors, most = _compiled().openmp_threads()
    worth = min(processors, machine.processors_worth() or processors)
    if n_jobs is None:
        count = asked if _ASKED else min(asked, worth)
    else:
        count = n_jobs if n_jobs > 0 else max(1, worth + 1 + n_jobs)
    return min(count, MOST_PER_PROCESSOR * processors, most)


@cache
def _compiled() -> Any:
    return import_module("pellucid._native")
