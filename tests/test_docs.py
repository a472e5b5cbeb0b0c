"""What the documents show must run."""

from __future__ import annotations

import builtins
import re
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest

from pellucid import Network
from pellucid.data import load_dataset

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


def test_the_walk_of_the_cells_ends_at_a_pixel(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = python_blocks(ROOT / "docs/cells.md")
    namespace: dict[str, Any] = {}
    exec(compile(block, "docs/cells.md", "exec"), namespace)
    way, trace = namespace["way"], namespace["trace"]
    steps = ["loss", "loss", "loss", "loss", "fc", "flatten", "pool2", "relu2", "conv2", "pool1", "relu1", "conv1"]
    assert [cell.node for cell in way] == [*steps, "input"]
    assert way[-1].value == trace.input[(way[-1].sample, *way[-1].index)]
    for cell in way:
        assert cell.total == pytest.approx(cell.value, rel=1e-5)
    assert capsys.readouterr().out.startswith("J = 0.25 ")


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
    train, look, layer, *_ = python_blocks(ROOT / "README.md")
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


def test_the_recipes_of_the_readme_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On digits: as photographs of zeros and ones, and, larger, in a .npy file."""
    datasets = pytest.importorskip("sklearn.datasets", reason="the recipes train on scikit-learn's digits")
    image = pytest.importorskip("PIL.Image", reason="the recipes read pictures")
    pytest.importorskip("onnx", reason="the recipes write ONNX")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(builtins, "print", printed := MagicMock())
    digits = datasets.load_digits()
    pixels = (digits.images * 15.9).astype(np.uint8)
    for number in np.flatnonzero(digits.target < 2)[:100]:
        folder = tmp_path / "photos" / ("zero", "one")[digits.target[number]]
        folder.mkdir(parents=True, exist_ok=True)
        image.fromarray(pixels[number]).resize((40, 40)).save(folder / f"{number}.png")
    np.save("images.npy", pixels.repeat(4, axis=1)[:, 2:30].repeat(4, axis=2)[:, :, 2:30])
    np.save("labels.npy", digits.target)
    recipes = python_blocks(ROOT / "README.md")[3:]
    assert len(recipes) == 5
    namespace: dict[str, Any] = {"np": np, "load_dataset": load_dataset}
    for recipe in recipes:
        exec(compile(recipe, "README.md", "exec"), namespace)
    told, scores = (call.args[0] for call in printed.call_args_list if not isinstance(call.args[0], str))
    assert told["accuracy"] >= 0.9
    assert min(scores) > 0.93
    net, data = namespace["net"], namespace["data"]
    assert net.evaluate(data.x_test, data.y_test)["accuracy"] > 0.95
    session = pytest.importorskip("onnxruntime").InferenceSession("digits.onnx")
    (found,) = session.run(None, {"input": data.x_test.astype(np.float32)})
    np.testing.assert_allclose(found, net.predict(data.x_test), atol=1e-5)
    assert "digits_predict" in Path("digits.c").read_text()
