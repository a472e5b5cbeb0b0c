"""TensorBoard: the figures of a training as event files that TensorBoard shows."""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from time import time
from typing import Any, Literal

from pellucid.errors import ConfigError
from pellucid.interop.atomic import append, make_folder
from pellucid.training.callbacks import event_file
from pellucid.training.callbacks.base import Callback, Logs

#: tells apart the files that one process begins in one second
_numbers = itertools.count()


class TensorBoard(Callback):
    """Write event files for TensorBoard: ``tensorboard --logdir LOG_DIR`` draws the curves, also while it trains.

    Neither TensorFlow nor TensorBoard is needed to write them. As with Keras's, training figures go to ``train/``
    and validation figures to ``validation/``, as ``epoch_loss``, ``epoch_accuracy`` and ``epoch_learning_rate`` by
    epoch, from 0, and as ``batch_loss`` and ``batch_accuracy`` by the network's step. There are no graphs, images,
    profiles and embeddings. A training that goes on from a checkpoint goes on in its files, cut off at the checkpoint.

    Args:
        log_dir: the folder; it is made, and what is in it stays.
        histogram_freq: every so many epochs, how the numbers of each parameter are spread; 0 for never.
        update_freq: ``"epoch"`` for figures by epoch alone; ``"batch"``, or every so many batches, for both.

    Raises:
        ConfigError: a setting is out of range.
        FileWriteError: a file cannot be written; if its folder is the reason, before training.
    """

    def __init__(
        self,
        log_dir: str | Path = "logs",
        histogram_freq: int = 0,
        update_freq: Literal["epoch", "batch"] | int = "epoch",
    ) -> None:
        if histogram_freq < 0:
            raise ConfigError(f"TensorBoard: histogram_freq must not be negative, got {histogram_freq!r}")
        every = 1 if update_freq == "batch" else 0 if update_freq == "epoch" else update_freq
        if not isinstance(every, int) or (every < 1 and update_freq != "epoch"):  # pyright: ignore
            raise ConfigError(
                f"TensorBoard: update_freq must be 'epoch', 'batch' or a number of batches, got {update_freq!r}"
            )
        self.log_dir = Path(log_dir)
        self.histogram_freq = histogram_freq
        self._every = every
        self._files: dict[str, Path] = {}

    def on_train_begin(self, logs: Logs) -> None:
        """Begin the files."""
        validated = any(name.startswith("val_") for name in logs["columns"])
        name = f"events.out.tfevents.{int(time())}.{socket.gethostname()}.{os.getpid()}.{next(_numbers)}"
        self._files = {kind: self.log_dir / kind / name for kind in ("train", *["validation"] * validated)}
        for kind, path in self._files.items():
            make_folder(path.parent)
            self._write(kind, event_file.version_record(time()))

    def on_batch_end(self, batch: int, logs: Logs) -> None:
        """Write the figures so far, if it is time."""
        step = self.network.step
        if self._every and step % self._every == 0:
            figures = {f"batch_{name}": value for name, value in logs.items()}
            self._write("train", event_file.scalars_record(time(), step, figures))

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Write the epoch's figures, and the histograms if it is time."""
        figures: dict[str, dict[str, float]] = {kind: {} for kind in self._files}
        for name, value in logs.items():
            if name not in ("epoch", "seconds"):
                kind = "validation" if name.startswith("val_") else "train"
                figures[kind][f"epoch_{name.removeprefix('val_')}"] = value
        for kind, values in figures.items():
            self._write(kind, event_file.scalars_record(time(), epoch, values))
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._write("train", event_file.histograms_record(time(), epoch, self.network.parameters))

    def state_dict(self) -> dict[str, Any]:
        """Return the files that there are, and how far they have been written."""
        files = {kind: path for kind, path in self._files.items() if path.is_file()}
        return {kind: {"name": path.name, "size": path.stat().st_size} for kind, path in files.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on in those files, without what came after; in the new ones where they are gone."""
        for kind, file in state.items():
            fresh = self._files[kind]
            path = fresh.with_name(file["name"])
            if path.is_file() and path.stat().st_size >= file["size"]:
                os.truncate(path, file["size"])
                fresh.unlink()
                self._files[kind] = path

    def _write(self, kind: str, record: bytes) -> None:
        append(self._files[kind], record)
