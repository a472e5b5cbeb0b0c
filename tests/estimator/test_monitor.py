from __future__ import annotations

from collections.abc import Iterator
from math import inf

import numpy as np
import pytest

from pellucid import Network
from pellucid.estimator.monitor import Monitor
from pellucid.layers import Linear
from pellucid.training import Callback, History


def stopped_at(figures: list[float], patience: float, tol: float) -> int:
    """Return after how many epochs with these losses a monitor stops."""
    monitor = Monitor(patience, tol)
    for epoch, figure in enumerate(figures):
        monitor.on_epoch_end(epoch, {"loss": figure})
        if monitor.stop_training:
            return epoch + 1
    return -1


@pytest.mark.parametrize(
    ("losses", "patience", "tol", "expected"),
    [
        ([3, 2, 1, 0], 1, 0.5, -1),
        ([3, 2, 2, 2, 2], 1, 0.5, 4),
        ([3, 2, 1.75, 1.5, 1.25], 1, 0.5, 4),  # each better, none by 0.5
        ([3, 2, 5, 1, 5, 5, 5], 2, 0.5, 7),
        ([3, 3, 3, 3], inf, 0.5, -1),
        ([3, 3, 3, 3], 1, 0.0, -1),  # no worse counts as better by 0
    ],
)
def test_when_it_stops(losses: list[float], patience: float, tol: float, expected: int) -> None:
    assert stopped_at(losses, patience, tol) == expected


class Weights(Callback):
    """Keep the weights of every epoch."""

    def __init__(self) -> None:
        self.kept: list[np.ndarray] = []

    def on_epoch_end(self, epoch: int, logs: object) -> None:
        self.kept.append(self.network.flat_parameters.copy())


def train(scores: Iterator[float]) -> tuple[Network, Weights, Monitor, History]:
    network = Network([Linear(2)], (3,), n_jobs=1)
    weights, monitor = Weights(), Monitor(2, 0.0, lambda: next(scores))
    x = np.random.default_rng(0).normal(size=(20, 3))
    history = network.fit(x, np.arange(20) % 2, epochs=10, callbacks=[weights, monitor], verbose=0)
    return network, weights, monitor, history


def test_it_goes_back_to_the_best_score() -> None:
    network, weights, monitor, history = train(iter([0.5, 0.7, 0.6, 0.65, 0.6, 0.9]))
    assert monitor.scores == [0.5, 0.7, 0.6, 0.65, 0.6]
    assert monitor.losses == history["loss"]
    assert history.stopped == "early stopping"
    np.testing.assert_array_equal(network.flat_parameters, weights.kept[1])
