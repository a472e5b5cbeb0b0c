"""The settings of a run as a TOML file: for people to write, and to repeat a run by."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pellucid.errors import ConfigError


def as_toml(settings: Mapping[str, Any], heading: Iterable[str] = ()) -> str:
    """Return settings as TOML, under the heading's lines as comments.

    Args:
        settings: plain JSON types. TOML knows no None: a setting that is None is left out, as it is by default.
        heading: lines.
    """
    import tomli_w

    return "".join(f"# {line}\n" for line in heading) + "\n" + tomli_w.dumps(_without_none(settings))


def read_toml(path: Path) -> dict[str, Any]:
    """Return the settings that a TOML file holds.

    Raises:
        ConfigError: the file is missing, cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the settings in {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, or a number of thousands of digits
        raise ConfigError(f"{path} is not a TOML file: {error}") from error


def _without_none(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _without_none(value) if isinstance(value, Mapping) else value  # pyright: ignore[reportUnknownArgumentType]
        for name, value in settings.items()
        if value is not None
    }
