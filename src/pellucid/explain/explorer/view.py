"""The numbers of one batch, forward and backward: what a page of one revision shows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from pellucid.arrays import Array
from pellucid.errors import DataError
from pellucid.explain.explorer.nudge import Nudges
from pellucid.explain.inspection import inspect
from pellucid.graph import INPUT
from pellucid.network import Network


class View:
    """A network's numbers for one batch. They hold as long as the network's parameters stay as they are.

    Args:
        network: what computes.
        x, y: the batch; sample 0 is the one that is looked at.
        training: as in :meth:`Network.trace`.
    """

    def __init__(self, network: Network, x: Array, y: Array, training: bool) -> None:
        self._network, self._batch, self._training = network, (x, y), training
        with np.errstate(all="ignore"):
            self.trace = network.trace(x, y, training=training)
            self.probabilities = network.predict(x[:1])[0]
        self._steps = {step.name: step for step in self.trace}

    @cached_property
    def nudges(self) -> Nudges:
        """The losses around here, in float64."""
        return Nudges(self._network, *self._batch, self._training)

    def array(self, what: str, name: str, sample: int = 0) -> Array:
        """Return an array without the batch.

        Args:
            what: ``"value"`` or ``"delta"`` of a node, ``"parameter"`` or ``"gradient"`` of a parameter.
            name: of the node or parameter.
            sample: which of the batch.

        Raises:
            DataError: there is none.
        """
        if what in ("parameter", "gradient"):
            if name not in self._network.parameters:
                raise DataError(f"no parameter called {name!r}")
            node, _, key = name.rpartition(".")
            return self._network.parameters[name] if what == "parameter" else self._steps[node].gradients[key]
        trace = self.trace
        if sample >= len(trace.input):
            raise DataError(f"there is no sample {sample}: {len(trace.input)} are traced")
        if name == INPUT:
            return (trace.input if what == "value" else trace.input_delta)[sample]
        if name not in self._steps:
            raise DataError(f"no node called {name!r}")
        step = self._steps[name]
        return (step.output if what == "value" else step.delta)[sample]

    def cell(self, node: str, what: str, index: Sequence[int], sample: int = 0, limit: int = 256) -> dict[str, Any]:
        """Return where one number comes from; see :class:`pellucid.explain.cell.Link` for how it is named.

        Args:
            node, what, index, sample: the number's name.
            limit: terms to return at most.

        Raises:
            ConfigError, ShapeError: there is no such number.
        """
        return inspect(self._network, self.trace, node, index, sample, what, limit=limit).to_json()
