"""The folder of a training's checkpoints: when one is written, which are kept, and from which training goes on."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from pellucid.errors import CheckpointError, ConfigError, FileWriteError, ModelFileError
from pellucid.inputs import require_count
from pellucid.interop.atomic import make_folder
from pellucid.metrics import higher_is_better
from pellucid.training.checkpoint import Changing, Checkpoint, Position
from pellucid.training.fingerprint import differences

#: seconds between two checkpoints, and the share of the time that all may take, where the caller asks for nothing else
_INTERVAL, _SHARE = 60.0, 0.03

#: the model of the best epoch so far
BEST = "best.safetensors"

_AFRESH = "to start over, take another folder, or remove them"


@dataclass(frozen=True)
class Checkpoints:
    """Save a training as it goes on, so that it can be resumed: ``fit(x, y, checkpoints=Checkpoints("folder"))``.

    A training that is resumed ends with the same weights, running statistics and history (less the seconds), bit for
    bit, as if it had never stopped, in the middle of an epoch too. A checkpoint is written to a temporary file, which
    gets its name, ``step-00001234.safetensors``, when it is on the disk; it carries a checksum. So whenever the process
    or the machine dies, the newest whole checkpoint is there. A damaged one is passed over, with a warning.

    Args:
        folder: where the files go; it is made if it is not there.
        every_batches: write one after so many batches.
        every_seconds: write one when so many seconds have passed; at the end of the batch in progress. Without either,
            one is written every minute, or less often if all of them would take more than 3 % of the time.
        keep: how many of the newest to keep.
        best: a column of the history such as ``"val_loss"``: the model of the epoch where it is best is kept as
            ``best.safetensors``, a model file. Higher is better if it is an accuracy, else lower.
        resume: go on from the newest checkpoint; where there is none yet, start. If False, a folder with checkpoints is
            refused.

    Raises:
        ConfigError: a setting is out of range.
    """

    folder: str | Path
    every_batches: int | None = None
    every_seconds: float | None = None
    keep: int = 3
    best: str | None = None
    resume: bool = False

    def __post_init__(self) -> None:
        require_count("Checkpoints: keep", self.keep)
        if self.every_batches is not None:
            require_count("Checkpoints: every_batches", self.every_batches)
        if self.every_seconds is not None and not 0 < self.every_seconds < math.inf:
            raise ConfigError(f"Checkpoints: every_seconds must be above 0 and finite, got {self.every_seconds!r}")


class Saver:
    """The checkpoints of one call of ``fit``.

    Args:
        wanted: what the caller asks for.
        training: what is saved.
        settings: what it is known by; a checkpoint of a training with others is refused.
    """

    def __init__(self, wanted: Checkpoints, training: Changing, settings: dict[str, Any]) -> None:
        self._wanted, self._training, self._settings = wanted, training, settings
        self._folder = Path(wanted.folder)
        self._resumed: Checkpoint | None = None
        self._began = self._saved_at = monotonic()
        self._saved_step = training.network.step
        #: seconds that the last checkpoint took, and all of them with the models of best epochs
        self._cost = self._spent = 0.0

    def open(self, start: Position, epochs: int) -> Position:
        """Return where the training stands: at the start, or where it is resumed, with its numbers put back.

        Args:
            start: of one that is new.
            epochs: that it is to have in all.

        Raises:
            CheckpointError: there are checkpoints, but ``resume`` is False, none can be read, or they are those of
                another training.
            ConfigError: the history will have no column ``best``.
            FileWriteError: the folder cannot be made, written to or looked into.
        """
        wanted, columns = self._wanted, self._training.history.columns
        if wanted.best is not None and wanted.best not in columns:
            raise ConfigError(f"Checkpoints: best is {wanted.best!r}, but this training has {', '.join(columns)}")
        make_folder(self._folder)
        try:
            for left in self._folder.glob(".*.part"):  # by a process that was killed while it wrote
                left.unlink()
            files, best = self._files(), (self._folder / BEST).exists()
        except OSError as error:
            raise FileWriteError(
                f"cannot look for checkpoints in {self._folder}: {error.strerror or error}; choose another folder"
            ) from error
        if (files or best) and not wanted.resume:
            raise CheckpointError(
                f"{self._folder} holds checkpoints of an earlier training: Checkpoints(..., resume=True) goes on from "
                f"them; {_AFRESH}"
            )
        return self._go_on(files, epochs) if files else start

    def begin(self, position: Position) -> None:
        """Wake the callbacks of a training that is resumed; write the first checkpoint of one that starts.

        The first one shows, before there is anything to lose, that the folder has room for it, and what one costs.
        """
        if self._resumed is None:
            self.save(position)
        else:
            self._training.wake_callbacks(self._resumed)
            self._resumed = None

    def due(self) -> bool:
        """Tell whether to write a checkpoint after the batch that is done."""
        now, wanted = monotonic(), self._wanted
        seconds = now - self._saved_at
        if wanted.every_batches is None and wanted.every_seconds is None:
            # Twice: for the one to be written now, and the one at the end.
            return seconds >= _INTERVAL and self._spent + 2 * self._cost <= _SHARE * (now - self._began)
        batches = self._training.network.step - self._saved_step
        return batches >= (wanted.every_batches or math.inf) or seconds >= (wanted.every_seconds or math.inf)

    def save(self, position: Position) -> None:
        """Write a checkpoint, then remove those that need not be kept.

        Raises:
            FileWriteError: it cannot be written; those before it are still there.
        """
        started, step = monotonic(), self._training.network.step
        self._training.checkpoint(self._settings, position).write(self._folder / f"step-{step:08}.safetensors")
        # One from after this step was damaged, or it would have been resumed from: it must not push out a whole one.
        until_now = [path for path in self._files() if _step(path) <= step]
        for path in until_now[self._wanted.keep :]:
            path.unlink(missing_ok=True)
        self._saved_at, self._saved_step = monotonic(), step
        self._cost = self._saved_at - started
        self._spent += self._cost

    def end_epoch(self, position: Position, last: bool) -> None:
        """Keep the model if the epoch is the best so far; write a checkpoint if one is due, or training is over."""
        best = self._wanted.best
        if best is not None and _last_is_best(best, self._training.history[best]):
            started = monotonic()
            self._training.network.save(self._folder / BEST)
            self._spent += monotonic() - started
        if last or self.due():
            self.save(position)

    def _go_on(self, files: list[Path], epochs: int) -> Position:
        saved = self._newest(files)
        different = differences(saved.settings, self._settings)
        if different:
            raise CheckpointError(
                f"{self._folder} holds checkpoints of another training: {'; '.join(different)}. Go on with the data "
                f"and the settings it had; {_AFRESH}"
            )
        begun = saved.position.epoch + (saved.position.batch > 0)
        if begun > epochs:
            raise CheckpointError(
                f"the training of {self._folder} is in epoch {begun} already: epochs must not be less, got {epochs}"
            )
        try:
            self._training.go_on_from(saved)
        except CheckpointError as error:
            raise CheckpointError(f"{self._folder} holds checkpoints of another training: {error}") from None
        self._resumed, self._saved_step = saved, saved.step
        return saved.position

    def _newest(self, files: list[Path]) -> Checkpoint:
        damaged: list[str] = []
        for path in files:
            try:
                saved = Checkpoint.read(path)
            except ModelFileError as error:
                damaged.append(str(error))
                continue
            if damaged:
                warnings.warn(f"{'. '.join(damaged)}. Training goes on from {path.name}, the one before", stacklevel=7)
            return saved
        raise CheckpointError(f"no checkpoint in {self._folder} can be read: {'. '.join(damaged)}; {_AFRESH}")

    def _files(self) -> list[Path]:
        """Return the checkpoints there are, the newest first."""
        there = (path for path in self._folder.glob("step-*.safetensors") if path.stem[5:].isdecimal())
        return sorted(there, key=_step, reverse=True)


def _step(path: Path) -> int:
    return int(path.stem[5:])


def _last_is_best(column: str, figures: list[float]) -> bool:
    *before, last = figures
    return not before or (last > max(before) if higher_is_better(column) else last < min(before))
