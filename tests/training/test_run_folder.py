import hashlib
import json
import sys
import tomllib

import pytest

from pellucid import Network
from pellucid.errors import FileWriteError, PellucidError
from pellucid.layers import Linear
from pellucid.training.history import History
from pellucid.training.run_folder import RunFolder, checksum, machine_facts, versions

ROWS = [{"epoch": 1, "loss": 0.5, "accuracy": 0.75}, {"epoch": 2, "loss": 0.25, "accuracy": 1.0}]


def network():
    return Network([Linear(2)], (3,))


def history(rows=()):
    return History(("epoch", "loss", "accuracy"), list(rows))


def test_folders_above_it_are_made_and_nothing_is_left_in_it(tmp_path):
    folder = RunFolder.create(tmp_path / "a" / "b")
    assert folder.path == tmp_path / "a" / "b"
    assert list(folder.path.iterdir()) == []
    assert RunFolder.create(folder.path).path == folder.path


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
    with pytest.raises(FileWriteError, match=r"cannot write to the folder .*file/run: Not a directory; choose another"):
        RunFolder.create(tmp_path / "file" / "run")


def test_a_folder_that_cannot_be_written_to(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.touch", refuse)
    with pytest.raises(FileWriteError, match=r"cannot write to the folder .*: Permission denied; choose another"):
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


def test_settings_are_toml_under_what_repeats_the_run(tmp_path):
    settings = {"name": 'ü "quoted"\\', "none": None, "rate": 1e-5, "list": [1, 2], "deep": {"none": None, "x": True}}
    assert RunFolder.create(tmp_path).write_config(settings, "do it --with") == "config.toml"
    text = (tmp_path / "config.toml").read_text(encoding="utf-8")
    assert text.startswith("# This repeats the run: do it --with config.toml\n# It ran on pellucid ")
    expected = {"name": 'ü "quoted"\\', "rate": 1e-5, "list": [1, 2], "deep": {"x": True}}
    assert tomllib.loads(text) == expected


def fails(folder, *, trained):
    """Come to an error after settings were written; behind a model, if ``trained``."""

    def run():
        with RunFolder.create(folder) as run:
            run.write_config({"epochs": 1}, "train")
            if trained:
                run.write_training(network(), history())
            raise PellucidError("too bad")

    with pytest.raises(PellucidError, match="too bad"):
        run()


def test_settings_of_a_run_that_failed_vanish(tmp_path):
    fails(tmp_path / "run", trained=False)
    assert not (tmp_path / "run").exists()


def test_settings_of_an_earlier_run_come_back(tmp_path):
    RunFolder.create(tmp_path).write_config({"epochs": 7}, "train")
    before = (tmp_path / "config.toml").read_bytes()
    fails(tmp_path, trained=False)
    assert (tmp_path / "config.toml").read_bytes() == before


def test_settings_stay_beside_what_else_there_is(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    fails(tmp_path, trained=False)
    fails(tmp_path / "run", trained=True)
    for folder in (tmp_path, tmp_path / "run"):
        assert tomllib.loads((folder / "config.toml").read_text()) == {"epochs": 1}


def test_the_checksum_is_that_of_the_numbers():
    net, same = network(), network()
    weight, bias = net.parameters["0.weight"], net.parameters["0.bias"]
    told = b"0.bias <f4 (2,) " + bias.tobytes() + b"0.weight <f4 (2, 3) " + weight.tobytes()
    assert checksum(net) == checksum(same) == hashlib.sha256(told).hexdigest()
    weight[0, 0] += 1
    assert checksum(net) != checksum(same)


def test_the_machine_is_that_of_the_engine_which_runs():
    facts = machine_facts(Network([Linear(2)], (3,), engine="reference"))
    assert (facts["instruction_set"], facts["threads"]) == (None, None)
    pytest.importorskip("pellucid._native", reason="installed without a C++ compiler")
    facts = machine_facts(Network([Linear(2)], (3,), n_jobs=1))
    assert facts["instruction_set"] in ("baseline", "avx2", "avx512", "neon")
    assert facts["threads"] == 1
