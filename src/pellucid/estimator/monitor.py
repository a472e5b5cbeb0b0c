"""Monitor: the callback that keeps an estimator's curves and decides when its training has come to an end."""

from __future__ import annotations

import math
from collections.abc import Callable

from pellucid.training.callbacks import Callback, Logs
from pellucid.training.snapshot import Snapshot


class Monitor(Callback):
    """Stop when the training loss, or the score on what was held out, has not become better for some epochs.

    With a score, the network ends with the weights of its best epoch.

    Args:
        patience: epochs in a row without a better figure that are let pass; infinite never stops.
        tol: by how much a figure must be better to count as better.
        score: tells how good the network is now, higher is better; None watches the training loss instead.

    Attributes:
        losses: the training loss of every epoch.
        scores: the score after every epoch; empty without one.
    """

    def __init__(self, patience: float, tol: float, score: Callable[[], float] | None = None) -> None:
        self.losses: list[float] = []
        self.scores: list[float] = []
        self._patience, self._tol, self._score = patience, tol, score
        self._best = -math.inf
        self._worse = 0
        self._snapshot: Snapshot | None = None

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Note the figures, and compare them with the best so far."""
        self.losses.append(float(logs["loss"]))
        figure = -self.losses[-1]
        if self._score is not None:
            figure = self._score()
            self.scores.append(figure)
        self._worse = 0 if figure >= self._best + self._tol else self._worse + 1
        if figure > self._best:
            self._best = figure
            if self._score is not None:
                # A new object each time: Ctrl-C while it is being filled leaves the one before in place.
                self._snapshot = Snapshot(self.network)
        if self._worse > self._patience:
            self.stop_training = True

    def on_train_end(self, logs: Logs) -> None:
        """Put the best weights back."""
        if self._snapshot is not None:
            self._snapshot.put_back()
