"""The contract every optimizer keeps, and the state it carries from step to step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from pellucid.arrays import Array, Tensors
from pellucid.description import Described
from pellucid.errors import ConfigError, ShapeError
from pellucid.optimizers.clipping import clip_by_norm, clip_by_value, limit_norms
from pellucid.schedules import Schedule, check_number, keep_number, keep_rate

#: the step counter's name among the tensors of a state; parameter names hold a dot, so it cannot meet one
STEP = "step"


@dataclass
class OptimizerState:
    """What an optimizer remembers between steps.

    Attributes:
        step: updates done so far.
        slots: parameter name to slot name (``"velocity"``, ...) to an array of the parameter's shape and dtype.
    """

    step: int = 0
    slots: dict[str, dict[str, Array]] = field(default_factory=dict[str, dict[str, Array]])

    def to_tensors(self) -> Tensors:
        """Return copies by name, e.g. ``"conv1.weight.velocity"``, for a checkpoint; the counter under ``"step"``."""
        tensors: Tensors = {STEP: np.array(self.step, dtype=np.int64)}
        for name, slots in self.slots.items():
            tensors.update({f"{name}.{slot}": value.copy() for slot, value in slots.items()})
        return tensors

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Array]) -> OptimizerState:
        """Rebuild a state from copies of what :meth:`to_tensors` gave."""
        state = cls(step=int(tensors[STEP]))
        for key, value in tensors.items():
            if key != STEP:
                name, _, slot = key.rpartition(".")
                state.slots.setdefault(name, {})[slot] = value.copy()
        return state

    def restore(self, tensors: Mapping[str, Array]) -> None:
        """Copy what :meth:`to_tensors` gave into the arrays there are: whoever works on them goes on from there."""
        self.step = int(tensors[STEP])
        for name, slots in self.slots.items():
            for slot, value in slots.items():
                value[...] = tensors[f"{name}.{slot}"]


@dataclass(frozen=True)
class NativeRule:
    """An equation as the compiled part knows it; native/kernels/update.hpp has it.

    Attributes:
        name: ``"sgd"``, ``"momentum"``, ``"nesterov"``, ``"adagrad"``, ``"rmsprop"``, ``"adadelta"``, ``"adam"`` or
            ``"adamax"``; its slots are :attr:`Optimizer.slot_names`, in that order.
        first, second: the shares of its slots that a step keeps: μ, α, ρ or β₁; β₂.
        eps: ε.
        decay: λ, weight decay beside the gradient of the loss.
    """

    name: str
    first: float = 0.0
    second: float = 0.0
    eps: float = 0.0
    decay: float = 0.0


@dataclass(frozen=True)
class Optimizer(Described):
    """Base of the optimizers; subclass it as a frozen dataclass and write :meth:`update` to make your own.

    One step clips the gradients (by value, then by norm), updates every parameter by the subclass's equation, and
    bounds the weights. All of it happens in place and in the dtype of the parameters.

    Attributes:
        learning_rate: η, a number or a :class:`~pellucid.schedules.Schedule`.
        clip_norm: bound on the norm of all gradients together; none if None.
        clip_value: bound on the size of every entry of the gradients; none if None.
        max_norm: bound on the norm of each output unit's incoming weights, after the update; none if None.
    """

    #: the update of a number depends on that number's own gradient and slots alone, not on the array it stands in; the
    #: training loop then updates all parameters as one array
    elementwise: ClassVar[bool] = False

    learning_rate: float | Schedule
    clip_norm: float | None = field(default=None, kw_only=True)
    clip_value: float | None = field(default=None, kw_only=True)
    max_norm: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        keep_rate(self, "learning_rate")
        for name in ("clip_norm", "clip_value", "max_norm"):
            if getattr(self, name) is not None:
                keep_number(self, name, above=0)

    @property
    def slot_names(self) -> tuple[str, ...]:
        """Names of the arrays remembered for each parameter; each starts as zeros."""
        return ()

    def update(self, param: Array, grad: Array, slots: Tensors, learning_rate: float, step: int) -> None:
        """Apply the equation to one parameter array.

        Args:
            param: θ, changed in place.
            grad: g = ∂J/∂θ, clipped, not to be changed.
            slots: this parameter's own arrays by :attr:`slot_names`, changed in place.
            learning_rate: η at this moment.
            step: t, 1 at the first update.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define update")

    def native(self) -> NativeRule | None:
        """Return the native rule that :meth:`update` is; None for an optimizer of your own, which NumPy runs."""
        return None

    def start(self, params: Mapping[str, Array]) -> OptimizerState:
        """Return the state before the first step."""
        return OptimizerState(
            slots={name: {slot: np.zeros_like(p) for slot in self.slot_names} for name, p in params.items()}
        )

    def apply(
        self,
        params: Mapping[str, Array],
        grads: Mapping[str, Array],
        state: OptimizerState,
        learning_rate: float,
        max_norm_on: Iterable[Array] = (),
    ) -> None:
        """Do one step: change ``params`` and ``state`` in place.

        Args:
            params: parameter arrays by name.
            grads: ∂J/∂parameter, of the same names and shapes; not changed.
            state: from :meth:`start`.
            learning_rate: η now, e.g. ``resolve_schedule(self.learning_rate)(epoch, epochs)``.
            max_norm_on: the arrays of ``params``, or views into them, that ``max_norm`` bounds.

        Raises:
            ConfigError: the learning rate is negative or not finite, as a schedule of your own might make it.
            ShapeError: gradients or state do not fit the parameters; nothing has been changed.
        """
        rate = check_number(self, "learning_rate", learning_rate, least=0)
        self._check_fit(params, grads, state)
        if self.clip_value is not None:
            grads = clip_by_value(grads, self.clip_value)
        if self.clip_norm is not None:
            grads = clip_by_norm(grads, self.clip_norm)
        state.step += 1
        for name, param in params.items():
            self.update(param, grads[name], state.slots.get(name, {}), rate, state.step)
        if self.max_norm is not None:
            for weight in max_norm_on:
                limit_norms(weight, self.max_norm)

    def _check_fit(self, params: Mapping[str, Array], grads: Mapping[str, Array], state: OptimizerState) -> None:
        if grads.keys() != params.keys():
            raise ShapeError(
                f"{type(self).__name__}: parameters and gradients differ in {sorted(grads.keys() ^ params.keys())}; "
                "give one gradient for every parameter"
            )
        for name, param in params.items():
            if grads[name].shape != param.shape:
                raise ShapeError(
                    f"{type(self).__name__}: {name!r} has shape {param.shape}, its gradient has {grads[name].shape}"
                )
            kept = {slot: value.shape for slot, value in state.slots.get(name, {}).items()}
            if kept != dict.fromkeys(self.slot_names, param.shape):
                raise ShapeError(
                    f"{type(self).__name__}: the state kept for {name!r} is {kept}, expected "
                    f"{dict.fromkeys(self.slot_names, param.shape)}; use the state that start() of this very optimizer "
                    "gave for these parameters"
                )


def keep_betas(optimizer: Optimizer, betas: Any) -> None:
    """Check the two decay rates of the Adam family and keep them as a pair of plain floats.

    Raises:
        ConfigError: not a pair of numbers from 0 to below 1.
    """
    if not isinstance(betas, (tuple, list)) or len(betas) != 2:  # pyright: ignore[reportUnknownArgumentType]
        raise ConfigError(f"{type(optimizer).__name__}: betas must be a pair such as (0.9, 0.999); got {betas!r}")
    checked = tuple(check_number(optimizer, "betas", beta, least=0, below=1) for beta in betas)  # pyright: ignore
    object.__setattr__(optimizer, "betas", checked)
