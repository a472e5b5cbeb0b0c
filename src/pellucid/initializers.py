"""Where weights start.

Every initialiser is a settings object called with a shape, the fan-in and fan-out, and a random generator. Fan-in is
the number of inputs that one output sums over (C/groups·R² for a convolution), fan-out the number of outputs that one
input reaches (F/groups·R²).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Literal

import numpy as np

from pellucid.arrays import Array, Rng, Shape
from pellucid.description import Described
from pellucid.errors import ConfigError

Distribution = Literal["normal", "uniform"]


@dataclass(frozen=True)
class Initializer(Described):
    """Base of the initialisers; subclass it as a frozen dataclass to write your own."""

    def __call__(self, shape: Shape, fan_in: int, fan_out: int, rng: Rng) -> Array:
        """Return a float64 array of ``shape``."""
        raise NotImplementedError(f"{type(self).__name__} does not define __call__")


@dataclass(frozen=True)
class _Scaled(Initializer):
    """Zero mean, and a variance set by the fans."""

    distribution: Distribution = "normal"

    def __post_init__(self) -> None:
        if self.distribution not in ("normal", "uniform"):
            raise ConfigError(f"{self!r}: distribution must be 'normal' or 'uniform'")

    def variance(self, fan_in: int, fan_out: int) -> float:
        """Return the variance of the entries."""
        raise NotImplementedError

    def __call__(self, shape: Shape, fan_in: int, fan_out: int, rng: Rng) -> Array:
        """Return draws from N(0, σ²), or from U(−a, a) with a = σ√3, which has the same variance."""
        sigma = sqrt(self.variance(fan_in, fan_out))
        if self.distribution == "normal":
            return rng.normal(0.0, sigma, shape)
        return rng.uniform(-sigma * sqrt(3), sigma * sqrt(3), shape)


@dataclass(frozen=True)
class He(_Scaled):
    """Variance 2/fan_in: keeps the size of the values through ReLU layers (He et al. 2015). Name: ``"he"``.

    With ``mode="fan_out"``, variance 2/fan_out: keeps the size of δ on its way back ("Backward Propagation Case").
    """

    mode: Literal["fan_in", "fan_out"] = "fan_in"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mode not in ("fan_in", "fan_out"):
            raise ConfigError(f"{self!r}: mode must be 'fan_in' or 'fan_out'")

    def variance(self, fan_in: int, fan_out: int) -> float:
        """Return 2/fan_in or 2/fan_out."""
        return 2.0 / (fan_in if self.mode == "fan_in" else fan_out)


@dataclass(frozen=True)
class Glorot(_Scaled):
    """Variance 2/(fan_in + fan_out): for tanh and sigmoid (Glorot & Bengio 2010). Name: ``"glorot"``."""

    def variance(self, fan_in: int, fan_out: int) -> float:
        """Return 2/(fan_in + fan_out)."""
        return 2.0 / (fan_in + fan_out)


@dataclass(frozen=True)
class LeCun(_Scaled):
    """Variance 1/fan_in (LeCun et al. 1998). Name: ``"lecun"``."""

    def variance(self, fan_in: int, fan_out: int) -> float:
        """Return 1/fan_in."""
        return 1.0 / fan_in


@dataclass(frozen=True)
class Orthogonal(Initializer):
    """Rows orthonormal (or columns, if there are more rows), times ``gain`` (Saxe et al. 2014).

    The array is seen as a matrix of ``shape[0]`` rows. Name: ``"orthogonal"``.
    """

    gain: float = 1.0

    def __call__(self, shape: Shape, fan_in: int, fan_out: int, rng: Rng) -> Array:
        """Return gain·Q, Q uniformly distributed over the orthogonal matrices."""
        rows, columns = shape[0], int(np.prod(shape[1:]))
        q, r = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))
        q *= np.sign(np.diag(r))  # makes the draw uniform; QR alone is not
        return self.gain * (q if rows >= columns else q.T).reshape(shape)


@dataclass(frozen=True)
class Uniform(Initializer):
    """Uniform between −limit and limit; limit is 1/√fan_in if None, PyTorch's default. Name: ``"uniform"``."""

    limit: float | None = None

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 0:
            raise ConfigError(f"{self!r}: limit must not be negative")

    def __call__(self, shape: Shape, fan_in: int, fan_out: int, rng: Rng) -> Array:
        """Return draws from U(−limit, limit)."""
        limit = 1 / sqrt(fan_in) if self.limit is None else self.limit
        return rng.uniform(-limit, limit, shape)


@dataclass(frozen=True)
class Zeros(Initializer):
    """All zeros, as biases start. Name: ``"zeros"``."""

    def __call__(self, shape: Shape, fan_in: int, fan_out: int, rng: Rng) -> Array:
        """Return zeros."""
        return np.zeros(shape)


INITIALIZERS: dict[str, Initializer] = {
    "he": He(),
    "glorot": Glorot(),
    "lecun": LeCun(),
    "orthogonal": Orthogonal(),
    "uniform": Uniform(),
    "zeros": Zeros(),
}


def resolve_initializer(initializer: str | Initializer) -> Initializer:
    """Return the initialiser of that name, or the object itself.

    Raises:
        ConfigError: there is no such name.
    """
    if isinstance(initializer, Initializer):
        return initializer
    if initializer not in INITIALIZERS:
        raise ConfigError(f"no initialiser called {initializer!r}; there are {', '.join(INITIALIZERS)}")
    return INITIALIZERS[initializer]
