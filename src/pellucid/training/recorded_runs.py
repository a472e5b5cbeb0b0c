"""Reading back what runs have left in their folders, to list and to compare them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from pellucid.errors import ConfigError, DataError
from pellucid.training.config_file import read_toml
from pellucid.training.run_folder import CONFIG, RESULT


@dataclass(frozen=True)
class RecordedRun:
    """What a run folder says of its run.

    Attributes:
        path: the folder.
        settings: of the run, resolved.
        result: what ``result.json`` holds; None if there is none: the run goes on still, or was killed.
    """

    path: Path
    settings: Mapping[str, Any]
    result: Mapping[str, Any] | None

    @property
    def state(self) -> Literal["finished", "interrupted", "unfinished"]:
        """Whether the run came to its end, was ended by Ctrl-C, or has written no result."""
        if self.result is None:
            return "unfinished"
        return "interrupted" if self.result.get("interrupted") else "finished"

    def figures(self) -> dict[str, Any]:
        """Return what the run came to, by name; None for what it does not say."""
        result = self.result or {}
        test, last = _table(result.get("test")), _table(result.get("training"))
        return {
            "epochs": result.get("epochs"),
            "accuracy": test.get("accuracy", result.get("accuracy")),
            "loss": test.get("loss", result.get("loss")),
            "training loss": last.get("loss"),
            "validation loss": last.get("val_loss"),
            "parameters": result.get("parameters"),
            "seconds": result.get("seconds"),
            "state": self.state,
            "weights": result.get("weights"),
        }

    def surroundings(self) -> dict[str, Any]:
        """Return the versions it ran with, and the machine it ran on, by name."""
        result = self.result or {}
        return {**_table(result.get("versions")), **_table(result.get("machine"))}


def is_run(folder: Path) -> bool:
    """Tell whether a run has begun to write to a folder."""
    return any((folder / name).is_file() for name in (CONFIG, RESULT))


def require_run(folder: Path) -> None:
    """Raise :class:`DataError` unless a run has begun to write to a folder."""
    if not is_run(folder):
        raise DataError(f"{folder} is no run folder: it holds neither {CONFIG} nor {RESULT}")


def read_run(folder: Path) -> RecordedRun:
    """Return the run of a folder.

    The settings are those of the result if there is one: a later run that was killed may have left others.

    Raises:
        DataError: the folder holds no run, or a damaged file.
        ConfigError: the settings cannot be read.
    """
    require_run(folder)
    path = folder / RESULT
    if not path.is_file():
        # TOML has dates, NaN and infinity, JSON has not: as settings they are as good as text.
        settings = json.dumps(read_toml(folder / CONFIG), default=str)
        return RecordedRun(folder, json.loads(settings, parse_constant=str), None)
    try:
        result = json.loads(path.read_text(encoding="utf-8"), parse_constant=str)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is damaged: it is not JSON ({error})") from error
    if not isinstance(result, dict):
        raise DataError(f"{path} is damaged: it holds no JSON object")
    told = cast("dict[str, Any]", result)
    return RecordedRun(folder, _table(told.get("settings")), told)


def find_runs(folder: Path) -> list[RecordedRun]:
    """Return the runs in a folder, by name; the folder's own, if it is one. What cannot be read is warned of.

    Raises:
        ConfigError: there is no such folder.
    """
    if is_run(folder):
        return [read_run(folder)]
    try:
        folders = sorted(path for path in folder.iterdir() if path.is_dir() and is_run(path))
    except OSError as error:
        raise ConfigError(f"cannot look for runs in {folder}: {error.strerror or error}") from error
    found: list[RecordedRun] = []
    for path in folders:
        try:
            found.append(read_run(path))
        except (DataError, ConfigError) as error:
            warnings.warn(str(error), stacklevel=2)
    return found


def differences(tables: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return what differs among tables: name, dotted where tables are nested, to a value for each; None for none."""
    flat = [dict(_flat(table)) for table in tables]
    names = list(dict.fromkeys(name for table in flat for name in table))
    columns = {name: [table.get(name) for table in flat] for name in names}
    return {name: values for name, values in columns.items() if any(value != values[0] for value in values)}


def _flat(table: Mapping[str, Any], before: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for name, value in table.items():
        pairs += _flat(_table(value), f"{before}{name}.") if isinstance(value, Mapping) else [(before + name, value)]
    return pairs


def _table(value: Any) -> dict[str, Any]:
    """Return the value if it is a table, else an empty one: a file may have been written by another program."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
