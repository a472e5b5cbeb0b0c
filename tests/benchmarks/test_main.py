"""The command, run quickly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pellucid.engine import instruction_set

ROOT = Path(__file__).parents[2]


def run(*options: str) -> subprocess.CompletedProcess[str]:
    # Else the command and the tests beside it would wait for each other's threads.
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    command = [sys.executable, "-m", "benchmarks", "--quick", *options]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.skipif(instruction_set() is None, reason="installed without a C++ compiler")
def test_a_kernel_is_measured_beside_the_peak(tmp_path: Path) -> None:
    files = {option: tmp_path / f"b{option}" for option in ("json", "markdown")}
    done = run(
        "--only", "kernels-3x3-16", *(text for option, path in files.items() for text in (f"--{option}", str(path)))
    )
    assert done.returncode == 0, done.stderr
    content = json.loads(files["json"].read_text())
    assert content["rows"] == []
    (kernel,) = content["kernels"]
    assert kernel["refused"] is None
    assert 0 < kernel["worst"]["error"] <= kernel["worst"]["tolerance"]
    assert [(one["pass"], one["threads"]) for one in kernel["passes"]] == [
        (which, threads) for threads in (1, 2) for which in ("forward", "dx", "dweight")
    ]
    for one in kernel["passes"]:
        assert len(one["rounds"]) >= 3
        ratios = sorted(each["kernel"] / each["peak"] for each in one["rounds"])
        assert ratios[0] <= one["share"]["lower"] <= one["share"]["median"] <= one["share"]["upper"] <= ratios[-1]
        assert ratios[0] > 0
    assert files["markdown"].read_text().count("| 3×3, 16 channels of 32×32 | ") == 6


def test_an_unknown_name_ends_the_command() -> None:
    done = run("--only", "kernel-3x3")
    assert done.returncode == 2
    assert "no work called 'kernel-3x3'; there are train-nguyen-16" in done.stderr
