"""Packages that only a part of Pellucid needs."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from pellucid.errors import MissingExtraError


def need(module: str, why: str, package: str = "pellucid[data]") -> Any:
    """Return a module that may not be installed.

    Args:
        module: its full name.
        why: what it is needed for, as in "image files are read with Pillow".
        package: what to install.

    Raises:
        MissingExtraError: it cannot be imported.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtraError(f'{why}, which cannot be imported ({error}): pip install "{package}"') from error
