"""The formula of a layer or a loss, as LaTeX."""

from __future__ import annotations

from pellucid.errors import ConfigError
from pellucid.layers.base import Formula, Layer
from pellucid.losses import Loss


def formula(thing: Layer | type[Layer] | Loss | type[Loss]) -> Formula:
    """Return the equations of a layer or loss: ``.forward``, ``.backward`` by quantity, and their ``.source``.

    Raises:
        ConfigError: a layer of your own that sets no ``formula``, or a container, whose formula is that of its parts.

    Example:
        >>> from pellucid.layers import ReLU
        >>> formula(ReLU()).forward
        'y = \\\\max(0, x)'
    """
    if thing.formula is None:
        name = thing.__name__ if isinstance(thing, type) else type(thing).__name__
        raise ConfigError(f"{name} has no formula of its own; set the class attribute `formula` to a Formula")
    return thing.formula
