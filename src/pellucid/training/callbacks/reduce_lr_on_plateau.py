"""ReduceLROnPlateau: lower the learning rate when a figure has stopped becoming better."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from pellucid.errors import ConfigError
from pellucid.training.callbacks.base import Logs
from pellucid.training.callbacks.monitor import MonitorCallback


class ReduceLROnPlateau(MonitorCallback):
    """Multiply the learning rate with a factor when a figure has not become better for some epochs.

    With a constant rate this is Keras's. A schedule goes on, and all that comes of it from then on is scaled; so
    ``min_lr`` bounds what this callback does, not what the schedule asks for.

    Args:
        monitor: a column of the history: ``"val_loss"``, ``"val_accuracy"``, ``"loss"``, ...
        factor: of one reduction, above 0 and below 1.
        patience: epochs in a row without a better figure after which to reduce.
        verbose: 1 prints a line at every reduction.
        mode: ``"min"`` if lower is better, ``"max"`` if higher is; ``"auto"`` takes ``"max"`` for accuracies.
        min_delta: by how much a figure must be better to count as better.
        cooldown: epochs after a reduction in which none is counted as without a better figure.
        min_lr: a reduction ends here at the latest.

    Attributes:
        best: the best figure so far; None before the first epoch.

    Raises:
        ConfigError: a setting is out of range; or, as training starts, the history will have no such column.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: Literal["auto", "min", "max"] = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        if not 0 < factor < 1:
            raise ConfigError(f"ReduceLROnPlateau: factor must be above 0 and below 1, got {factor!r}")
        for name, value in (("patience", patience), ("cooldown", cooldown), ("min_lr", min_lr)):
            if not 0 <= value < math.inf:
                raise ConfigError(f"ReduceLROnPlateau: {name} must be finite and not negative, got {value!r}")
        self.factor = factor
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.min_lr = min_lr
        self.start_over()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Compare the figure with the best so far, and reduce the rate if it is time."""
        self._cooling = max(0, self._cooling - 1)
        if self.improved(logs) or self._cooling:
            self._worse = 0
        else:
            self._worse += 1
            rate = float(logs["learning_rate"])
            # Scaled to the bound, a rate may come out above it by a rounding.
            if self._worse >= self.patience and rate > self.min_lr and not math.isclose(rate, self.min_lr):
                self._reduce(epoch, rate)

    def state_dict(self) -> dict[str, Any]:
        """Return the best figure, what has been counted, and the factor so far."""
        return {
            "best": self.best,
            "worse": self._worse,
            "cooling": self._cooling,
            "rate_factor": self.rate_factor,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take them up."""
        self.best, self._worse = state["best"], state["worse"]
        self._cooling, self.rate_factor = state["cooling"], state["rate_factor"]

    def _reduce(self, epoch: int, old: float) -> None:
        new = max(old * self.factor, self.min_lr)
        self.rate_factor *= new / old
        self._worse, self._cooling = 0, self.cooldown
        if self.verbose:
            print(f"epoch {epoch + 1}: ReduceLROnPlateau reduces the learning rate from {old:g} to {new:g}")

    def start_over(self) -> None:
        """Forget the last training."""
        super().start_over()
        self._worse = self._cooling = 0
        self.rate_factor = 1.0
