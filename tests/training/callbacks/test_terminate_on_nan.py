from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small_training import make, train

from pellucid.errors import NonFiniteError
from pellucid.training import Callback, TerminateOnNaN


class Spoil(Callback):
    """Put a NaN among the weights in the second epoch."""

    def __init__(self) -> None:
        self.good: dict[str, Any] = {}
        self.ended: list[Any] = []

    def on_epoch_begin(self, epoch: int, logs: Any) -> None:
        if epoch == 1:
            self.network.parameters["0.weight"][0, 0] = np.nan

    def on_batch_end(self, batch: int, logs: Any) -> None:
        if batch == 1:  # its loss is the last that is finite, for the third batch's is taken with these weights
            self.good = {name: value.copy() for name, value in self.network.tensors().items()}

    def on_train_end(self, logs: Any) -> None:
        self.ended.append(dict(logs))


def test_training_ends_with_a_warning_and_the_history():
    network, spoil = make(), Spoil()
    with pytest.warns(UserWarning, match=r"training ended: epoch 2, batch 1: the loss is nan\. The first output"):
        history = train(network, spoil, TerminateOnNaN(), epochs=5)
    assert history.stopped == "not finite"
    assert history["epoch"] == [1]
    assert spoil.ended == [history.rows[0]]
    assert network.step == 2
    for name, value in network.tensors().items():
        np.testing.assert_array_equal(value, spoil.good[name])


def test_without_it_the_same_is_an_error():
    with pytest.raises(NonFiniteError, match="epoch 2, batch 1: the loss is nan"):
        train(make(), Spoil(), epochs=5)


def test_a_healthy_training_does_not_notice():
    listened, plain = make(), make()
    assert train(listened, TerminateOnNaN(), epochs=2).stopped is None
    train(plain, epochs=2)
    np.testing.assert_array_equal(listened.flat_parameters, plain.flat_parameters)
