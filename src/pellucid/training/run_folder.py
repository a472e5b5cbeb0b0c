"""The folder that one training leaves behind: its settings, the model, the history, a picture of it, and the result."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any

from pellucid import machine
from pellucid.engine import instruction_set
from pellucid.engine.threads import threads
from pellucid.errors import MissingExtraError
from pellucid.interop.atomic import make_folder, write_atomically
from pellucid.network import Network
from pellucid.training.config_file import as_toml
from pellucid.training.history import History

#: names of the files with the settings and with the figures
CONFIG, RESULT = "config.toml", "result.json"


class RunFolder:
    """A folder that is known to take files.

    As a context manager it is left as it was if an error comes before there is a model: the settings of an earlier run
    come back, and a folder that holds nothing else vanishes.

    Args:
        path: where it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        #: the settings of an earlier run
        self._before: bytes | None = None
        self._trained = False

    @classmethod
    def create(cls, path: str | Path) -> RunFolder:
        """Make the folder, with those above it, and try it out with a file: before training, not after.

        Raises:
            FileWriteError: it cannot be made or written to.
        """
        make_folder(Path(path))
        return cls(Path(path))

    def write_config(self, settings: Mapping[str, Any], command: str) -> str:
        """Write ``config.toml``, before training, and return that name.

        Args:
            settings: plain JSON types.
            command: what repeats the run, given the file.

        Raises:
            FileWriteError: the file cannot be written.
        """
        path = self.path / CONFIG
        self._before = path.read_bytes() if path.is_file() else None
        ran = ", ".join(f"{name} {number}" for name, number in versions().items())
        text = as_toml(settings, (f"This repeats the run: {command} {CONFIG}", f"It ran on {ran}."))
        write_atomically(path, text.encode())
        return CONFIG

    def write_training(self, network: Network, history: History) -> tuple[str, ...]:
        """Write what was learnt, each file whole or not at all; those of an earlier run are replaced.

        Args:
            network: becomes ``model.safetensors``, to be read by :meth:`Network.load <pellucid.Network.load>`.
            history: becomes ``history.csv``, and ``curves.png`` if an epoch was finished and matplotlib is there.

        Returns:
            The names of the files.

        Raises:
            FileWriteError: a file cannot be written.
        """
        self._trained = True
        network.save(self.path / "model.safetensors")
        history.to_csv(self.path / "history.csv")
        files = ("model.safetensors", "history.csv")
        if not len(history):
            return files
        try:
            history.plot(self.path / "curves.png")
        except MissingExtraError:
            return files
        return (*files, "curves.png")

    def write_result(self, result: Mapping[str, Any]) -> str:
        """Write ``result.json`` from plain JSON types, whole or not at all, and return that name.

        Raises:
            FileWriteError: the file cannot be written.
        """
        write_atomically(self.path / RESULT, (json.dumps(result, indent=2) + "\n").encode())
        return RESULT

    def __enter__(self) -> RunFolder:
        """Return the folder."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """After an error in training, take the settings back, and remove the folder if there is nothing else in it."""
        if error is None or self._trained:
            return
        config = self.path / CONFIG
        if self._before is not None:
            write_atomically(config, self._before)
        elif [path.name for path in self.path.iterdir()] == [CONFIG]:
            config.unlink()
        with suppress(OSError):  # what is not empty stays
            self.path.rmdir()


def versions() -> dict[str, str]:
    """Return the versions that a result depends on."""
    return {
        "pellucid": version("pellucid"),
        "numpy": version("numpy"),
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


def machine_facts(network: Network) -> dict[str, Any]:
    """Return what a network runs on here: what may explain a difference in time."""
    native = network.engine == "native"
    return {
        "processor": machine.processor(),
        "instruction_set": instruction_set() if native else None,
        "threads": threads(network.n_jobs) if native else None,
        "memory": machine.memory(),
    }


def checksum(network: Network) -> str:
    """Return the SHA-256 of a network's numbers, to tell whether two are the same bit for bit."""
    digest = hashlib.sha256()
    for name, array in sorted(network.tensors().items()):
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
