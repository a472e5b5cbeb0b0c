import numpy as np
import pytest

from pellucid import Network
from pellucid.data import load_dataset
from pellucid.layers import Flatten, LeakyReLU, Linear


def test_figures(cli, model):
    metrics = pytest.importorskip("sklearn.metrics", reason="compares with scikit-learn")
    data = load_dataset("digits")
    p = Network.load(model).predict(data.x_test)
    told = cli.json("evaluate", model)
    assert told["model"] == str(model)
    assert told["data"] == "digits"
    assert told["samples"] == 355
    assert told["class_names"] == list("0123456789")
    assert told["accuracy"] == pytest.approx(metrics.accuracy_score(data.y_test, p.argmax(axis=1)))
    assert told["loss"] == pytest.approx(-np.log(p[np.arange(355), data.y_test]).mean(), rel=1e-5)
    assert told["confusion_matrix"] == metrics.confusion_matrix(data.y_test, p.argmax(axis=1)).tolist()


def test_limit_takes_the_first_images(cli, model):
    data = load_dataset("digits")
    right = Network.load(model).predict(data.x_test[:7]).argmax(axis=1) == data.y_test[:7]
    told = cli.json("evaluate", model, "--limit", 7)
    assert told["samples"] == 7
    assert told["accuracy"] == pytest.approx(right.mean())


def test_table(cli, model):
    told, result = cli.json("evaluate", model), cli("evaluate", model)
    accuracy, loss = told["accuracy"], told["loss"]
    assert result.stdout.startswith(f"digits test accuracy {accuracy:.4f}, loss {loss:.4f} (355 images)\n")
    rows = [line.split("│")[1:-1] for line in result.stdout.splitlines() if line.startswith("│")]
    shown = [[0 if cell.strip() == "·" else int(cell) for cell in row[1:]] for row in rows]
    assert shown == told["confusion_matrix"]
    assert result.stderr == ""


def test_long_class_names_stand_in_the_rows(cli, tmp_path, monkeypatch):
    data = load_dataset("digits")
    names = ("Ankle boot", *"123456789")
    monkeypatch.setattr("pellucid.data.load_dataset", lambda *_: type(data)(**{**vars(data), "class_names": names}))
    Network([Flatten(), Linear(10)], (1, 8, 8)).save(tmp_path / "m.safetensors")
    rows = [line for line in cli("evaluate", tmp_path / "m.safetensors").stdout.splitlines() if line.startswith("│")]
    assert rows[0].startswith("│ 0 Ankle boot │")
    assert rows[1].startswith("│ 1            │")


def test_a_model_with_more_classes_than_the_data(cli, tmp_path):
    Network([Flatten(), Linear(12)], (1, 8, 8)).save(tmp_path / "m.safetensors")
    told = cli.json("evaluate", tmp_path / "m.safetensors")
    assert np.array(told["confusion_matrix"]).shape == (12, 12)
    assert cli("evaluate", tmp_path / "m.safetensors").stdout.count("\n│") == 12


def test_errors(cli, model, tmp_path):
    assert cli.error("evaluate", tmp_path / "no.safetensors").startswith("ModelFileError: ")
    (tmp_path / "cut.safetensors").write_bytes(model.read_bytes()[:-100])
    assert cli.error("evaluate", tmp_path / "cut.safetensors").startswith("ModelFileError: ")
    Network([Flatten(), Linear(10)], (1, 28, 28)).save(tmp_path / "large.safetensors")
    assert cli.error("evaluate", tmp_path / "large.safetensors") == (
        "ShapeError: inputs have shape (355, 1, 8, 8), the network takes (N, 1, 28, 28)"
    )
    Network([Flatten(), Linear(4)], (1, 8, 8)).save(tmp_path / "few.safetensors")
    assert "out of range: the network has 4 outputs" in cli.error("evaluate", tmp_path / "few.safetensors")
    Network([Flatten(), Linear(1)], (1, 8, 8), loss="squared_error").save(tmp_path / "value.safetensors")
    assert cli.error("evaluate", tmp_path / "value.safetensors").startswith(
        "ConfigError: the model has a single output, so it tells no classes apart"
    )


def test_wrong_usage(cli, model):
    assert "Missing argument 'MODEL'" in cli("evaluate", code=2).stderr
    cli("evaluate", model, "--limit", 0, code=2)


@pytest.mark.filterwarnings("default::pellucid.errors.EngineWarning")
def test_a_model_that_falls_back_to_the_reference_engine_is_told_in_one_line(cli, tmp_path):
    layers = [Flatten(), LeakyReLU(-0.5), Linear(10)]
    Network(layers, (1, 8, 8), engine="reference").save(tmp_path / "m.safetensors")
    result = cli("evaluate", tmp_path / "m.safetensors")
    assert result.stderr == (
        "warning: the network runs on the slower reference engine: layer '1': LeakyReLU(negative_slope=-0.5): "
        "the native step takes the slope from y, which needs one that is not negative; "
        "engine='reference' says that this is meant\n"
    )
    assert cli("summary", tmp_path / "m.safetensors").stderr == ""
    assert cli("check", tmp_path / "m.safetensors", "--samples", 2).stderr == ""
