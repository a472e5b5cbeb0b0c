"""Gradient and update in one native call a batch, for what optimizers and penalties say they are natively."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isfinite
from typing import Any

from pellucid.arrays import Array
from pellucid.engine.inheritance import speaks_for
from pellucid.engine.native import NativeEngine
from pellucid.optimizers import Optimizer
from pellucid.regularizers import Penalty
from pellucid.schedules import check_number

_RULES = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adadelta", "adam", "adamax")


def native_update(optimizer: Optimizer, penalties: Sequence[Penalty]) -> dict[str, float] | None:
    """Return the fields of ``Update`` in native/optimizer.hpp that stay the same from step to step.

    None if the optimizer or a penalty has no native form, or is a subclass that may have changed the equation.
    """
    rule = optimizer.native() if speaks_for(type(optimizer), "native", "update", "apply", "start") else None
    strengths = [p.native() if speaks_for(type(p), "native", "value", "gradient") else None for p in penalties]
    known = [pair for pair in strengths if pair is not None]
    if rule is None or not optimizer.elementwise or len(known) < len(strengths):
        return None
    limits = {name: getattr(optimizer, name) for name in ("clip_value", "clip_norm", "max_norm")}
    return {
        "rule": _RULES.index(rule.name),
        "first": rule.first,
        "second": rule.second,
        "eps": rule.eps,
        "decay": rule.decay,
        "l1": sum(l1 for l1, _ in known),
        "l2": sum(l2 for _, l2 in known),
        **{name: inf if limit is None else limit for name, limit in limits.items()},
    }


class NativeTraining:
    """The steps of one training, each a single native call that reads the data set where it lies.

    Args:
        engine: of the network.
        optimizer: for its slots.
        update: from :func:`native_update`.
        params: flat; changed in place.
        regularized: (first number, units, numbers a unit) of the weights that penalties and max-norm act on.
        outputs: (rows, K), where steps put what the network gave.
        samples: what else :meth:`NativeEngine.training` takes: the data set.

    Attributes:
        previous: the parameters before the last update, flat; where there was none because the gradient is not finite,
            that gradient.
        state: what the optimizer remembers.
    """

    def __init__(
        self,
        engine: NativeEngine,
        optimizer: Optimizer,
        update: dict[str, float],
        params: Array,
        regularized: Sequence[tuple[int, int, int]],
        outputs: Array,
        **samples: Any,
    ) -> None:
        self._engine, self._optimizer = engine, optimizer
        self.previous = params.copy()
        self.state = optimizer.start({"parameters": params})
        self._training = engine.training(
            update=update,
            params=params,
            gradients=self.previous,
            slots=[self.state.slots["parameters"][name] for name in optimizer.slot_names],
            outputs=outputs,
            regularized=list(regularized),
            **samples,
        )

    @property
    def updates(self) -> int:
        """How many steps have changed the parameters; known even where Ctrl-C came before :meth:`step` returned."""
        return self._training.updates

    def step(
        self, rows: Array, place: int, rate: float, network_step: int = 0, images: Array | None = None
    ) -> tuple[float, bool, bool, bool]:
        """Do one step on some rows of the data set.

        Args:
            rows: int64.
            place: the row of the outputs where those of the batch begin.
            rate: η.
            network_step: batches the network had seen before, for what layers draw.
            images: of these rows, if the data set has none of its own.

        Returns:
            J; whether its gradient and the new parameters are finite; and whether :attr:`previous` has parameters.
            Parameters and state have changed only if J and its gradient are finite.

        Raises:
            ConfigError: the learning rate is negative or not finite.
        """
        rate = check_number(self._optimizer, "learning_rate", rate, least=0)
        value, gradient, params, kept = self._engine.step(
            self._training, rows, place, rate, self.state.step + 1, network_step, images
        )
        if gradient and isfinite(value):
            self.state.step += 1
        return value, gradient, params, kept
