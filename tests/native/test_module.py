from __future__ import annotations

import platform
import re
import sys
from pathlib import Path

import pytest

import pellucid
from pellucid.engine import instruction_set, uses_threads

native = pytest.importorskip("pellucid._native", reason="installed without a C++ compiler")


def test_the_compiled_part_is_of_this_version() -> None:
    assert native.__version__ == pellucid.__version__


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="needs /proc/cpuinfo to compare with")
def test_the_instruction_set_is_the_processors() -> None:
    if platform.machine() == "x86_64":
        flags = set(re.findall(r"\w+", Path("/proc/cpuinfo").read_text()))
        expected = (
            "avx512"
            if {"avx512f", "avx512dq", "avx512vl"} <= flags
            else "avx2"
            if {"avx2", "fma"} <= flags
            else "baseline"
        )
    else:
        expected = "neon" if platform.machine() == "aarch64" else "baseline"
    assert instruction_set() == expected


def test_without_the_compiled_part_there_is_no_instruction_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(pellucid, "_native")
    monkeypatch.setitem(sys.modules, "pellucid._native", None)
    assert instruction_set() is None
    assert not uses_threads()
