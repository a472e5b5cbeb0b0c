"""What this process may use of the machine: memory and processor time, a container's limits included."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from functools import cache
from math import ceil
from pathlib import Path

#: where a container sees the limits that were set for it
CGROUP = Path("/sys/fs/cgroup")


@cache
def memory() -> int | None:
    """Return the bytes that there are for this process, used or not: the machine's, or what its container allows.

    None where the system does not tell.
    """
    found = [_number(line) for line in _lines("memory.max", "memory/memory.limit_in_bytes")]
    if hasattr(os, "sysconf") and {"SC_PHYS_PAGES", "SC_PAGE_SIZE"} <= os.sysconf_names.keys():
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min((bytes_ for bytes_ in found if bytes_ is not None and bytes_ > 0), default=None)


@cache
def processors_worth() -> int | None:
    """Return how many processors' time the container may use, rounded up; None without such a limit."""
    for line in _lines("cpu.max"):
        quota, period = (_number(word) for word in line.split())
        if quota and period:
            return ceil(quota / period)
    quotas, periods = _lines("cpu/cpu.cfs_quota_us"), _lines("cpu/cpu.cfs_period_us")
    for quota, period in zip(map(_number, quotas), map(_number, periods), strict=False):
        if quota and period and quota > 0:
            return ceil(quota / period)
    return None


@cache
def processor() -> str:
    """Return what the processor calls itself, or its architecture where the system does not tell."""
    try:
        told = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in told.splitlines() if line.startswith("model name"))
    return next(names, platform.machine())


def readable(count: float) -> str:
    """Return a number of bytes in the unit that suits it."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB", "PiB"):
        if count < 1024:
            return f"{count:.4g} {unit}"
        count /= 1024
    return f"{count:.4g} EiB"


def _lines(*names: str) -> Iterable[str]:
    for name in names:
        try:
            yield (CGROUP / name).read_text().strip()
        except OSError:  # no container, or one with the other version's files
            continue


def _number(word: str) -> int | None:
    """Return the number; None for ``"max"``, no limit."""
    return int(word) if word.lstrip("-").isdecimal() else None
