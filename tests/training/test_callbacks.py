from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from pellucid import Network
from pellucid.errors import ConfigError
from pellucid.layers import BatchNorm, Linear
from pellucid.training import Callback, EarlyStopping, History, fit


def make() -> Network:
    return Network([Linear(3), BatchNorm(), Linear(2)], input_shape=(3,), engine="reference")


def train(network: Network, *callbacks: Callback, **settings: Any) -> History:
    x, y = np.random.default_rng(0).normal(size=(10, 3)), np.arange(10) % 2
    return fit(network, x, y, callbacks=callbacks, **{"batch_size": 4, "verbose": 0, **settings})


class Told(Callback):
    """Write down every call."""

    def __init__(self, diary: list[Any], name: str = "") -> None:
        self.diary, self.name = diary, name

    def on_train_begin(self, logs: Any) -> None:
        self.diary.append((self.name, "train begin", dict(logs)))

    def on_epoch_begin(self, epoch: int, logs: Any) -> None:
        self.diary.append((self.name, "epoch begin", epoch, dict(logs)))

    def on_batch_end(self, batch: int, logs: Any) -> None:
        self.diary.append((self.name, "batch end", batch, sorted(logs)))

    def on_epoch_end(self, epoch: int, logs: Any) -> None:
        self.diary.append((self.name, "epoch end", epoch, dict(logs)))

    def on_train_end(self, logs: Any) -> None:
        self.diary.append((self.name, "train end", dict(logs)))


def test_callbacks_are_told_everything_in_order():
    diary: list[Any] = []
    network = make()
    first, second = Told(diary, "first"), Told(diary, "second")
    history = train(network, first, second, epochs=2)
    columns = ("epoch", "loss", "accuracy", "learning_rate", "seconds")
    expected: list[Any] = [("train begin", {"epochs": 2, "batches": 3, "epoch": 0, "columns": columns})]
    for epoch in (0, 1):
        expected += [("epoch begin", epoch, {})]
        expected += [("batch end", batch, ["accuracy", "loss"]) for batch in (0, 1, 2)]
        expected += [("epoch end", epoch, history.rows[epoch])]
    expected += [("train end", history.rows[1])]
    assert diary == [(name, *entry) for entry in expected for name in ("first", "second")]
    assert first.network is second.network is network


@pytest.mark.parametrize(("moment", "batches", "epochs"), [("on_batch_end", 1, 1), ("on_epoch_end", 3, 1)])
def test_a_callback_stops_training_at_the_next_chance(moment: str, batches: int, epochs: int):
    callback, diary = Callback(), list[Any]()
    setattr(callback, moment, lambda *_: setattr(callback, "stop_training", True))
    network = make()
    history = train(network, callback, Told(diary), epochs=5, validation_split=0.2, batch_size=3)
    assert network.step == batches
    assert len(history) == epochs
    assert history.stopped == "early stopping"
    assert history["val_loss"][0] > 0
    assert diary[-1][1] == "train end"
    # The wish is forgotten with the next training.
    delattr(callback, moment)
    assert train(network, callback, epochs=2).stopped is None


class Scripted(Callback):
    """Make an epoch's figure what the script says, and every tensor a sign of the epoch."""

    def __init__(self, column: str, figures: list[float]) -> None:
        self.column, self.figures = column, figures

    def on_epoch_end(self, epoch: int, logs: Any) -> None:
        logs[self.column] = self.figures[epoch]
        for value in self.network.tensors().values():
            value[...] = epoch + 1


def stop(figures: list[float], monitor: str = "loss", **settings: Any) -> tuple[int, EarlyStopping, float]:
    """Return the number of epochs run, the callback, and the epoch whose weights the network ends with."""
    network, stopping = make(), EarlyStopping(monitor, **settings)
    history = train(network, Scripted(monitor, figures), stopping, epochs=len(figures), learning_rate=0.0)
    (weights,) = {float(entry) for value in network.tensors().values() for entry in value.flat}
    assert history.stopped == (None if len(history) == len(figures) else "early stopping")
    return len(history), stopping, weights


@pytest.mark.parametrize(
    ("figures", "settings", "epochs", "best_epoch"),
    [
        ([5, 4, 4.5, 4.4, 4.3, 1, 1], {}, 5, 2),
        ([5, 4, 4.5, 3, 4.3, 3.1, 3.2, 1], {}, 7, 4),
        ([5, 4, 4, 9, 9], {"patience": 1}, 3, 2),
        ([5, 4, 4, 9, 9], {"patience": 0}, 3, 2),
        ([5, 4.9, 4.8, 4.4, 4.4, 4.4, 4.4, 0], {"min_delta": 0.5, "patience": 3}, 7, 4),
        ([5, 4.9, 4.8, 4.6, 0], {"min_delta": 0.5}, 4, 1),
        ([0.5, 0.52, 0.54, 0.9], {"monitor": "accuracy", "min_delta": 0.1, "patience": 2}, 3, 1),
        ([0.1, 0.5, 0.4, 0.3, 0.9], {"monitor": "accuracy", "patience": 2}, 4, 2),
        ([0.1, 0.5, 0.4, 0.3, 0.9], {"monitor": "accuracy", "patience": 2, "mode": "min"}, 3, 1),
        ([1, 2, 1.5, 1.2, 3], {"mode": "max", "patience": 2}, 4, 2),
        ([5, float("nan"), 4, float("nan"), 4, 4, 3], {"patience": 3}, 6, 3),
    ],
)
def test_early_stopping_waits_patiently_and_goes_back_to_the_best_epoch(
    figures: list[float], settings: dict[str, Any], epochs: int, best_epoch: int
):
    run, stopping, weights = stop(figures, **settings)
    assert run == epochs
    assert stopping.best_epoch == best_epoch
    assert stopping.best == figures[best_epoch - 1]
    assert weights == best_epoch


def test_early_stopping_goes_back_also_when_all_epochs_ran():
    assert stop([3, 2, 2.5])[::2] == (3, 2)


def test_early_stopping_leaves_the_last_weights_if_told_to():
    assert stop([5, 4, 4.5, 4.4, 4.3, 1], restore_best_weights=False)[::2] == (5, 5)


def test_early_stopping_forgets_the_last_training():
    stopping, network = EarlyStopping("loss", patience=2), make()
    assert train(network, Scripted("loss", [1, 2, 3, 4]), stopping, epochs=4).stopped == "early stopping"
    assert train(network, Scripted("loss", [9, 8, 7, 6]), stopping, epochs=4).stopped is None
    assert (stopping.best, stopping.best_epoch) == (6, 4)


def test_early_stopping_watches_validation_by_default():
    stopping, network = EarlyStopping(patience=2), make()
    x, y = np.random.default_rng(1).normal(size=(6, 3)), np.arange(6) % 2
    history = train(network, stopping, epochs=40, learning_rate=0.5, validation_data=(x, y))
    best = int(np.argmin(history["val_loss"]))
    assert stopping.best_epoch == best + 1
    assert len(history) == best + 3
    assert network.evaluate(x, y)["loss"] == pytest.approx(min(history["val_loss"]), rel=1e-6)


@pytest.mark.parametrize(
    ("monitor", "text"),
    [
        (
            "val_loss",
            "EarlyStopping monitors 'val_loss', but this training has epoch, loss, accuracy, learning_rate, seconds; "
            "give fit validation_data or validation_split",
        ),
        ("acuracy", "EarlyStopping monitors 'acuracy', but this training has epoch, loss, accuracy"),
    ],
)
def test_a_figure_that_will_not_exist_is_told_before_training(monitor: str, text: str):
    network = make()
    with pytest.raises(ConfigError, match=re.escape(text)):
        train(network, EarlyStopping(monitor))
    assert network.step == 0


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"patience": -1}, "EarlyStopping: patience must not be negative, got -1"),
        ({"min_delta": -0.1}, "EarlyStopping: min_delta must be finite and not negative, got -0.1"),
        ({"min_delta": float("nan")}, "EarlyStopping: min_delta must be finite and not negative, got nan"),
        ({"mode": "best"}, "EarlyStopping: mode must be 'auto', 'min' or 'max', got 'best'"),
    ],
)
def test_bad_settings_are_told(settings: dict[str, Any], text: str):
    with pytest.raises(ConfigError, match=re.escape(text)):
        EarlyStopping(**settings)
