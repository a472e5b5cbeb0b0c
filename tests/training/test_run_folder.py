import json
import sys

import pytest

from pellucid import Network
from pellucid.errors import ConfigError, PellucidError
from pellucid.layers import Linear
from pellucid.training.history import History
from pellucid.training.run_folder import RunFolder, versions

ROWS = [{"epoch": 1, "loss": 0.5, "accuracy": 0.75}, {"epoch": 2, "loss": 0.25, "accuracy": 1.0}]


def network():
    return Network([Linear(2)], (3,))


def history(rows=()):
    return History(("epoch", "loss", "accuracy"), list(rows))


def test_folders_above_it_are_made_and_nothing_is_left_in_it(tmp_path):
    folder = RunFolder.create(tmp_path / "a" / "b")
    assert folder.path == tmp_path / "a" / "b"
    assert list(folder.path.iterdir()) == []
    assert RunFolder.create(folder.path) == folder


def test_what_it_holds(tmp_path):
    folder, net = RunFolder.create(tmp_path), network()
    assert folder.write_training(net, history(ROWS)) == ("model.safetensors", "history.csv", "curves.png")
    assert folder.write_result({"accuracy": 0.5, "name": "ü"}) == "result.json"
    loaded = Network.load(tmp_path / "model.safetensors")
    assert (loaded.parameters["0.weight"] == net.parameters["0.weight"]).all()
    assert (tmp_path / "history.csv").read_text() == "epoch,loss,accuracy\n1,0.5,0.75\n2,0.25,1.0\n"
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "result.json").read_text()) == {"accuracy": 0.5, "name": "ü"}


def test_no_picture_without_epochs_or_without_matplotlib(tmp_path, monkeypatch):
    folder = RunFolder.create(tmp_path)
    assert folder.write_training(network(), history()) == ("model.safetensors", "history.csv")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert folder.write_training(network(), history(ROWS)) == ("model.safetensors", "history.csv")
    assert not (tmp_path / "curves.png").exists()


def test_an_earlier_run_is_replaced(tmp_path):
    (tmp_path / "result.json").write_text("old")
    RunFolder.create(tmp_path).write_result({})
    assert (tmp_path / "result.json").read_text() == "{}\n"


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        ConfigError, match=r"cannot write to the run folder .*file/run: Not a directory; choose another"
    ):
        RunFolder.create(tmp_path / "file" / "run")


def test_a_folder_that_cannot_be_written_to(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.touch", refuse)
    with pytest.raises(ConfigError, match=r"cannot write to the run folder .*: Permission denied; choose another"):
        RunFolder.create(tmp_path)


def test_it_vanishes_after_an_error_if_it_is_empty(tmp_path):
    with pytest.raises(PellucidError, match="too bad"), RunFolder.create(tmp_path / "empty"):
        raise PellucidError("too bad")
    assert not (tmp_path / "empty").exists()
    RunFolder.create(tmp_path / "full").write_result({})
    with pytest.raises(PellucidError, match="too bad"), RunFolder.create(tmp_path / "full"):
        raise PellucidError("too bad")
    assert (tmp_path / "full" / "result.json").exists()
    with RunFolder.create(tmp_path / "fine"):
        pass
    assert (tmp_path / "fine").exists()


def test_versions_name_what_runs():
    assert versions()["python"] == ".".join(map(str, sys.version_info[:3]))
    assert versions().keys() == {"pellucid", "numpy", "python", "platform"}
