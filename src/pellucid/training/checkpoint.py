"""A checkpoint: all that a training changes as it goes on, in one file, and back into the training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pellucid.arrays import Tensors
from pellucid.description import to_json
from pellucid.errors import CheckpointError, ModelFileError
from pellucid.interop import model_file
from pellucid.network import Network
from pellucid.optimizers import OptimizerState
from pellucid.training.callbacks import Callback
from pellucid.training.history import History

#: version of the description stored in checkpoints
FORMAT = 1


@dataclass(frozen=True)
class Position:
    """Where a training stands, between two batches.

    Attributes:
        start: the network's step when the epoch in progress began; with the seed it gives the order of the samples.
        epoch: epochs that are finished.
        batch: batches of the epoch in progress that are.
        sums: Σ loss, Σ metric and Σ weight over those batches.
        seconds: that the epoch in progress has taken.
    """

    start: int
    epoch: int = 0
    batch: int = 0
    sums: tuple[float, float, float] = (0.0, 0.0, 0.0)
    seconds: float = 0.0


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds.

    Nothing random is in it, for whatever is drawn follows from the network's seed and step; and nothing of a schedule,
    which is a function of time.

    Attributes:
        settings: what the training is known by.
        position: where it stood.
        step: the network's.
        history: the fields of the history that change.
        callbacks: callback to its state, less the arrays.
        tensors: ``"network"``, ``"optimizer"`` and each callback to arrays by name.
    """

    settings: dict[str, Any]
    position: Position
    step: int
    history: dict[str, Any]
    callbacks: dict[str, dict[str, Any]]
    tensors: dict[str, Tensors]

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all.

        Raises:
            ConfigError: a callback's state holds what JSON and arrays cannot.
            FileWriteError: the file cannot be written.
        """
        description = {
            "format": FORMAT,
            "settings": self.settings,
            "position": asdict(self.position),
            "step": self.step,
            "history": self.history,
            "callbacks": self.callbacks,
        }
        arrays = {f"{owner}/{name}": array for owner, own in self.tensors.items() for name, array in own.items()}
        model_file.write(path, to_json(description), arrays, model_file.CHECKPOINT)

    @classmethod
    def read(cls, path: Path) -> Checkpoint:
        """Read a file that :meth:`write` wrote.

        Raises:
            ModelFileError: the file is missing, cut, damaged, or not such a file.
        """
        found, arrays = model_file.read(path, model_file.CHECKPOINT)
        if found.get("format") != FORMAT:
            raise ModelFileError(f"{path}: format {found.get('format')!r} is not known; this version reads {FORMAT}")
        try:
            tensors: dict[str, Tensors] = {owner: {} for owner in ("network", "optimizer", *found["callbacks"])}
            for name, array in arrays.items():
                owner, _, own = name.partition("/")
                tensors[owner][own] = array
            position: dict[str, Any] = {**found["position"], "sums": tuple(found["position"]["sums"])}
            rest = found["step"], found["history"], found["callbacks"]
            return cls(found["settings"], Position(**position), *rest, tensors)
        except (LookupError, TypeError) as error:
            raise ModelFileError(f"{path} is not well formed: {type(error).__name__}: {error}") from error


@dataclass(frozen=True)
class Changing:
    """All that a training changes as it goes on; what is left is its position."""

    network: Network
    optimizer: OptimizerState
    callbacks: Sequence[Callback]
    history: History

    def checkpoint(self, settings: dict[str, Any], position: Position) -> Checkpoint:
        """Return what to write, as it is now; its arrays are those in use."""
        states: dict[str, dict[str, Any]] = {}
        tensors = {"network": self.network.tensors(), "optimizer": self.optimizer.to_tensors()}
        for name, callback in self._named_callbacks().items():
            state = callback.state_dict()
            arrays: Tensors = {key: value for key, value in state.items() if isinstance(value, np.ndarray)}
            if state:
                states[name] = {key: value for key, value in state.items() if key not in arrays}
                tensors[name] = arrays
        history = {"rows": self.history.rows, "stopped": self.history.stopped}
        return Checkpoint(settings, position, self.network.step, history, states, tensors)

    def go_on_from(self, saved: Checkpoint) -> None:
        """Bring back everything but the callbacks.

        Raises:
            CheckpointError: the state of a callback was saved that this training does not have.
        """
        missing = saved.callbacks.keys() - self._named_callbacks().keys()
        if missing:
            kinds = ", ".join(sorted({name.partition(" ")[0] for name in missing}))
            raise CheckpointError(f"it goes on only with callbacks that this training lacks: {kinds}")
        model_file.fill(self.network.tensors(), saved.tensors["network"])
        self.optimizer.restore(saved.tensors["optimizer"])
        self.network.step = saved.step
        self.history.rows[:] = saved.history["rows"]
        self.history.stopped = saved.history["stopped"]

    def wake_callbacks(self, saved: Checkpoint) -> None:
        """Hand the callbacks what they had to remember."""
        for name, callback in self._named_callbacks().items():
            if name in saved.callbacks:
                arrays = {key: array.copy() for key, array in saved.tensors[name].items()}
                callback.load_state_dict({**saved.callbacks[name], **arrays})

    def _named_callbacks(self) -> Mapping[str, Callback]:
        """Return the callbacks by class name and number: ``"EarlyStopping 1"``."""
        seen: Counter[str] = Counter()
        named: dict[str, Callback] = {}
        for callback in self.callbacks:
            kind = type(callback).__name__
            seen[kind] += 1
            named[f"{kind} {seen[kind]}"] = callback
        return named
