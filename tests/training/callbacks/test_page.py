"""What docs/runs.md shows is what comes out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pellucid import Network, training
from pellucid.cli import app
from pellucid.training import recorded_runs

PAGE = (Path(__file__).parents[3] / "docs/runs.md").read_text()


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    return found


def test_the_callbacks_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("sklearn", reason="the page trains on scikit-learn's digits")
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {}
    exec(compile(block("python"), "docs/runs.md", "exec"), namespace)
    history, digits = namespace["history"], namespace["digits"]
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 6
    assert sorted(path.name for path in (tmp_path / "logs").iterdir()) == ["train", "validation"]
    best = Network.load(tmp_path / "best.safetensors")
    assert max(history["val_accuracy"]) > 0.9
    assert best.evaluate(digits.x_test, digits.y_test)["accuracy"] > 0.85


def test_the_settings_of_the_page(tmp_path: Path):
    pytest.importorskip("sklearn", reason="the page trains on scikit-learn's digits")
    (tmp_path / "run.toml").write_text(block("toml"))
    arguments = ["train", "--config", str(tmp_path / "run.toml"), "--run-dir", str(tmp_path / "run"), "--epochs", "1"]
    told = CliRunner().invoke(app, arguments)
    assert told.exit_code == 0, told.output
    settings = recorded_runs.read_run(tmp_path / "run").settings
    assert (settings["epochs"], settings["limit"]) == (1, 200)
    assert settings["optimizer"]["weight_decay"] == 0.1
    assert settings["optimizer"]["learning_rate"]["type"] == "OneCycle"


def test_the_page_names_every_callback():
    named = set(re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.MULTILINE))
    classes = {name for name, thing in vars(training).items() if isinstance(thing, type)}
    assert named == {name for name in classes if issubclass(getattr(training, name), training.Callback)} - {"Callback"}


def test_the_page_names_the_files_of_a_run(tmp_path: Path):
    pytest.importorskip("sklearn", reason="the page trains on scikit-learn's digits")
    told = CliRunner().invoke(app, ["train", "--limit", "20", "--epochs", "1", "--run-dir", str(tmp_path)])
    assert told.exit_code == 0, told.output
    assert all(f"`{path.name}`" in PAGE for path in tmp_path.iterdir())
