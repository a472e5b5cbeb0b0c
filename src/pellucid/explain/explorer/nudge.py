"""One entry moved over a range: the loss that its gradient predicts beside the loss that comes of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from pellucid.arrays import Array
from pellucid.errors import DataError
from pellucid.explain.check import Part, check_entry, network_parts
from pellucid.graph import INPUT
from pellucid.network import Network

#: largest relative error of the finite difference that passes, as in check_gradients
_TOLERANCE = 1e-6
#: multiply-adds that the values of one answer may take, and how many values there are in any case
_EFFORT, _LEAST = 4_000_000_000, 5


class Nudges:
    """The losses of a network around the parameters and the batch it has now, in float64.

    Args:
        network: is copied.
        x, y: the batch.
        training: as in :meth:`Network.trace`.
    """

    def __init__(self, network: Network, x: Any, y: Any, training: bool) -> None:
        with np.errstate(all="ignore"):
            parts = network_parts(network, x, y, len(x), np.random.default_rng(0), training, jitter=0.0)
        self._parts = {INPUT if part.layer == INPUT else f"{part.layer}.{part.tensor}": part for part in parts}
        one = sum(node.multiply_adds for node in network.graph.nodes)
        self._most = max(_LEAST, _EFFORT // max(one * len(x), 1))
        self._largest = max(float(abs(part.gradient).max()) for part in parts if part.gradient.size)

    def at(self, tensor: str, index: tuple[int, ...], span: float, points: int) -> dict[str, Any]:
        """Return the losses from ``value − span`` to ``value + span``, and the central difference at the value.

        Args:
            tensor: a parameter, or ``"input"``, as the first layer sees it.
            index: the entry, without the batch.
            span: how far to go either way.
            points: how many values, the ends included; there are fewer, the own one among them, where the network is
                deep.

        Raises:
            DataError: there is no such tensor or entry.
        """
        if tensor not in self._parts:
            raise DataError(f"no tensor called {tensor!r}; there are {', '.join(self._parts)}")
        part = self._parts[tensor]
        entry = (0, *index) if tensor == INPUT else index
        shape = part.values.shape[1:] if tensor == INPUT else part.values.shape
        if len(index) != len(shape) or any(i >= n for i, n in zip(index, shape, strict=True)):
            raise DataError(f"{tensor} has shape {shape}, there is no entry {list(index)}")
        value, gradient = float(part.values[entry]), float(part.gradient[entry])
        values = value + np.linspace(-span, span, points if points <= self._most else self._most - (self._most + 1) % 2)
        with np.errstate(all="ignore"):
            loss, losses = _loss_at(part, entry, value), [_loss_at(part, entry, v) for v in values]
            checked, kink = check_entry(part, entry, 1e-4 * self._largest, _TOLERANCE)
            predicted = loss + gradient * (values - value)
        return {
            "tensor": tensor,
            "index": list(index),
            "value": value,
            "loss": loss,
            "gradient": gradient,
            "values": values,
            "losses": losses,
            "predicted": predicted,
            "check": {"numeric": checked.numeric, "error": checked.error, "kink": kink},
        }


def _loss_at(part: Part, entry: tuple[int, ...], value: float) -> float:
    own: Array = part.values[entry]
    part.values[entry] = value
    try:
        return float(part.terms().sum())
    finally:
        part.values[entry] = own
