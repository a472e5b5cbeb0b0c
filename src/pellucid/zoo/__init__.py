"""Networks ready to train: those of the texts, layer by layer, and a small one for the embedded digits."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from pellucid.errors import ConfigError
from pellucid.network import Network
from pellucid.zoo.digits import digits
from pellucid.zoo.grishin import grishin
from pellucid.zoo.lenet import lenet5
from pellucid.zoo.nguyen import nguyen

#: the networks by name; every builder takes seed, dtype, engine, input_shape and classes
ZOO: dict[str, Callable[..., Network]] = {"digits": digits, "grishin": grishin, "lenet5": lenet5, "nguyen": nguyen}


def build(name: str, **settings: Any) -> Network:
    """Return the zoo's network of that name, ``build("nguyen", seed=1)`` being ``nguyen(seed=1)``.

    Raises:
        ConfigError: there is no such name, or the network has no such setting.
        ShapeError: the images are too small for it.
    """
    if name not in ZOO:
        raise ConfigError(f"no network called {name!r} in the zoo; there are {', '.join(ZOO)}")
    known = inspect.signature(ZOO[name]).parameters
    for setting in settings:
        if setting not in known:
            raise ConfigError(f"{name} has no setting {setting!r}; it has {', '.join(known)}")
    return ZOO[name](**settings)


__all__ = ["ZOO", "build", "digits", "grishin", "lenet5", "nguyen"]
