from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_training import Scripted, make, train

from pellucid import Network
from pellucid.errors import ConfigError, FileWriteError
from pellucid.training import Callback, ModelCheckpoint


class Watch(Callback):
    """Keep the weights of every epoch and batch."""

    def __init__(self) -> None:
        self.epochs: list[np.ndarray] = []
        self.batches: list[np.ndarray] = []

    def on_batch_end(self, batch: int, logs: Any) -> None:
        self.batches.append(self.network.flat_parameters.copy())

    def on_epoch_end(self, epoch: int, logs: Any) -> None:
        self.epochs.append(self.network.flat_parameters.copy())


def weights(path: Path) -> np.ndarray:
    return Network.load(path).flat_parameters


def epoch_of(path: Path) -> float:
    """Return the epoch whose sign a scripted training has left in all weights."""
    (number,) = set(weights(path).tolist())
    return number


def test_a_file_for_every_epoch(tmp_path: Path):
    watch = Watch()
    history = train(
        make(), watch, ModelCheckpoint(tmp_path / "{epoch:02d}-{val_loss:.2f}.st"), epochs=3, validation_split=0.2
    )
    names = [f"{epoch:02d}-{loss:.2f}.st" for epoch, loss in zip((1, 2, 3), history["val_loss"], strict=True)]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    for name, expected in zip(names, watch.epochs, strict=True):
        np.testing.assert_array_equal(weights(tmp_path / name), expected)


def test_one_file_has_the_last_epoch(tmp_path: Path):
    path = tmp_path / "deep" / "folder" / "model.safetensors"
    network = make()
    train(network, ModelCheckpoint(path), epochs=2)
    np.testing.assert_array_equal(weights(path), network.flat_parameters)
    assert Network.load(path).step == 6
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("figures", "settings", "epochs"),
    [
        ([3, 2, 2.5, 1, 4], {}, {1, 2, 4}),
        ([3, 2, 2.5, 1, 4], {"mode": "max"}, {1, 5}),
        ([0.1, 0.3, 0.2], {"monitor": "accuracy"}, {1, 2}),
        ([3, 2, 2.5, 1, 4], {"initial_value_threshold": 2.2}, {2, 4}),
        ([3, 3, 3], {}, {1}),
    ],
)
def test_only_better_ones(tmp_path: Path, figures: list[float], settings: dict[str, Any], epochs: set[int]):
    given: dict[str, Any] = {"monitor": "loss", "save_best_only": True, **settings}
    many, one = (ModelCheckpoint(tmp_path / name, **given) for name in ("{epoch}.st", "best.st"))
    train(make(), Scripted(given["monitor"], figures), many, one, epochs=len(figures))
    assert {int(path.stem) for path in tmp_path.iterdir() if path.stem != "best"} == epochs
    assert epoch_of(tmp_path / "best.st") == max(epochs)
    assert many.best == figures[max(epochs) - 1]


def test_every_few_batches_also_across_epochs(tmp_path: Path):
    watch = Watch()
    train(make(), watch, ModelCheckpoint(tmp_path / "{epoch}-{batch}.st", save_freq=2), epochs=3)
    names = ["1-2.st", "2-1.st", "2-3.st", "3-2.st"]  # the 2nd, 4th, 6th and 8th of batches that come in threes
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    for name, batch in zip(names, (1, 3, 5, 7), strict=True):
        np.testing.assert_array_equal(weights(tmp_path / name), watch.batches[batch])


def test_a_line_for_every_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    train(make(), ModelCheckpoint(tmp_path / "{epoch}.st", verbose=1), epochs=2)
    assert capsys.readouterr().out == "".join(
        f"epoch {epoch}: ModelCheckpoint wrote {tmp_path}/{epoch}.st\n" for epoch in (1, 2)
    )


def test_its_state_goes_on_where_it_was(tmp_path: Path):
    begun, resumed = (
        ModelCheckpoint(tmp_path / "{epoch}-{batch}.st", "loss", save_best_only=True, save_freq=3) for _ in range(2)
    )
    for checkpoint in (begun, resumed):
        checkpoint.network = make()
        checkpoint.on_train_begin({"columns": ("epoch", "loss", "accuracy", "learning_rate", "seconds")})
        checkpoint.on_epoch_begin(4, {})
    for batch in range(5):
        begun.on_batch_end(batch, {"loss": 0.5})
    resumed.load_state_dict(begun.state_dict())
    resumed.on_batch_end(5, {"loss": 0.75})  # it is time, but this is no better
    for batch in (6, 7, 8):
        resumed.on_batch_end(batch, {"loss": 0.25})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["5-3.st", "5-9.st"]


@pytest.mark.parametrize(
    ("name", "settings", "text"),
    [
        (
            "{val_los}.st",
            {},
            "(KeyError: 'val_los'); there are {loss}, {accuracy}, {learning_rate}, {seconds}, {epoch}",
        ),
        ("{}.st", {}, "(IndexError: "),
        ("{epoch.st", {}, "(ValueError: "),
        ("{loss:d}.st", {}, "(ValueError: "),
        ("{batch}.st", {}, "(KeyError: 'batch')"),
        ("{loss.real.x}.st", {}, "(AttributeError: "),
        ("{seconds}.st", {"save_freq": 2}, "(KeyError: 'seconds'); there are {batch}, {loss}, {accuracy}, {epoch}"),
    ],
)
def test_a_name_that_asks_for_what_there_is_not(tmp_path: Path, name: str, settings: dict[str, Any], text: str):
    network = make()
    with pytest.raises(ConfigError, match=re.escape(text)) as caught:
        train(network, ModelCheckpoint(tmp_path / name, **settings))
    assert str(caught.value).startswith("ModelCheckpoint cannot make a file name of ")
    assert network.step == 0


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({}, "ModelCheckpoint monitors 'val_loss', but this training has loss, accuracy"),
        (
            {"monitor": "seconds", "save_freq": 2},
            "ModelCheckpoint monitors 'seconds', but this training has batch, loss",
        ),
    ],
)
def test_a_figure_that_will_not_exist(settings: dict[str, Any], text: str):
    with pytest.raises(ConfigError, match=re.escape(text)):
        train(make(), ModelCheckpoint("model.st", save_best_only=True, **settings))


@pytest.mark.parametrize("save_freq", [0, -1, 1.5, "batch"])
def test_bad_frequencies_are_told(save_freq: Any):
    with pytest.raises(ConfigError, match=f"save_freq must be 'epoch' or a number of batches, got {save_freq!r}"):
        ModelCheckpoint("model.st", save_freq=save_freq)


def test_a_folder_in_the_way_of_the_folder_is_told_before_training(tmp_path: Path):
    (tmp_path / "file").touch()
    network = make()
    with pytest.raises(FileWriteError, match=r"cannot write to the folder .*file: File exists; choose another one"):
        train(network, ModelCheckpoint(tmp_path / "file" / "model.st"))
    assert network.step == 0
