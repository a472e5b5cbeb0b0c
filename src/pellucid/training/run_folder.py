"""The folder that one training leaves behind: the model, its history, a picture of it, and the result."""

from __future__ import annotations

import json
import platform
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any

from pellucid.errors import ConfigError, MissingExtraError
from pellucid.interop.atomic import write_atomically
from pellucid.network import Network
from pellucid.training.history import History


@dataclass(frozen=True)
class RunFolder:
    """A folder that is known to take files. As a context manager it vanishes if an error leaves it empty.

    Attributes:
        path: where it is.
    """

    path: Path

    @classmethod
    def create(cls, path: str | Path) -> RunFolder:
        """Make the folder, with those above it, and try it out with a file: before training, not after.

        Raises:
            ConfigError: it cannot be made or written to.
        """
        folder = Path(path)
        trial = folder / f".{secrets.token_hex(8)}.part"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            trial.touch(exist_ok=False)
            trial.unlink()
        except OSError as error:
            raise ConfigError(
                f"cannot write to the run folder {folder}: {error.strerror or error}; choose another one"
            ) from error
        return cls(folder)

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
        write_atomically(self.path / "result.json", (json.dumps(result, indent=2) + "\n").encode())
        return "result.json"

    def __enter__(self) -> RunFolder:
        """Return the folder."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the folder if it is empty after an error."""
        if error is not None:
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
