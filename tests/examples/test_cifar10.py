from __future__ import annotations

import csv
import json
import math
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from pellucid import Network, zoo
from pellucid.data import load_dataset
from pellucid.layers import BatchNorm2d, Conv2d, GlobalAvgPool2d, Linear, MaxPool2d, ReLU
from pellucid.regularizers import L2

PATH = Path(__file__).parents[2] / "examples/cifar10.py"


def example() -> Any:
    spec = util.spec_from_file_location("cifar10_example", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def small(depth: int, *, seed: int, input_shape: tuple[int, ...], classes: int) -> Network:
    """Stand for the residual network, which takes long."""
    assert depth == 20
    layers = [Conv2d(4, 3, 2, bias=False), BatchNorm2d(), ReLU(), MaxPool2d(3), Conv2d(8, 3), GlobalAvgPool2d()]
    return Network([*layers, Linear(classes)], input_shape, seed=seed, engine="reference")


def write_data(folder: Path) -> None:
    """Ten images a file, each class with a brightness of its own."""
    rng = np.random.default_rng(0)
    for name in (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"):
        pixels = rng.integers(0, 30, (10, 3072)) + 22 * np.arange(10)[:, None]
        (folder / name).write_bytes(np.column_stack([np.arange(10), pixels]).astype(np.uint8).tobytes())


def test_a_run_leaves_its_history_model_and_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo, "resnet_cifar", small, raising=False)
    write_data(tmp_path)
    app, out = typer.Typer(), tmp_path / "run"
    app.command()(example().main)

    told = CliRunner().invoke(app, ["--data-dir", str(tmp_path), "--out", str(out), "--epochs=3", "--batch-size=16"])

    assert told.exit_code == 0, told.output
    data, network = load_dataset("cifar10", tmp_path), Network.load(out / "model.safetensors", engine="reference")
    tested = network.evaluate(data.x_test, data.y_test)
    result = json.loads((out / "result.json").read_text())
    assert result["accuracy"] == tested["accuracy"]
    assert f"test accuracy {tested['accuracy']:.2%} after 3 epochs in " in told.output
    assert network.regularization == (L2(5e-4),)
    assert network.input_mean is not None
    np.testing.assert_allclose(network.input_mean.ravel(), data.x_train.mean(axis=(0, 2, 3)) / 255, rtol=1e-6)

    with (out / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[-1]["val_accuracy"]) == tested["accuracy"]
    # Four batches an epoch; the rate falls from its highest, at three tenths, along half a cosine wave.
    last = 0.2 / 25e4
    assert float(rows[-1]["learning_rate"]) == pytest.approx(
        last + (0.2 - last) / 2 * (1 + math.cos(math.pi * (2.75 - 0.9) / 2.1))
    )
