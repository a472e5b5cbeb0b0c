"""The benchmark's sides compute the same, and get a ratio."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")
pytestmark = pytest.mark.peers

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "peer", "package"),
    [
        ("train-nguyen-32", "PyTorch", "torch"),
        ("epoch-nguyen-32", "PyTorch", "torch"),
        ("predict-1-onnx", "ONNX Runtime", "onnxruntime"),
        ("train-nguyen-32-jax", "JAX", "jax"),
        ("predict-1-jax", "JAX", "jax"),
        ("deep-resnet20-128", "PyTorch", "torch"),
        ("deep-memory-resnet20-128", "PyTorch", "torch"),
    ],
)
def test_the_peer_agrees_and_is_measured(name: str, peer: str, package: str, tmp_path: Path) -> None:
    pytest.importorskip(package, reason=f"{package} is not installed")
    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", name, "--json", str(tmp_path / "b.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = json.loads((tmp_path / "b.json").read_text())["rows"]
    assert (row["name"], row["peer"], row["refused"], row["skipped"]) == (name, peer, None, None)
    assert row["worst"]["error"] <= row["worst"]["tolerance"]
    for each in row["rounds"]:
        assert each["ratio"] == pytest.approx(each["peer"] / each["ours"])
        assert each["ours"] > 0
