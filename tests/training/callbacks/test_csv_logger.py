from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import pytest
from small_training import make, train

from pellucid.errors import ConfigError, FileWriteError
from pellucid.training import Callback, CSVLogger


def rows(path: Path, separator: str = ",") -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter=separator))


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_it_is_the_history(tmp_path: Path, separator: str):
    path = tmp_path / "größe.csv"
    history = train(make(), CSVLogger(path, separator), epochs=3, validation_split=0.2)
    assert list(rows(path, separator)[0]) == list(history.columns)
    assert [{name: float(value) for name, value in row.items()} for row in rows(path, separator)] == history.rows
    assert [row["epoch"] for row in rows(path, separator)] == ["1", "2", "3"]


def test_it_grows_while_the_network_trains(tmp_path: Path):
    path = tmp_path / "log.csv"

    class Look(Callback):
        lines: list[int]

        def on_train_begin(self, logs: Any) -> None:
            self.lines = [len(path.read_text().splitlines())]

        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            self.lines.append(len(path.read_text().splitlines()))

    look = Look()
    train(make(), CSVLogger(path), look, epochs=3)
    assert look.lines == [1, 2, 3, 4]


def test_a_file_that_is_there_is_begun_anew_or_appended_to(tmp_path: Path):
    path = tmp_path / "log.csv"
    first = train(make(), CSVLogger(path), epochs=2)
    again = train(make(), CSVLogger(path), epochs=1)
    assert [float(row["seconds"]) for row in rows(path)] == again["seconds"]
    third = train(make(), CSVLogger(path, append=True), epochs=2)
    assert [float(row["seconds"]) for row in rows(path)] == again["seconds"] + third["seconds"]
    assert first.columns == third.columns


def test_appending_begins_a_file_that_is_missing_or_empty(tmp_path: Path):
    (tmp_path / "empty").touch()
    for name in ("missing", "empty"):
        train(make(), CSVLogger(tmp_path / name, append=True), epochs=1)
        assert [row["epoch"] for row in rows(tmp_path / name)] == ["1"]


def test_appending_keeps_a_line_that_was_cut_off_apart(tmp_path: Path):
    path = tmp_path / "log.csv"
    train(make(), CSVLogger(path), epochs=2)
    path.write_text(path.read_text()[:-3])
    train(make(), CSVLogger(path, append=True), epochs=1)
    assert [row["epoch"] for row in rows(path)] == ["1", "2", "1"]


def test_appending_to_other_columns_is_refused(tmp_path: Path):
    path = tmp_path / "log.csv"
    path.write_text("a,b\n1,2\n")
    expected = (
        f"CSVLogger cannot append to {path}: its first line is 'a,b', but this training has "
        "'epoch,loss,accuracy,learning_rate,seconds'; choose another file, or append=False"
    )
    with pytest.raises(ConfigError, match=re.escape(expected)):
        train(make(), CSVLogger(path, append=True), epochs=1)
    assert path.read_text() == "a,b\n1,2\n"


@pytest.mark.parametrize("append", [False, True])
def test_a_resumed_training_writes_each_epoch_once(tmp_path: Path, append: bool):
    path = tmp_path / "log.csv"
    begin = {"columns": ("epoch", "loss")}
    if append:
        path.write_text("epoch,loss\n1,9.0\n")
    killed, resumed = CSVLogger(path, append=append), CSVLogger(path, append=append)
    killed.on_train_begin(begin)
    killed.on_epoch_end(0, {"epoch": 1, "loss": 0.5})
    state = killed.state_dict()
    killed.on_epoch_end(1, {"epoch": 2, "loss": 0.25})  # after the checkpoint
    resumed.on_train_begin(begin)
    resumed.load_state_dict(state)
    resumed.on_epoch_end(1, {"epoch": 2, "loss": 0.25})
    assert path.read_text() == "epoch,loss\n" + "1,9.0\n" * append + "1,0.5\n2,0.25\n"


def test_what_cannot_be_written_is_told_before_training(tmp_path: Path):
    network = make()
    for path, reason in ((tmp_path / "none" / "log.csv", "there is no folder"), (tmp_path, "it is a folder")):
        with pytest.raises(FileWriteError, match=f"cannot write {re.escape(str(path))}: {reason}"):
            train(network, CSVLogger(path))
    assert network.step == 0


def test_bytes_that_are_no_text_are_not_appended_to(tmp_path: Path):
    path = tmp_path / "log.csv"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FileWriteError, match=r"CSVLogger cannot append to .*log\.csv: 'utf-8' codec can't decode"):
        train(make(), CSVLogger(path, append=True))
    assert path.read_bytes() == b"\xff\xfe\x00"


def test_a_full_disk_ends_the_training_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path, network = tmp_path / "log.csv", make()
    logger = CSVLogger(path)

    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device")

    class Fill(Callback):
        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            if epoch == 1:
                monkeypatch.setattr("pathlib.Path.open", refuse)

    with pytest.raises(FileWriteError, match=r"cannot write .*log\.csv: No space left on device"):
        train(network, Fill(), logger, epochs=5)
    monkeypatch.undo()
    assert [row["epoch"] for row in rows(path)] == ["1"]
    assert network.step == 6


@pytest.mark.parametrize("separator", ["", ", ", '"', "\n"])
def test_a_bad_separator_is_told(separator: str):
    with pytest.raises(ConfigError, match="CSVLogger: separator must be one character, no quote or line end; got"):
        CSVLogger("log.csv", separator)
