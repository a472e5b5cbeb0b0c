from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from pellucid import machine

CASES = [
    ({}, None, None),
    ({"memory.max": "max\n", "cpu.max": "max 100000\n"}, None, None),
    ({"memory.max": "536870912\n", "cpu.max": "200000 100000\n"}, 2**29, 2),
    ({"cpu.max": "150000 100000\n"}, None, 2),
    ({"cpu.max": "5000 100000\n"}, None, 1),
    ({"memory/memory.limit_in_bytes": "1048576\n"}, 2**20, None),
    ({"memory/memory.limit_in_bytes": "9223372036854771712\n", "cpu/cpu.cfs_quota_us": "-1\n"}, None, None),
    ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None, None),
    ({"cpu/cpu.cfs_quota_us": "250000\n", "cpu/cpu.cfs_period_us": "100000\n"}, None, 3),
]


@pytest.mark.parametrize(("files", "memory", "processors"), CASES)
def test_a_containers_limits(
    files: dict[str, str], memory: int | None, processors: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    if memory is None and Path("/proc/meminfo").exists():
        memory = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    assert machine.memory.__wrapped__() == memory
    assert machine.processors_worth.__wrapped__() == processors


def test_the_processor_says_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    told = "processor\t: 0\nmodel name\t: Fast: 9000\n\nprocessor\t: 1\nmodel name\t: Fast: 9000\n"
    monkeypatch.setattr(Path, "read_text", lambda _: told)
    assert machine.processor.__wrapped__() == "Fast: 9000"
    monkeypatch.setattr(Path, "read_text", lambda _: "Features: none")
    assert machine.processor.__wrapped__() == platform.machine()


def test_a_system_that_does_not_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    monkeypatch.delattr(os, "sysconf", raising=False)
    assert machine.memory.__wrapped__() is None
