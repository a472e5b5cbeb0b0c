from __future__ import annotations

from typing import Any

import pytest
from small_training import make, train

from pellucid.training import Callback


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
