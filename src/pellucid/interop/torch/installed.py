"""PyTorch itself, if it is there."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from pellucid.errors import MissingExtraError


def require_torch(what: str) -> Any:
    """Return the package ``torch``.

    Raises:
        MissingExtraError: it cannot be imported; the message says what needs it.
    """
    try:
        return import_module("torch")
    except ImportError as error:
        raise MissingExtraError(
            f"{what} needs PyTorch, which cannot be imported ({error}): pip install torch"
        ) from error
