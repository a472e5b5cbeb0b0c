"""EarlyStopping: stop when a figure has not become better for some epochs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pellucid.errors import ConfigError
from pellucid.training.callbacks.base import Logs
from pellucid.training.callbacks.monitor import MonitorCallback
from pellucid.training.snapshot import Snapshot


class EarlyStopping(MonitorCallback):
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
        super().__init__(monitor, mode, min_delta)
        self.patience = patience
        self.restore_best_weights = restore_best_weights
        self.start_over()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Compare the figure with the best so far."""
        if self.improved(logs):
            self.best_epoch, self._worse = epoch + 1, 0
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

    def start_over(self) -> None:
        """Forget the last training."""
        super().start_over()
        self.best_epoch: int | None = None
        self._worse = 0
        self._snapshot: Snapshot | None = None
