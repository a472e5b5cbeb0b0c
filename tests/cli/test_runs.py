"""``pellucid runs``: listing and comparing what runs have left."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest


def run(folder: Path, result: Any = None, config: str | None = None) -> Path:
    """Leave what a run leaves."""
    folder.mkdir(parents=True)
    if config is not None:
        (folder / "config.toml").write_text(config)
    if result is not None:
        (folder / "result.json").write_text(result if isinstance(result, str) else json.dumps(result))
    return folder


def result(accuracy: float, seed: int = 0, **more: Any) -> dict[str, Any]:
    settings = {"model": "nguyen", "data": "mnist", "seed": seed, "optimizer": {"type": "Adam", "eps": 1e-8}}
    return {
        "settings": settings,
        "epochs": 3,
        "seconds": 12.34,
        "interrupted": False,
        "test": {"accuracy": accuracy, "loss": 0.5},
        "training": {"loss": 0.25, "val_loss": 0.75},
        "parameters": 1000,
        "weights": "ab" * 32,
        "versions": {"numpy": "2.0"},
        "machine": {"processor": "Fast", "threads": 2},
        **more,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    runs = tmp_path / "runs"
    run(runs / "b", result(0.9876), 'model = "later"')
    run(runs / "a [red]", {**result(0.5), "interrupted": True, "test": None})
    run(runs / "c", None, 'model = "lenet5"\ndata = "usps"')
    run(runs / "other")
    (runs / "file").touch()
    return runs


def test_runs_are_listed_by_name(cli: Any, folder: Path):
    told = cli.json("runs", folder)
    assert told["folder"] == str(folder)
    common = {"epochs": 3, "seconds": 12.34, "weights": "ab" * 32}
    nguyen = {"model": "nguyen", "data": "mnist"}
    none = {"epochs": None, "seconds": None, "weights": None, "accuracy": None, "loss": None}
    interrupted = {"accuracy": None, "loss": None, "state": "interrupted"}
    finished = {"accuracy": 0.9876, "loss": 0.5, "state": "finished"}
    assert told["runs"] == [
        {"name": "a [red]", "path": f"{folder}/a [red]", **nguyen, **common, **interrupted},
        {"name": "b", "path": f"{folder}/b", **nguyen, **common, **finished},
        {"name": "c", "path": f"{folder}/c", "model": "lenet5", "data": "usps", **none, "state": "unfinished"},
    ]


def cells(text: str) -> list[list[str]]:
    """Return the cells of tables, headers too."""
    return [[cell.strip() for cell in re.split("[│┃]", line)[1:-1]] for line in text.splitlines() if line[0] in "│┃"]


def test_the_list_for_people(cli: Any, folder: Path):
    assert cells(cli("runs", folder).stdout) == [
        ["name", "model", "data", "epochs", "accuracy", "seconds", "state"],
        ["a [red]", "nguyen", "mnist", "3", "–", "12.3", "interrupted"],
        ["b", "nguyen", "mnist", "3", "0.9876", "12.3", "finished"],
        ["c", "lenet5", "usps", "–", "–", "–", "unfinished"],
    ]


def test_without_a_folder_it_is_runs(cli: Any, folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder.parent)
    assert [row["path"] for row in cli.json("runs")["runs"]] == ["runs/a [red]", "runs/b", "runs/c"]


def test_a_single_run_is_a_list_of_one(cli: Any, folder: Path, monkeypatch: pytest.MonkeyPatch):
    assert [row["name"] for row in cli.json("runs", folder / "b")["runs"]] == ["b"]
    monkeypatch.chdir(folder / "b")
    assert [row["name"] for row in cli.json("runs", ".")["runs"]] == ["b"]


def test_no_runs(cli: Any, tmp_path: Path):
    assert cli("runs", tmp_path).stdout == f"no runs in {tmp_path}\n"
    assert cli.json("runs", tmp_path) == {"folder": str(tmp_path), "runs": []}
    expected = f"ConfigError: cannot look for runs in {tmp_path}/none: No such file or directory"
    assert cli.error("runs", tmp_path / "none") == expected


def test_settings_that_differ_and_figures_are_compared(cli: Any, tmp_path: Path):
    a = run(tmp_path / "a", result(0.9))
    other = result(0.8, seed=1, weights="cd" * 32, seconds=99, machine={"processor": "Slow", "threads": 2})
    other["settings"]["optimizer"] = {"type": "SGD", "momentum": 0.9}
    b = run(tmp_path / "b", other)
    told = cli.json("runs", a, b)
    assert told["runs"] == [str(a), str(b)]
    assert told["settings"] == {
        "seed": [0, 1],
        "optimizer.type": ["Adam", "SGD"],
        "optimizer.eps": [1e-8, None],
        "optimizer.momentum": [None, 0.9],
    }
    assert told["surroundings"] == {"processor": ["Fast", "Slow"]}
    assert told["figures"] == {
        "epochs": [3, 3],
        "accuracy": [0.9, 0.8],
        "loss": [0.5, 0.5],
        "training loss": [0.25, 0.25],
        "validation loss": [0.75, 0.75],
        "parameters": [1000, 1000],
        "seconds": [12.34, 99],
        "state": ["finished", "finished"],
        "weights": ["ab" * 32, "cd" * 32],
    }
    shown = cells(cli("runs", a, b).stdout)
    assert [row[0] for row in shown[:8]] == ["setting", *told["settings"], "ran on", "processor", "figure"]
    assert ["optimizer.eps", "1e-08", "–"] in shown
    assert ["weights", "abababababab", "cdcdcdcdcdcd"] in shown
    assert shown[0][1:] == [str(a), str(b)]


def test_the_same_settings(cli: Any, tmp_path: Path):
    folders = [run(tmp_path / name, result(0.9)) for name in "abc"]
    told = cli.json("runs", *folders)
    assert told["settings"] == told["surroundings"] == {}
    assert told["figures"]["accuracy"] == [0.9, 0.9, 0.9]
    text = cli("runs", *folders).stdout
    assert text.startswith("the settings are the same\n")
    assert "ran on" not in text


def test_runs_as_train_writes_them(cli: Any, run_dir: Path, tmp_path: Path):
    cli("train", "--config", run_dir, "--epochs", 1, "--run-dir", tmp_path / "again")
    result = json.loads((run_dir / "result.json").read_text())
    told = cli.json("runs", run_dir, tmp_path / "again")
    assert told["settings"] == {"epochs": [2, 1]}
    assert told["surroundings"] == {}
    assert told["figures"]["accuracy"][0] == result["test"]["accuracy"]
    assert told["figures"]["weights"][0] == result["weights"]
    shutil.copytree(run_dir, tmp_path / "killed")
    (tmp_path / "killed" / "result.json").unlink()
    assert (
        cli.json("runs", run_dir, tmp_path / "killed")["settings"]
        == {
            # What is None is not in the file.
        }
    )
    (row,) = cli.json("runs", tmp_path / "killed")["runs"]
    assert (row["model"], row["state"]) == ("digits", "unfinished")


@pytest.mark.filterwarnings("always")
@pytest.mark.parametrize(
    ("content", "config", "message"),
    [
        ("{", None, "result.json is damaged: it is not JSON (Expecting property name"),
        ("[" * 100_000, None, "result.json is damaged: it is not JSON (maximum recursion depth"),
        ("[]", None, "result.json is damaged: it holds no JSON object"),
        (None, "x = ", "config.toml is not a TOML file: Invalid value (at end of document)"),
    ],
)
def test_what_is_damaged_is_named_and_the_others_are_listed(
    cli: Any, folder: Path, content: str | None, config: str | None, message: str
):
    bad = run(folder / "bad", content, config)
    listed = cli("runs", folder, "--json")
    assert [row["name"] for row in json.loads(listed.stdout)["runs"]] == ["a [red]", "b", "c"]
    assert listed.stderr.startswith(f"warning: {bad}/{message}")
    assert f"Error: {bad}/{message}" in cli.error("runs", folder / "b", bad)


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"settings": 3, "test": [], "training": "x", "versions": 1, "machine": None, "epochs": {}, "seconds": "long"},
        '{"seconds": NaN, "epochs": Infinity, "test": {"accuracy": -Infinity}}',
    ],
)
def test_results_of_other_programs(cli: Any, folder: Path, odd: Any):
    run(folder / "odd", odd)
    assert [row["name"] for row in cli.json("runs", folder)["runs"]] == ["a [red]", "b", "c", "odd"]
    assert cells(cli("runs", folder).stdout)[-1] == ["odd", "–", "–", "–", "–", "–", "finished"]
    assert cli.json("runs", folder / "b", folder / "odd")["settings"]["model"] == ["nguyen", None]


def test_settings_that_json_does_not_know(cli: Any, folder: Path):
    odd = run(folder / "odd", None, 'model = "x"\nday = 2026-01-02\nl2 = nan')
    told = cli.json("runs", folder / "b", odd)["settings"]
    assert (told["day"], told["l2"]) == ([None, "2026-01-02"], [None, "NaN"])


def test_a_folder_that_is_no_run_cannot_be_compared(cli: Any, folder: Path):
    expected = f"DataError: {folder}/other is no run folder: it holds neither config.toml nor result.json"
    assert cli.error("runs", folder / "b", folder / "other") == expected
