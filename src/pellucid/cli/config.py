"""A command's options from a file: ``pellucid train --config run.toml``.

What a file may set is what the command's signature says: the name, the type and the limits of every option. So a new
option is a new setting, and there is no second list to keep.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

import typer
from typer.models import OptionInfo

from pellucid.description import from_json
from pellucid.errors import ConfigError
from pellucid.optimizers import Optimizer
from pellucid.suggestion import did_you_mean
from pellucid.training.config_file import read_toml

#: options that say where to, not what; they are given on the command line alone
NOT_SETTINGS = ("config", "run_dir", "resume", "as_json")

_KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a string",
    Path: "a string",
    list: "an array",
    dict: "a table",
    datetime: "a date and time",
    date: "a date",
    time: "a time",
}


@dataclass(frozen=True)
class Setting:
    """What a setting may be.

    Attributes:
        kind: bool, int, float, str or Path.
        least, most: the limits of a number; None for none.
    """

    kind: type[Any]
    least: float | None
    most: float | None


def settings_of(command: Callable[..., Any]) -> dict[str, Setting]:
    """Return the settings of a command by name, as its signature has them."""
    hints = get_type_hints(command, include_extras=True)
    found: dict[str, Setting] = {}
    for name in inspect.signature(command).parameters:
        kind, *extras = get_args(hints[name]) or (hints[name],)
        option = next((extra for extra in extras if isinstance(extra, OptionInfo)), None)
        if option is not None and name not in NOT_SETTINGS:
            (kind,) = [part for part in get_args(kind) or (kind,) if part is not NoneType]
            found[name] = Setting(kind, option.min, option.max)
    return found


def overlay(
    context: typer.Context, given: Mapping[str, Any], command: Callable[..., Any], path: Path
) -> dict[str, Any]:
    """Return a command's arguments, with a file's settings for those that the command line does not give.

    The argument ``config`` is None afterwards: it has been read.

    Args:
        context: of the call; knows what was given on the command line.
        given: the arguments it came with.
        command: whose settings they are.
        path: the file, or the folder of a run, whose ``config.toml`` it then is.

    Raises:
        ConfigError: the file cannot be read; a key is unknown, or its value of a wrong type or out of range.
    """
    path = path / "config.toml" if path.is_dir() else path
    known, settings = settings_of(command), read_toml(path)
    for name in settings:
        if name not in known:
            raise ConfigError(
                f"{path}: there is no setting {name!r}{did_you_mean(name, known)}; there are {', '.join(sorted(known))}"
            )
    checked = {name: _check(path, name, value, known[name]) for name, value in settings.items()}
    typed = {name for name in known if _is_typed(context, name)}
    if "optimizer" in typed and "learning_rate" not in typed:
        checked.pop("learning_rate", None)  # it was the file's optimizer's
    return {**given, **{name: value for name, value in checked.items() if name not in typed}, "config": None}


def resolved(given: Mapping[str, Any], command: Callable[..., Any], settled: Mapping[str, Any]) -> dict[str, Any]:
    """Return all settings of a run as plain JSON types, to repeat it by.

    Args:
        given: the arguments of the command.
        command: whose settings they are.
        settled: what some of them have become meanwhile.
    """
    settings = {name: settled.get(name, given[name]) for name in settings_of(command)}
    return {name: str(value.resolve()) if isinstance(value, Path) else value for name, value in settings.items()}


def _is_typed(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _check(path: Path, name: str, value: Any, setting: Setting) -> Any:
    where, table = f"{path}: {name}", name == "optimizer"
    if table and isinstance(value, dict):
        return _optimizer(where, value)  # pyright: ignore[reportUnknownArgumentType]
    kind = str if setting.kind is Path else setting.kind
    if type(value) not in ((float, int) if kind is float else (kind,)):  # not isinstance: True is no number
        expected = _KINDS[kind] + ", or a table of its settings" * table
        raise ConfigError(f"{where} must be {expected}; got {_told(value)}")
    if setting.least is not None and not value >= setting.least:
        raise ConfigError(f"{where} must be at least {setting.least}, got {value}")
    if setting.most is not None and not value <= setting.most:
        raise ConfigError(f"{where} must be at most {setting.most}, got {value}")
    try:
        return Path(value) if setting.kind is Path else kind(value)
    except OverflowError as error:
        raise ConfigError(f"{where}: {error}") from error


def _optimizer(where: str, described: dict[str, Any]) -> Optimizer:
    try:
        return from_json(described, Optimizer)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def _told(value: Any) -> str:
    shown = str(value).lower() if isinstance(value, bool) else repr(value)
    return f"{shown}, {_KINDS[type(value)]}"
