"""Whether a class still is what it tells the native engine."""

from __future__ import annotations


def speaks_for(cls: type, method: str, *equations: str) -> bool:
    """Tell whether ``method``, which says what a class is natively, is as young as the methods that compute.

    A subclass that overrides one of those alone may compute something else.
    """

    def owner(name: str) -> int:
        return next(i for i, base in enumerate(cls.__mro__) if name in vars(base))

    return owner(method) <= min(map(owner, equations))
