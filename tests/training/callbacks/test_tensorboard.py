"""TensorBoard's own reader is the oracle."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_training import make, train

from pellucid.errors import ConfigError, FileWriteError
from pellucid.training import Callback, TensorBoard


def events(folder: Path) -> Any:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    return accumulator.EventAccumulator(
        str(folder), size_guidance={"scalars": 0, "tensors": 0, "histograms": 0}
    ).Reload()


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return steps and values by tag."""
    read = events(folder)
    return {tag: [(event.step, event.value) for event in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


def single(values: list[float]) -> list[float]:
    """Return numbers as the file has them, in float32."""
    return np.array(values, np.float32).tolist()


def test_the_figures_of_every_epoch(tmp_path: Path):
    history = train(make(), TensorBoard(tmp_path), epochs=3, validation_split=0.2)
    assert scalars(tmp_path / "train") == {
        f"epoch_{name}": list(enumerate(single(history[name]))) for name in ("loss", "accuracy", "learning_rate")
    }
    assert scalars(tmp_path / "validation") == {
        f"epoch_{name}": list(enumerate(single(history[f"val_{name}"]))) for name in ("loss", "accuracy")
    }


def test_without_validation_there_is_no_folder_for_it(tmp_path: Path):
    train(make(), TensorBoard(tmp_path / "a" / "b"), epochs=1)
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["train"]


@pytest.mark.parametrize(
    ("update_freq", "steps"), [("batch", range(1, 7)), (1, range(1, 7)), (2, (2, 4, 6)), (4, (4,))]
)
def test_the_figures_of_batches(tmp_path: Path, update_freq: Any, steps: Any):
    class Means(Callback):
        losses: list[float]

        def on_train_begin(self, logs: Any) -> None:
            self.losses = []

        def on_batch_end(self, batch: int, logs: Any) -> None:
            self.losses.append(logs["loss"])

    means = Means()
    train(make(), means, TensorBoard(tmp_path, update_freq=update_freq), epochs=2)
    found = scalars(tmp_path / "train")
    assert found["batch_loss"] == [(step, np.float32(means.losses[step - 1])) for step in steps]
    assert [step for step, _ in found["batch_accuracy"]] == list(steps)
    assert [step for step, _ in found["epoch_loss"]] == [0, 1]


def test_histograms_of_the_weights(tmp_path: Path):
    network = make()
    train(network, TensorBoard(tmp_path, histogram_freq=2), epochs=3)
    read = events(tmp_path / "train")
    assert read.Tags()["histograms"] == list(network.parameters)
    for name, value in network.parameters.items():
        first, last = read.Histograms(name)
        assert (first.step, last.step) == (0, 2)
        assert last.histogram_value.num == value.size
        assert last.histogram_value.sum == pytest.approx(value.sum(dtype=np.float64), rel=1e-9)


def test_a_second_training_leaves_the_files_of_the_first(tmp_path: Path):
    train(make(), TensorBoard(tmp_path), epochs=1)
    (first,) = (tmp_path / "train").iterdir()
    before = first.read_bytes()
    train(make(), TensorBoard(tmp_path), epochs=1)
    assert len(list((tmp_path / "train").iterdir())) == 2
    assert first.read_bytes() == before


def epoch(board: TensorBoard, number: int) -> None:
    board.on_epoch_end(number, {"epoch": number + 1, "loss": 0.5**number, "val_loss": 2.0**number, "seconds": 1.0})


def test_a_resumed_training_goes_on_in_its_files_as_they_were_at_the_checkpoint(tmp_path: Path):
    killed, resumed = TensorBoard(tmp_path), TensorBoard(tmp_path)
    begin = {"columns": ("epoch", "loss", "val_loss", "seconds")}
    killed.on_train_begin(begin)
    epoch(killed, 0)
    state = killed.state_dict()
    epoch(killed, 1)
    resumed.on_train_begin(begin)
    resumed.load_state_dict(state)
    epoch(resumed, 1)
    epoch(resumed, 2)
    assert scalars(tmp_path / "train") == {"epoch_loss": [(0, 1), (1, 0.5), (2, 0.25)]}
    assert scalars(tmp_path / "validation") == {"epoch_loss": [(0, 1), (1, 2), (2, 4)]}
    assert [len(list((tmp_path / kind).iterdir())) for kind in ("train", "validation")] == [1, 1]


def test_files_that_were_taken_away_are_left_out_of_a_checkpoint(tmp_path: Path):
    board, resumed = TensorBoard(tmp_path), TensorBoard(tmp_path)
    for one in (board, resumed):
        one.on_train_begin({"columns": ("epoch", "loss", "val_loss", "seconds")})
        for path in (tmp_path / "validation").iterdir():
            path.unlink()
    state = board.state_dict()
    assert list(state) == ["train"]
    resumed.load_state_dict(state)
    epoch(resumed, 0)
    assert scalars(tmp_path / "train") == {"epoch_loss": [(0, 1)]}


def test_a_resumed_training_whose_files_are_gone_begins_new_ones(tmp_path: Path):
    killed, resumed = TensorBoard(tmp_path), TensorBoard(tmp_path)
    begin = {"columns": ("epoch", "loss", "val_loss", "seconds")}
    killed.on_train_begin(begin)
    epoch(killed, 0)
    state = killed.state_dict()
    for path in (tmp_path / "train").iterdir():
        path.unlink()
    resumed.on_train_begin(begin)
    resumed.load_state_dict(state)
    epoch(resumed, 1)
    assert scalars(tmp_path / "train") == {"epoch_loss": [(1, 0.5)]}
    assert scalars(tmp_path / "validation") == {"epoch_loss": [(0, 1), (1, 2)]}


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"histogram_freq": -1}, "TensorBoard: histogram_freq must not be negative, got -1"),
        ({"update_freq": 0}, "TensorBoard: update_freq must be 'epoch', 'batch' or a number of batches, got 0"),
        (
            {"update_freq": "step"},
            "TensorBoard: update_freq must be 'epoch', 'batch' or a number of batches, got 'step'",
        ),
        ({"update_freq": 2.5}, "TensorBoard: update_freq must be 'epoch', 'batch' or a number of batches, got 2.5"),
    ],
)
def test_bad_settings_are_told(settings: dict[str, Any], text: str):
    with pytest.raises(ConfigError, match=re.escape(text)):
        TensorBoard(**settings)


def test_an_unwritable_folder_is_told_before_training(tmp_path: Path):
    (tmp_path / "file").touch()
    network = make()
    with pytest.raises(FileWriteError, match=r"cannot write to the folder .*file/train: Not a directory; choose"):
        train(network, TensorBoard(tmp_path / "file"))
    assert network.step == 0


def test_a_folder_that_vanishes_is_told(tmp_path: Path):
    class Vanish(Callback):
        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            if epoch == 1:
                for path in (tmp_path / "train").iterdir():
                    path.unlink()
                (tmp_path / "train").rmdir()

    with pytest.raises(FileWriteError, match=r"cannot write .*events\.out\.tfevents\..*: No such file or directory"):
        train(make(), Vanish(), TensorBoard(tmp_path), epochs=3)
