import csv
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pellucid import Network
from pellucid.data import load_dataset

pytest.importorskip("sklearn", reason="the digits come with scikit-learn")

DATA = Path(__file__).parents[2] / "../shared/data"
QUICK = ("train", "--limit", 60, "--epochs", 2)
PELLUCID = (sys.executable, "-c", "from pellucid.cli import main; main()")


def test_the_run_folder_holds_what_was_printed(cli, tmp_path):
    folder = tmp_path / "deep" / "run"
    told = cli.json(*QUICK, "--validation-split", 0.2, "--l2", 0.001, "--seed", 3, "--run-dir", folder)

    names = {"config.toml", "model.safetensors", "history.csv", "curves.png", "result.json"}
    assert {path.name for path in folder.iterdir()} == names
    assert json.loads((folder / "result.json").read_text()) == told
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")

    rows = list(csv.DictReader((folder / "history.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert {key: float(value) for key, value in rows[-1].items()} == told["training"]
    assert "val_accuracy" in told["training"]

    assert told["model"] == told["data"] == "digits"
    assert told["run_dir"] == str(folder)
    expected = {
        "model": "digits",
        "data": "digits",
        "data_dir": None,
        "limit": 60,
        "epochs": 2,
        "batch_size": 32,
        "optimizer": {
            "type": "Adam",
            "learning_rate": 0.003,
            "clip_norm": None,
            "clip_value": None,
            "max_norm": None,
            "betas": [0.9, 0.999],
            "eps": 1e-8,
        },
        "learning_rate": None,
        "validation_split": 0.2,
        "batch_norm": False,
        "seed": 3,
        "dtype": "float32",
        "engine": Network.load(folder / "model.safetensors").engine,
        "l2": 0.001,
    }
    assert {name: told["settings"][name] for name in expected} == expected
    assert told["machine"].keys() == {"processor", "instruction_set", "threads", "memory"}
    assert told["versions"]["numpy"] == np.__version__
    assert (told["parameters"], told["training_samples"], told["epochs"]) == (9_930, 60, 2)
    assert told["interrupted"] is False


def test_the_figures_are_those_of_the_saved_model(cli, tmp_path):
    told = cli.json(*QUICK, "--l2", 0.001, "--run-dir", tmp_path)
    net, data = Network.load(tmp_path / "model.safetensors"), load_dataset("digits")
    p = net.predict(data.x_test)
    right = p.argmax(axis=1) == data.y_test
    test = told["test"]
    assert test["samples"] == len(data.y_test) == 355
    assert test["accuracy"] == pytest.approx(right.mean())
    assert test["loss"] == pytest.approx(-np.log(p[np.arange(355), data.y_test]).mean(), rel=1e-5)
    counts = np.array(test["confusion_matrix"])
    assert counts.shape == (10, 10)
    assert np.trace(counts) == right.sum()
    np.testing.assert_array_equal(counts.sum(axis=1), np.bincount(data.y_test))
    np.testing.assert_array_equal(counts.sum(axis=0), np.bincount(p.argmax(axis=1), minlength=10))
    assert [penalty.strength for penalty in net.regularization] == [0.001]


def test_tables_for_people(cli, tmp_path):
    folder = tmp_path / "[red]run"
    result = cli(*QUICK, "--run-dir", folder)
    assert re.match(r"digits test accuracy 0\.\d{4}, loss \d\.\d{4} \(355 images\)\n", result.stdout)
    assert "rows: true class, columns: predicted" in result.stdout
    rows = [line for line in result.stdout.splitlines() if line.startswith("│")]
    assert [row.split("│")[1].strip() for row in rows] == [str(k) for k in range(10)]
    assert f"wrote config.toml, model.safetensors, history.csv, curves.png, result.json to {folder}\n" in result.stdout
    assert re.fullmatch(r"(epoch \d/2  loss \S+  accuracy \S+  \S+ s\n){2}", result.stderr)


def test_defaults_learn_the_digits_and_name_the_folder(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = cli.json("train")
    assert told["test"]["accuracy"] >= 0.97
    assert re.fullmatch(r"runs/digits-digits-\d{8}-\d{6}", told["run_dir"])
    assert (tmp_path / told["run_dir"] / "model.safetensors").is_file()


def test_two_runs_in_one_second_get_two_folders(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = {cli.json("train", "--limit", 20, "--epochs", 1)["run_dir"] for _ in range(3)}
    assert len(folders) == len(list((tmp_path / "runs").iterdir())) == 3


def test_the_same_seed_gives_the_same_model(cli, tmp_path):
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        cli(*QUICK, "--seed", seed, "--run-dir", tmp_path / name)
    a, b, c = ((tmp_path / name / "model.safetensors").read_bytes() for name in "abc")
    assert a == b != c


def test_a_training_that_was_killed_goes_on(cli, tmp_path):
    """Killed between two epochs, as far as the files tell: the second half of a run is missing."""
    line = ("train", "--limit", 60, "--validation-split", 0.2, "--checkpoint-seconds", 1e-9, "--seed", 4)
    whole = cli.json(*line, "--epochs", 4, "--run-dir", tmp_path / "whole")
    cli(*line, "--epochs", 2, "--run-dir", tmp_path / "killed")
    for path in (tmp_path / "killed").iterdir():
        if path.is_file() and path.name != "config.toml":
            path.unlink()
    resumed = cli("train", "--epochs", 4, "--resume", tmp_path / "killed")
    assert re.findall(r"epoch \d/4", resumed.stderr) == ["epoch 3/4", "epoch 4/4"]
    models = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "killed")]
    assert models[0] == models[1]
    result = json.loads((tmp_path / "killed" / "result.json").read_text())
    assert (result["epochs"], result["test"], result["settings"]) == (4, whole["test"], whole["settings"])
    text = cli.error(*line, "--epochs", 4, "--batch-size", 16, "--resume", tmp_path / "killed")
    assert "CheckpointError: " in text
    assert "holds checkpoints of another training: batch_size was 32 and is 16. Go on with the data" in text
    assert "holds checkpoints of an earlier training" in cli.error(*line, "--run-dir", tmp_path / "killed")


def test_a_training_that_cannot_go_on(cli, tmp_path):
    cli(*QUICK, "--run-dir", tmp_path / "run")
    weights = (tmp_path / "run" / "model.safetensors").read_bytes()
    assert cli.error("train", "--resume", tmp_path / "run") == (
        f"ConfigError: {tmp_path}/run holds no checkpoints to go on from; train writes them with --checkpoint-seconds"
    )
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == weights
    for path in (tmp_path / "no", tmp_path, tmp_path / "run" / "config.toml"):
        text = f"DataError: {path} is no run folder: it holds neither config.toml nor result.json"
        assert cli.error("train", "--resume", path) == text
    for option in ("--config", "--run-dir"):
        refused = cli("train", "--resume", tmp_path / "run", option, tmp_path / "run", code=2)
        assert "--resume goes on in its own folder with its settings; leave" in " ".join(
            re.split(r"[\s│]+", refused.stderr)
        )


def test_options_reach_the_network(cli, tmp_path):
    options = (
        "--model",
        "grishin",
        "--batch-norm",
        "--dtype",
        "float64",
        "--batch-size",
        16,
        "--optimizer",
        "momentum",
    )
    told = cli.json("train", "--limit", 40, "--epochs", 1, *options, "--run-dir", tmp_path)
    net = Network.load(tmp_path / "model.safetensors")
    assert net.dtype == np.float64
    assert (net.input_shape, net.output_shape) == ((1, 8, 8), (10,))
    assert net.parameters["bn1.weight"].shape == (6, 8, 8)
    assert net.step == 3  # 40 images in batches of 16
    assert told["settings"]["batch_norm"] is True
    # The recipe's learning rate is Adam's; momentum takes its own.
    assert (told["settings"]["optimizer"]["type"], told["settings"]["optimizer"]["momentum"]) == ("SGD", 0.9)
    assert told["training"]["learning_rate"] == 0.1


def test_nguyen_on_mnist_as_the_documents_say(tmp_path):
    if not (DATA / "mnist").is_dir():
        pytest.skip("needs MNIST in ../shared/data/mnist")
    line = "train --model nguyen --data mnist --limit 6000 --epochs 1 --engine reference --seed 0 --json --data-dir"
    ended = subprocess.run([*PELLUCID, *line.split(), DATA], cwd=tmp_path, capture_output=True, text=True, check=True)
    told = json.loads(ended.stdout)
    assert ended.stderr == ""
    assert told["training_samples"] == 6000
    assert told["test"]["samples"] == 10_000
    assert told["test"]["accuracy"] > 0.88
    assert sum(map(sum, told["test"]["confusion_matrix"])) == 10_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "lenet"), "ConfigError: no network called 'lenet' in the zoo; there are digits, grishin, lenet5"),
        (("--data", "digit"), "ConfigError: no data set called 'digit' (did you mean 'digits'?); there are digits"),
        (
            ("--data", "mnist", "--data-dir", "/nowhere"),
            "DataNotFoundError: the data set 'mnist' was not found. Looked in",
        ),
        (("--model", "nguyen"), "ShapeError: layer 'conv2' does not fit"),
        (("--batch-norm",), "ConfigError: digits has no setting 'batch_norm'"),
        (("--dtype", "float16"), "ConfigError: dtype must be 'float32' or 'float64', got 'float16'"),
        (("--engine", "warp"), "ConfigError: no engine called 'warp'"),
        (("--optimizer", "adams"), "ConfigError: no optimizer called 'adams'"),
        (("--learning-rate", "nan"), "ConfigError: Adam: learning_rate must be a"),
        (("--l2", "-1"), "ConfigError: L2: strength must be finite and not negative"),
        (("--validation-split", "1"), "ConfigError: validation_split must be at least 0 and less than 1"),
        (("--optimizer", "sgd", "--learning-rate", "1e30"), "NonFiniteError: epoch 1, batch "),
    ],
)
def test_errors_leave_no_folder_behind(cli, tmp_path, monkeypatch, arguments, message):
    monkeypatch.delenv("PELLUCID_DATA_DIR", raising=False)
    assert cli.error("train", "--limit", 100, *arguments, "--run-dir", tmp_path / "run").startswith(message)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--epochs", "0"), "--epochs"),
        (("--batch-size", "many"), "--batch-size"),
        (("--seed", "-1"), "--seed"),
        (("--fast",), "No such option: --fast"),
        (("digits",), "unexpected extra argument"),
    ],
)
def test_wrong_usage(cli, arguments, named):
    result = cli("train", *arguments, code=2)
    assert named in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_an_unwritable_folder_is_found_before_training(cli, tmp_path, monkeypatch, as_json):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(Network, "fit", lambda *_, **__: pytest.fail("training began"))
    for folder, reason in ((tmp_path / "file" / "run", "Not a directory"), (tmp_path / "file", "File exists")):
        result = cli("train", "--run-dir", folder, *as_json, code=3)
        expected = f"cannot write to the folder {folder}: {reason}; choose another one"
        assert result.stderr == f"error: {expected}\n"
        if as_json:
            assert json.loads(result.stdout) == {"error": {"type": "FileWriteError", "message": expected}}


def test_without_matplotlib_there_is_a_note_and_no_picture(cli, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = cli(*QUICK, "--run-dir", tmp_path)
    assert result.stderr.count("matplotlib") == 1
    assert 'no curves.png, for matplotlib is not installed: pip install "pellucid[plot]"' in result.stderr
    names = {"config.toml", "model.safetensors", "history.csv", "result.json"}
    assert {path.name for path in tmp_path.iterdir()} == names


@pytest.mark.parametrize(("model", "engine", "epoch"), [("digits", "reference", 2), ("grishin", "native", 20)])
def test_ctrl_c_still_writes_a_model(model, engine, epoch, tmp_path):
    if engine == "native":
        pytest.importorskip("pellucid._native", reason="installed without a C++ compiler")
    options = ["--model", model, "--engine", engine, "--epochs", "100000", "--limit", "200", "--run-dir", str(tmp_path)]
    command = [*PELLUCID, "train", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith(f"epoch {epoch}/"):
                break
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert "warning: training interrupted" in stderr
    assert "interrupted after " in stdout
    told = json.loads((tmp_path / "result.json").read_text())
    assert told["interrupted"] is True
    assert told["test"] is None
    assert epoch <= told["epochs"] == len((tmp_path / "history.csv").read_text().splitlines()) - 1
    data = load_dataset("digits")
    assert Network.load(tmp_path / "model.safetensors").evaluate(data.x_test, data.y_test)["accuracy"] > 0.4


def test_ctrl_c_before_training(cli, tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("pellucid.data.load_dataset", interrupt)
    told = cli.json("train", "--run-dir", tmp_path / "run", code=130)
    assert told == {"error": {"type": "KeyboardInterrupt", "message": "interrupted"}}
    assert not (tmp_path / "run").exists()


def test_off_a_terminal_there_is_no_bar(tmp_path):
    command = [*PELLUCID, *map(str, QUICK), "--run-dir", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "\x1b" not in ended.stdout + ended.stderr
    assert "\r" not in ended.stderr
    assert [line.split()[:2] for line in ended.stderr.splitlines()] == [["epoch", "1/2"], ["epoch", "2/2"]]


def test_on_a_terminal_the_bar_stays_off_standard_output(tmp_path):
    pty = pytest.importorskip("pty", reason="needs a pseudo-terminal")
    import os

    ours, theirs = pty.openpty()
    command = [*PELLUCID, *map(str, QUICK), "--json", "--run-dir", str(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=theirs, env={**os.environ, "TERM": "xterm"}
    ) as process:
        stdout, _ = process.communicate(timeout=60)
    os.close(theirs)
    shown = os.read(ours, 1 << 20)
    os.close(ours)
    assert json.loads(stdout)["epochs"] == 2
    assert b"\x1b[" in shown
    assert b"epoch 2/2" in shown


def test_ctrl_c_while_testing_keeps_the_model(cli, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("pellucid.cli.train.measure", interrupt)
    cli(*QUICK, "--run-dir", tmp_path, code=130)
    assert Network.load(tmp_path / "model.safetensors").step == 4


def test_a_failure_leaves_an_earlier_run_as_it_was(cli, tmp_path):
    cli(*QUICK, "--run-dir", tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    spoilt = ("--optimizer", "sgd", "--learning-rate", "1e30")
    assert cli.error(*QUICK, *spoilt, "--run-dir", tmp_path).startswith("NonFiniteError")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_settings_are_there_while_it_trains(cli, tmp_path, monkeypatch):
    fit, seen = Network.fit, []

    def look(*args, **settings):
        seen.extend(path.name for path in tmp_path.iterdir())
        return fit(*args, **settings)

    monkeypatch.setattr(Network, "fit", look)
    cli(*QUICK, "--run-dir", tmp_path)
    assert seen == ["config.toml"]
