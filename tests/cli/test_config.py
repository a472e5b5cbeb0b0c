"""``pellucid train --config``: a run again, from what it wrote down or from what somebody wrote."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from pellucid.cli import app, config
from pellucid.cli.train import train
from pellucid.errors import ConfigError

pytest.importorskip("sklearn", reason="the digits come with scikit-learn")


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes longer than the trainings."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)


def sha256(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--optimizer", "nesterov", "--learning-rate", 0.05, "--seed", 7, "--validation-split", 0.25, "--l2", 1e-4),
        ("--model", "grishin", "--batch-norm", "--dtype", "float64", "--batch-size", 16),
        ("--model", "grishin", "--engine", "reference", "--optimizer", "adamw", "--limit", 30),
    ],
)
def test_a_run_is_repeated_exactly(cli: Any, tmp_path: Path, options: tuple[Any, ...]):
    first = cli.json("train", "--limit", 60, "--epochs", 2, *options, "--run-dir", tmp_path / "a")
    again = cli.json("train", "--config", tmp_path / "a" / "config.toml", "--run-dir", tmp_path / "b")
    third = cli.json("train", "--config", tmp_path / "b", "--run-dir", tmp_path / "c")
    assert sha256(tmp_path / "a") == sha256(tmp_path / "b") == sha256(tmp_path / "c")
    assert first["weights"] == again["weights"] == third["weights"]
    assert first["settings"] == again["settings"] == third["settings"]
    assert first["test"] == again["test"]
    assert (tmp_path / "a" / "config.toml").read_bytes() == (tmp_path / "b" / "config.toml").read_bytes()


def test_a_schedule_is_written_down_too(cli: Any, tmp_path: Path):
    text = """
        epochs = 2
        limit = 60
        [optimizer]
        type = "AdamW"
        weight_decay = 0.1
        clip_norm = 1
        [optimizer.learning_rate]
        type = "LinearWarmup"
        warmup_epochs = 1
        [optimizer.learning_rate.then]
        type = "OneCycle"
        learning_rate = 0.02
    """
    cli.json("train", "--config", write(tmp_path / "ü.toml", text), "--run-dir", tmp_path / "a")
    expected = {
        "type": "AdamW",
        "learning_rate": {
            "type": "LinearWarmup",
            "then": {
                "type": "OneCycle",
                "learning_rate": 0.02,
                "pct_start": 0.3,
                "div_factor": 25.0,
                "final_div_factor": 1e4,
            },
            "warmup_epochs": 1.0,
            "start_factor": 0.1,
        },
        "betas": [0.9, 0.999],
        "eps": 1e-8,
        "weight_decay": 0.1,
        "clip_norm": 1.0,
    }
    assert tomllib.loads((tmp_path / "a" / "config.toml").read_text())["optimizer"] == expected
    cli("train", "--config", tmp_path / "a", "--run-dir", tmp_path / "b")
    assert sha256(tmp_path / "a") == sha256(tmp_path / "b")
    # Half a batch into the warm-up's second of two batches: then(0)·(0.1 + 0.9·½) at epoch ½.
    rate = (tmp_path / "a" / "history.csv").read_text().splitlines()[1].split(",")[3]
    assert float(rate) == pytest.approx(0.02 / 25 * (0.1 + 0.9 / 2))


def test_all_settings_are_written_down_resolved(cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    told = cli.json("train", "--limit", 40, "--epochs", 1, "--engine", "reference", "--data-dir", "data")
    folder = tmp_path / told["run_dir"]
    written = tomllib.loads((folder / "config.toml").read_text())
    expected = {
        "model": "digits",
        "data": "digits",
        "data_dir": str(tmp_path / "data"),
        "limit": 40,
        "epochs": 1,
        "batch_size": 32,
        "optimizer": {"type": "Adam", "learning_rate": 0.003, "betas": [0.9, 0.999], "eps": 1e-8},
        "l2": 0.0,
        "validation_split": 0.0,
        "batch_norm": False,
        "dtype": "float32",
        "engine": "reference",
        "seed": 0,
    }
    assert {name: written[name] for name in expected} == expected
    assert "learning_rate" not in written  # it is the optimizer's now
    settings = told["settings"]
    assert set(settings) == set(config.settings_of(train))
    assert set(written) == {name for name, value in settings.items() if value is not None}


def test_the_heading_says_how_to_repeat_the_run_and_what_it_ran_on(run_dir: Path):
    lines = (run_dir / "config.toml").read_text().splitlines()
    versions = json.loads((run_dir / "result.json").read_text())["versions"]
    assert lines[0] == "# This repeats the run: pellucid train --config config.toml"
    assert lines[1] == "# It ran on " + ", ".join(f"{name} {version}" for name, version in versions.items()) + "."


def test_the_engine_that_ran_is_written_down(cli: Any, tmp_path: Path):
    cli("train", "--limit", 20, "--epochs", 1, "--dtype", "float64", "--run-dir", tmp_path)
    assert tomllib.loads((tmp_path / "config.toml").read_text())["engine"] == "reference"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), {"epochs": 2, "seed": 3, "optimizer": {"type": "SGD", "momentum": 0.9, "learning_rate": 0.02}}),
        (("--epochs", 1, "--seed", 0), {"epochs": 1, "seed": 0}),
        (("--learning-rate", 0.5), {"optimizer": {"type": "SGD", "momentum": 0.9, "learning_rate": 0.5}}),
        # The file's rate was for the file's optimizer.
        (("--optimizer", "adam"), {"optimizer": {"type": "Adam", "learning_rate": 0.001}}),
        (("--optimizer", "sgd", "--learning-rate", 0.3), {"optimizer": {"type": "SGD", "learning_rate": 0.3}}),
    ],
)
@pytest.mark.parametrize(
    "optimizer",
    [
        'optimizer = "momentum"\nlearning_rate = 0.02',
        'optimizer = {type = "SGD", momentum = 0.9, learning_rate = 0.02}',
        'learning_rate = 0.02\noptimizer = {type = "SGD", momentum = 0.9, learning_rate = 5}',
    ],
)
def test_the_command_line_comes_first(
    cli: Any, tmp_path: Path, options: tuple[Any, ...], expected: dict[str, Any], optimizer: str
):
    path = write(tmp_path / "run.toml", f"limit = 20\nepochs = 2\nseed = 3\n{optimizer}\n")
    told = cli.json("train", "--config", path, *options, "--run-dir", tmp_path / "run")["settings"]
    for name, value in expected.items():
        found = told[name] if name != "optimizer" else {key: told[name][key] for key in value}
        assert found == value


BAD = [
    (
        "epoch = 3",
        "there is no setting 'epoch' (did you mean 'epochs'?); there are batch_norm, batch_size, ",
    ),
    (
        "lerning_rate = 3",
        "there is no setting 'lerning_rate' (did you mean 'learning_rate'?); there are batch_norm, batch_size, ",
    ),
    (
        "xyzzy = 3",
        "there is no setting 'xyzzy'; there are batch_norm, batch_size, ",
    ),
    ('run_dir = "x"', "there is no setting 'run_dir'; there are"),
    ("[train]\nepochs = 3", "there is no setting 'train'; there are"),
    ('epochs = "ten"', "epochs must be a whole number; got 'ten', a string"),
    ("epochs = 2.0", "epochs must be a whole number; got 2.0, a number"),
    ("epochs = true", "epochs must be a whole number; got true, true or false"),
    ("epochs = 0", "epochs must be at least 1, got 0"),
    ("seed = -1", "seed must be at least 0, got -1"),
    ("batch_norm = 1", "batch_norm must be true or false; got 1, a whole number"),
    ("l2 = 1" + "0" * 400, "l2: int too large to convert to float"),
    ("l2 = [1]", "l2 must be a number; got [1], an array"),
    ("l2 = false", "l2 must be a number; got false, true or false"),
    ("data = 2026-01-01", "data must be a string; got datetime.date(2026, 1, 1), a date"),
    ("data_dir = {}", "data_dir must be a string; got {}, a table"),
    ("optimizer = 3", "optimizer must be a string, or a table of its settings; got 3, a whole number"),
    ("[optimizer]\nmomentum = 1", "optimizer: expected the description of a Optimizer, got {'momentum': 1}"),
    ('[optimizer]\ntype = "Adm"', "optimizer: unknown optimizer 'Adm'"),
    ('[optimizer]\ntype = ["Adam"]', "optimizer: expected the description of a Optimizer, got {'type': ['Adam']}"),
    ('[optimizer]\ntype = "ReLU"', "optimizer: unknown optimizer 'ReLU'"),
    (
        '[optimizer]\ntype = "Adam"\nbeta = 1',
        "optimizer: Adam has no setting 'beta' (did you mean 'betas'?); it has betas,",
    ),
    ('[optimizer]\ntype = "Adam"\neps = "x"', "optimizer: Adam: eps must be a finite number"),
    (
        '[optimizer]\ntype = "SGD"\n[optimizer.learning_rate]\ntype = "ReLU"',
        "optimizer: SGD: learning_rate must be a schedule or a finite number",
    ),
]


@pytest.mark.parametrize(("text", "message"), BAD)
def test_a_bad_setting_is_told_with_its_file(cli: Any, tmp_path: Path, text: str, message: str):
    path = write(tmp_path / "run.toml", f"{text}\n")
    told = cli.error("train", "--config", path, "--run-dir", tmp_path / "run")
    assert told.startswith(f"ConfigError: {path}: {message}")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"epochs = ", "is not a TOML file: Invalid value (at end of document)"),
        (b"epochs = 1\nepochs = 2\n", "is not a TOML file: Cannot overwrite a value (at line 2, column 11)"),
        (b"\xff\xfe", "is not a TOML file: 'utf-8' codec can't decode byte"),
        (b"a = " + b"[" * 100_000, "is not a TOML file: maximum recursion depth exceeded"),
        (b"epochs = 1" + b"0" * 5000, "is not a TOML file: Exceeds the limit (4300 digits) for integer string"),
        (b"\x00", "is not a TOML file: "),
    ],
)
def test_a_file_that_is_no_toml(cli: Any, tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "run.toml"
    path.write_bytes(content)
    assert cli.error("train", "--config", path).startswith(f"ConfigError: {path} {message}")


def test_a_file_that_is_missing(cli: Any, tmp_path: Path):
    assert cli.error("train", "--config", tmp_path / "run.toml") == (
        f"ConfigError: cannot read the settings in {tmp_path}/run.toml: No such file or directory"
    )
    assert f"{tmp_path}/config.toml: No such file" in cli.error("train", "--config", tmp_path)


def test_settings_that_contradict_the_data_are_told_as_on_the_command_line(cli: Any, tmp_path: Path):
    path = write(tmp_path / "run.toml", 'model = "nguyen"\ndtype = "float16"')
    assert cli.error("train", "--config", path).startswith("ConfigError: dtype must be 'float32' or 'float64', got")


def test_every_option_of_a_command_is_a_setting():
    """What config.py finds is what typer shows, less the places to write to."""
    shown = CliRunner().invoke(app, ["train", "--help"], env={"COLUMNS": "300"}).output
    options = {name.replace("-", "_") for name in re.findall(r"--([a-z][a-z0-9-]+)", shown)}
    described = {name for name in options if not name.startswith("no_")} - {"help", "json", *config.NOT_SETTINGS}
    assert set(config.settings_of(train)) == described


def test_limits_of_any_command_are_kept(tmp_path: Path):
    def command(share: Annotated[float, typer.Option(min=0, max=1)] = 0.5) -> None: ...

    assert config.settings_of(command) == {"share": config.Setting(float, 0, 1)}
    context: Any = type("Context", (), {"get_parameter_source": lambda *_: None})()
    assert config.overlay(context, {"share": 0.5}, command, write(tmp_path / "a", "share = 1"))["share"] == 1.0
    for value, message in (("1.5", "at most 1, got 1.5"), ("nan", "at least 0, got nan")):
        with pytest.raises(ConfigError, match=f"share must be {message}"):
            config.overlay(context, {}, command, write(tmp_path / "a", f"share = {value}"))
