"""A network's arrays by name."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from itertools import accumulate
from typing import Any

import numpy as np

from pellucid.arrays import Array, Tensors
from pellucid.errors import DataError, ShapeError
from pellucid.inputs import numeric


class TensorTable(MutableMapping[str, Array]):
    """The network's arrays by name. Assigning copies the numbers in; names and shapes stay what the layers say.

    Raises on assignment:
        KeyError: there is no tensor of that name.
        ShapeError: the shape is not the tensor's.
        DataError: the values are not real and finite.
    """

    def __init__(self, tensors: Tensors) -> None:
        self._tensors = tensors

    def __getitem__(self, name: str) -> Array:
        """Return the array itself: changes to it change the network."""
        if name not in self._tensors:
            raise KeyError(f"no tensor called {name!r}; there are {', '.join(self._tensors)}")
        return self._tensors[name]

    def __setitem__(self, name: str, value: Any) -> None:
        """Copy ``value`` into the tensor of that name."""
        self[name][...] = self.check(name, value)

    def check(self, name: str, value: Any) -> Array:
        """Return ``value`` as an array that the tensor of that name can take."""
        own, given = self[name], numeric(value, repr(name))
        if given.shape != own.shape:
            raise ShapeError(f"{name!r} has shape {own.shape}, cannot take an array of shape {given.shape}")
        with np.errstate(over="ignore"):
            given = given.astype(own.dtype)
        if not np.isfinite(given).all():
            raise DataError(f"{name!r}: the new values contain NaN, infinity, or numbers too large for {own.dtype}")
        return given

    def __delitem__(self, name: str) -> None:
        """Refuse: the layers decide which tensors there are."""
        raise TypeError(f"{name!r} belongs to its layer and cannot be deleted")

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names, in the order of the layers."""
        return iter(self._tensors)

    def __len__(self) -> int:
        """Return how many tensors there are."""
        return len(self._tensors)

    def __repr__(self) -> str:
        """List names, shapes and dtypes."""
        return "{" + ", ".join(f"{k!r}: {v.dtype}{list(v.shape)}" for k, v in self._tensors.items()) + "}"


def flat_views(tensors: Tensors, dtype: Any) -> tuple[Array, Tensors]:
    """Return one flat array of all numbers, and a view of it by name for every tensor."""
    flat = np.concatenate([np.empty(0, dtype), *(value.ravel() for value in tensors.values())])
    return flat, views(flat, tensors, offsets(tensors))


def views(flat: Array, like: Tensors, starts: dict[str, int]) -> Tensors:
    """Return views of a flat array with the names and shapes of ``like``, which begin where ``starts`` says."""
    return {name: flat[starts[name] : starts[name] + t.size].reshape(t.shape) for name, t in like.items()}


def offsets(tensors: Tensors) -> dict[str, int]:
    """Return where each tensor begins in the flat array of all of them."""
    ends = accumulate((value.size for value in tensors.values()), initial=0)
    return dict(zip(tensors, ends, strict=False))
