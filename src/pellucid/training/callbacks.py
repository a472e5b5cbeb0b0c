"""Callbacks: what listens to a training and may stop it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias

from pellucid.errors import ConfigError
from pellucid.network import Network
from pellucid.training.snapshot import Snapshot

Logs: TypeAlias = Mapping[str, Any]


class Callback:
    """Base of all callbacks. Override the moments you need; the names are Keras's.

    Epochs and batches count from 0 here, as in Keras; :class:`~pellucid.training.History` counts epochs from 1. What
    a callback raises ends the training and reaches the caller of ``fit``.

    Where a training is resumed from a checkpoint in the middle of an epoch, :meth:`on_train_begin` and that epoch's
    :meth:`on_epoch_begin` come again, with the network as it was; after them :meth:`load_state_dict`.

    Attributes:
        network: the network being trained; ``fit`` sets it before :meth:`on_train_begin`. Changes to its weights count.
        stop_training: set it to True, at any moment, to end training after the batch and epoch in progress: no more
            batches, but the epoch is still validated and recorded.

    Example:
        >>> class PrintLoss(Callback):
        ...     def on_epoch_end(self, epoch, logs):
        ...         print(epoch, logs["loss"])
    """

    network: Network
    stop_training: bool = False

    def on_train_begin(self, logs: Logs) -> None:
        """Listen to the start.

        Args:
            logs: ``"epochs"`` and ``"batches"`` (of one epoch) to come; ``"epoch"``, the first of them, which is not 0
                where a training is resumed; ``"columns"``, the names that the logs of :meth:`on_epoch_end` will have.
        """

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        """Listen to the start of an epoch; ``logs`` is empty."""

    def on_batch_end(self, batch: int, logs: Logs) -> None:
        """Listen to the end of a training step.

        Args:
            batch: from 0.
            logs: the means of loss and metric over the epoch so far, worked out when they are read: a callback that
                does not look costs nothing.
        """

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Listen to the end of an epoch; ``logs`` is its row of the history."""

    def on_train_end(self, logs: Logs) -> None:
        """Listen to the end, whether all epochs ran or training was stopped, was interrupted or failed.

        Args:
            logs: the last row of the history; empty if there is none.
        """

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps, to go on as if nothing had happened: arrays, or JSON types, by name."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned; ``fit`` calls it where it resumes a training."""


class EarlyStopping(Callback):
    """Stop when a figure has not become better for some epochs.

    However training ends, also after Ctrl-C or an error, the network then has the weights and running statistics of
    its best epoch, unless ``restore_best_weights`` is off. Its step goes on counting.

    Args:
        monitor: a column of the history: ``"val_loss"``, ``"val_accuracy"``, ``"loss"``, ...
        patience: epochs in a row without a better figure after which to stop.
        min_delta: by how much a figure must be better to count as better.
        mode: ``"min"`` if lower is better, ``"max"`` if higher is; ``"auto"`` takes ``"max"`` for accuracies.
        restore_best_weights: whether to go back to the best epoch at the end.

    Attributes:
        best: the best figure so far; None before the first epoch.
        best_epoch: its epoch, counted from 1 as in the history; None before the first.

    Raises:
        ConfigError: a setting is out of range; or, as training starts, the history will have no such column.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 3,
        min_delta: float = 0.0,
        mode: Literal["auto", "min", "max"] = "auto",
        restore_best_weights: bool = True,
    ) -> None:
        if patience < 0:
            raise ConfigError(f"EarlyStopping: patience must not be negative, got {patience!r}")
        if not 0 <= min_delta < math.inf:
            raise ConfigError(f"EarlyStopping: min_delta must be finite and not negative, got {min_delta!r}")
        if mode not in ("auto", "min", "max"):
            raise ConfigError(f"EarlyStopping: mode must be 'auto', 'min' or 'max', got {mode!r}")
        self.monitor = monitor
        self.patience = patience
        self.min_delta = min_delta
        self.mode = mode
        self.restore_best_weights = restore_best_weights
        self._start_over()

    def on_train_begin(self, logs: Logs) -> None:
        """Forget the last training, and see that there will be something to watch."""
        self._start_over()
        self._require(logs["columns"])

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Compare the figure with the best so far."""
        self._require(logs)
        figure = float(logs[self.monitor])
        if self.best is None or self._better(figure, self.best):
            self.best, self.best_epoch, self._worse = figure, epoch + 1, 0
            if self.restore_best_weights:
                # A new object each time: Ctrl-C while it is being filled leaves the one before in place.
                self._snapshot = Snapshot(self.network)
            return
        self._worse += 1
        if self._worse >= self.patience:
            self.stop_training = True

    def on_train_end(self, logs: Logs) -> None:
        """Put the best weights back."""
        if self._snapshot is not None:
            self._snapshot.put_back()

    def state_dict(self) -> dict[str, Any]:
        """Return the best figure, its epoch and its weights, and for how many epochs there was no better one."""
        best = {} if self._snapshot is None else {str(i): array for i, array in enumerate(self._snapshot.kept)}
        return {"best": self.best, "best_epoch": self.best_epoch, "worse": self._worse, **best}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on waiting."""
        self.best, self.best_epoch, self._worse = state["best"], state["best_epoch"], state["worse"]
        if "0" in state:
            self._snapshot = Snapshot(self.network)
            for i, array in enumerate(self._snapshot.kept):
                array[...] = state[str(i)]

    def _start_over(self) -> None:
        self.best: float | None = None
        self.best_epoch: int | None = None
        self._worse = 0
        self._snapshot: Snapshot | None = None

    def _better(self, figure: float, best: float) -> bool:
        higher = self.mode == "max" or (self.mode == "auto" and self.monitor.endswith("accuracy"))
        return figure > best + self.min_delta if higher else figure < best - self.min_delta

    def _require(self, columns: Iterable[str]) -> None:
        if self.monitor not in columns:
            hint = "; give fit validation_data or validation_split" if self.monitor.startswith("val_") else ""
            raise ConfigError(
                f"EarlyStopping monitors {self.monitor!r}, but this training has {', '.join(columns)}{hint}"
            )
