"""ModelCheckpoint: a model file after every epoch, or after every better one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pellucid.errors import ConfigError
from pellucid.interop.atomic import make_folder
from pellucid.training.callbacks.base import Logs
from pellucid.training.callbacks.monitor import MonitorCallback

#: columns that are not known before the epoch ends
_AT_THE_END = ("learning_rate", "seconds")


class ModelCheckpoint(MonitorCallback):
    """Write the network as a model file while it trains; :meth:`Network.load <pellucid.Network.load>` reads it.

    A model file is for using the network. To go on with a training as if nothing had happened takes more than the
    weights, and is what ``fit``'s checkpoints are for.

    As Keras's, except that every file has both description and weights (there is no ``save_weights_only``), and that
    files are written whole or not at all.

    Args:
        filepath: the file. ``"{epoch:02d}-{val_loss:.2f}.safetensors"`` has the epoch, from 1, and the figures of the
            history put in; with ``save_freq`` in batches also ``{batch}``, from 1, and only figures of the training.
            Folders are made.
        monitor: a column of the history: ``"val_loss"``, ``"val_accuracy"``, ``"loss"``, ...
        verbose: 1 prints a line for every file.
        save_best_only: write only when the figure is the best so far.
        mode: ``"min"`` if lower is better, ``"max"`` if higher is; ``"auto"`` takes ``"max"`` for accuracies.
        save_freq: ``"epoch"``, or a number of batches.
        initial_value_threshold: with ``save_best_only``, what the first figure must be better than already.

    Attributes:
        best: the best figure so far; None before the first.

    Raises:
        ConfigError: a setting is out of range; or, as training starts, the file's name or ``monitor`` asks for a figure
            that there will not be.
        FileWriteError: a file cannot be written; if its folder is the reason, before training.
    """

    def __init__(
        self,
        filepath: str | Path,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        mode: Literal["auto", "min", "max"] = "auto",
        save_freq: Literal["epoch"] | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode)
        if save_freq != "epoch" and (not isinstance(save_freq, int) or save_freq < 1):  # pyright: ignore
            raise ConfigError(f"ModelCheckpoint: save_freq must be 'epoch' or a number of batches, got {save_freq!r}")
        self.filepath = str(filepath)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_freq = save_freq
        self.initial_value_threshold = initial_value_threshold
        self.start_over()

    def on_train_begin(self, logs: Logs) -> None:
        """Forget the last training, and see that there will be what the file's name and ``monitor`` ask for."""
        self.start_over()
        known = [name for name in logs["columns"] if name != "epoch"]
        if self.save_freq != "epoch":
            known = ["batch", *(name for name in known if name not in _AT_THE_END and not name.startswith("val_"))]
        if self.save_best_only:
            self.require_monitored(known)
        self._path(0, {name: 1 if name == "batch" else 0.5 for name in known})
        folder = Path(self.filepath).parent
        if "{" not in str(folder):
            make_folder(folder)

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        """Note which epoch it is."""
        self._epoch = epoch

    def on_batch_end(self, batch: int, logs: Logs) -> None:
        """Write the file, if it is time by the batches."""
        if self.save_freq == "epoch":
            return
        self._batches += 1
        if self._batches >= int(self.save_freq):
            self._batches = 0
            self._write(self._epoch, {**logs, "batch": batch + 1})

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Write the file, if it is time by the epochs."""
        if self.save_freq == "epoch":
            self._write(epoch, logs)

    def state_dict(self) -> dict[str, Any]:
        """Return the best figure, and the batches since the last file."""
        return {"best": self.best, "batches": self._batches}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take them up."""
        self.best, self._batches = state["best"], state["batches"]

    def _write(self, epoch: int, figures: Logs) -> None:
        if self.save_best_only and not self.improved(figures):
            return
        path = self._path(epoch, figures)
        make_folder(path.parent)
        self.network.save(path)
        if self.verbose:
            print(f"epoch {epoch + 1}: ModelCheckpoint wrote {path}")

    def _path(self, epoch: int, figures: Logs) -> Path:
        values = {**figures, "epoch": epoch + 1}
        try:
            return Path(self.filepath.format(**values))
        except (KeyError, IndexError, ValueError, AttributeError) as error:
            raise ConfigError(
                f"ModelCheckpoint cannot make a file name of {self.filepath!r} ({type(error).__name__}: {error}); "
                f"there are {', '.join(f'{{{name}}}' for name in values)}"
            ) from error

    def start_over(self) -> None:
        """Forget the last training."""
        self.best = self.initial_value_threshold
        self._epoch = self._batches = 0
