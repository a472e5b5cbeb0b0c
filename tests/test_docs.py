"""What the documents show must run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pellucid import Network

ROOT = Path(__file__).parents[1]


def python_blocks(path: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", path.read_text(), flags=re.DOTALL | re.MULTILINE)


def test_the_layer_of_add_a_layer_passes_its_own_check(capsys: pytest.CaptureFixture[str]) -> None:
    namespace: dict[str, object] = {"__name__": "swish"}
    for block in python_blocks(ROOT / "docs/add-a-layer.md"):
        exec(compile(block, "docs/add-a-layer.md", "exec"), namespace)
    assert "gradient check passed: 384 entries" in capsys.readouterr().out
    net = namespace["net"]
    images = np.random.default_rng(0).normal(size=(4, 1, 8, 8))
    np.testing.assert_allclose(net.predict(images).sum(axis=1), 1, rtol=1e-5)


def test_checkpoints_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn", reason="the page trains on scikit-learn's digits")
    monkeypatch.chdir(tmp_path)
    (block,) = python_blocks(ROOT / "docs/checkpoints.md")
    runs: list[dict[str, Any]] = [{}, {}]
    for namespace in runs:  # the second finds that all is done
        exec(compile(block, "docs/checkpoints.md", "exec"), namespace)
    assert runs[0]["history"].rows == runs[1]["history"].rows
    assert len(runs[1]["history"]) == 5
    best = Network.load("run/checkpoints/best.safetensors")
    assert best.evaluate(runs[0]["digits"].x_test, runs[0]["digits"].y_test)["accuracy"] > 0.9


def test_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sklearn", reason="the README trains on scikit-learn's digits")
    monkeypatch.chdir(tmp_path)
    train, look, layer = python_blocks(ROOT / "README.md")
    namespace: dict[str, Any] = {}
    for block in (train, look):
        exec(compile(block, "README.md", "exec"), namespace)
    assert namespace["net"].evaluate(namespace["digits"].x_test, namespace["digits"].y_test)["accuracy"] > 0.95
    assert namespace["probabilities"].shape == (5, 10)
    assert "gradient check passed" in capsys.readouterr().out
    source = (ROOT / "src/pellucid/layers/relu.py").read_text()
    for line in layer.splitlines():
        if "return" in line:
            assert line in source
