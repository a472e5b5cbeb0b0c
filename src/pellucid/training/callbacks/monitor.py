"""What the callbacks that watch one figure of the history have in common."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

from pellucid.errors import ConfigError
from pellucid.metrics import higher_is_better
from pellucid.training.callbacks.base import Callback, Logs


class MonitorCallback(Callback):
    """Base of the callbacks that watch a figure; the name is Keras's.

    Args:
        monitor: a column of the history: ``"val_loss"``, ``"val_accuracy"``, ``"loss"``, ...
        mode: ``"min"`` if lower is better, ``"max"`` if higher is; ``"auto"`` takes ``"max"`` for accuracies.
        min_delta: by how much a figure must be better to count as better.

    Attributes:
        best: the best figure so far; None before the first.

    Raises:
        ConfigError: a setting is out of range.
    """

    def __init__(self, monitor: str, mode: Literal["auto", "min", "max"], min_delta: float = 0.0) -> None:
        if not 0 <= min_delta < math.inf:
            raise ConfigError(f"{type(self).__name__}: min_delta must be finite and not negative, got {min_delta!r}")
        if mode not in ("auto", "min", "max"):
            raise ConfigError(f"{type(self).__name__}: mode must be 'auto', 'min' or 'max', got {mode!r}")
        self.monitor = monitor
        self.mode = mode
        self.min_delta = min_delta
        self.best: float | None = None

    def on_train_begin(self, logs: Logs) -> None:
        """Forget the last training, and see that there will be something to watch."""
        self.start_over()
        self.require_monitored(logs["columns"])

    def start_over(self) -> None:
        """Forget the last training."""
        self.best = None

    def improved(self, logs: Logs) -> bool:
        """Tell whether the figure is better than the best so far, and keep it if it is. The first always is.

        Raises:
            ConfigError: there is no such figure.
        """
        self.require_monitored(logs)
        figure = float(logs[self.monitor])
        if self.best is None or self._better(figure, self.best):
            self.best = figure
            return True
        return False

    def require_monitored(self, columns: Iterable[str]) -> None:
        """Raise ConfigError if there is nothing to watch."""
        if self.monitor not in columns:
            hint = "; give fit validation_data or validation_split" if self.monitor.startswith("val_") else ""
            raise ConfigError(
                f"{type(self).__name__} monitors {self.monitor!r}, but this training has {', '.join(columns)}{hint}"
            )

    def _better(self, figure: float, best: float) -> bool:
        higher = self.mode == "max" or (self.mode == "auto" and higher_is_better(self.monitor))
        return figure > best + self.min_delta if higher else figure < best - self.min_delta
