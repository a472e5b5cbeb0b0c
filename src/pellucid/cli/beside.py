"""What ``train`` wrote about a model into the folder that it lies in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast


def class_names(model: Path, classes: int) -> tuple[str, ...]:
    """Return the names in ``result.json``, where ``train`` wrote it beside the model; else numbers."""
    told = _told(model, "class_names")
    names = cast("list[str]", told) if isinstance(told, list) else []
    return tuple(names) if len(names) == classes else tuple(str(k) for k in range(classes))


def trained_on(model: Path) -> str | None:
    """Return the data that ``train`` named in ``result.json`` beside the model, where it wrote one."""
    told = _told(model, "data")
    return told if model.is_file() and isinstance(told, str) else None


def _told(model: Path, name: str) -> Any:
    try:
        return json.loads((model.parent / "result.json").read_bytes())[name]
    except (OSError, ValueError, KeyError, TypeError):  # a model alone, or beside another program's file of that name
        return None
