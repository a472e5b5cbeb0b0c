from __future__ import annotations

import sys
from subprocess import run
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import worker

JOB: Any = None


@pytest.mark.parametrize(("long", "runs"), [(1e9, [3, 60, 3, 60]), (1e-9, [3, 60, 60])])
def test_only_short_steps_are_preceded_by_some_that_are_not_counted(
    monkeypatch: pytest.MonkeyPatch, long: float, runs: list[int]
) -> None:
    found: list[int] = []
    side = SimpleNamespace(run=found.append, reset=lambda: None)
    monkeypatch.setitem(sys.modules, "benchmarks.fake", SimpleNamespace(build=lambda job: side))
    monkeypatch.setitem(worker.SIDES, "fake", "fake")
    monkeypatch.setattr(worker, "LONG", long)
    server = worker._Server("fake", JOB)
    assert server.seconds(60) > 0
    server.seconds(60)
    assert found == runs


TELL = "from benchmarks.machine import peak_of_memory; print(peak_of_memory(), flush=True)"
STARTS_ANOTHER = f"""
import subprocess, sys
import numpy as np
large = np.ones(300_000_000, np.uint8)
{TELL}
subprocess.run([sys.executable, "-c", {TELL!r}], check=True)
"""


def test_the_peak_of_memory_is_not_that_of_the_process_before() -> None:
    told = run([sys.executable, "-c", STARTS_ANOTHER], check=True, capture_output=True, text=True).stdout
    before, after = map(int, told.split())
    assert before > 300_000_000
    assert 1_000_000 < after < 200_000_000
