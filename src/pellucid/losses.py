"""Losses. Each owns its output activation, so that δ at the top of a network is the texts' simple difference.

With a = the network's output before the activation, p = activation(a), y the target, and w_t the weight of sample t:

    J = Σ_t w_t ℓ_t / Σ_t w_t   (reduction="mean")      or      J = Σ_t w_t ℓ_t   (reduction="sum")

    δ[t,k] = ∂J/∂a[t,k] = w_t (p[t,k] − y[t,k]) / Σ_t w_t        (without the division for "sum")

for all three: cross-entropy with softmax (Nguyen 23; Epelbaum, "Backpropagate from output to fc"), log loss with
sigmoid (Grishin §9), squared error with the identity (Binding 2.10; Epelbaum).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from pellucid.arrays import Array, Shape
from pellucid.description import Described, Formula
from pellucid.errors import ConfigError, DataError, ShapeError
from pellucid.metrics import METRICS


@dataclass(frozen=True)
class Loss(Described):
    """Base of the losses.

    Attributes:
        reduction: ``"mean"`` over the batch (weighted, if there are weights) or ``"sum"``.
        class_weight: class index to weight; multiplies the weight of every sample of that class. Classes left out
            weigh 1. Only for targets that name one class a sample.
    """

    reduction: Literal["mean", "sum"] = "mean"
    class_weight: Mapping[int, float] | None = None

    formula: ClassVar[Formula | None] = None

    def __post_init__(self) -> None:
        if self.reduction not in ("mean", "sum"):
            raise ConfigError(f"{type(self).__name__}: reduction must be 'mean' or 'sum', got {self.reduction!r}")
        if self.class_weight is not None:
            try:
                weights = {int(k): float(v) for k, v in self.class_weight.items()}
            except (AttributeError, TypeError, ValueError) as error:
                raise ConfigError(
                    f"{type(self).__name__}: class_weight must map class numbers to weights, got {self.class_weight!r}"
                ) from error
            if any(not np.isfinite(v) or v < 0 for v in weights.values()):
                raise ConfigError(f"{type(self).__name__}: class weights must be finite and not negative: {weights}")
            object.__setattr__(self, "class_weight", weights)

    def activation(self, a: Array) -> Array:
        """Return p, the prediction, from the network's output (N, K) before its activation.

        Every one keeps the order of a sample's K numbers.
        """
        raise NotImplementedError

    def per_sample(self, a: Array, target: Array) -> Array:
        """Return ℓ, shape (N,), for outputs (N, K) and targets (N, K)."""
        raise NotImplementedError

    def value_and_delta(self, a: Array, target: Array, sample_weight: Array | None = None) -> tuple[float, Array]:
        """Return J and δ = ∂J/∂a.

        Args:
            a: outputs (N, K) before the activation.
            target: as returned by :meth:`encode`, (N, K).
            sample_weight: (N,), not negative; ones if None.
        """
        weight = self.weights(target, sample_weight)
        if self.reduction == "mean":
            weight = weight / weight.sum()
        value = weight @ self.per_sample(a, target)
        delta = (self.activation(a) - target) * weight.astype(a.dtype)[:, None]
        return float(value), delta

    def weights(self, target: Array, sample_weight: Array | None) -> Array:
        """Return w, shape (N,): the sample's weight times that of its class.

        Raises:
            DataError: weights of the wrong shape, negative, not finite, or all zero.
        """
        weight = np.ones(len(target)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        if weight.shape != (len(target),):
            raise DataError(f"sample_weight has shape {weight.shape}, expected ({len(target)},): one weight a sample")
        if self.class_weight is not None:
            per_class = np.ones(target.shape[1])
            for k, value in self.class_weight.items():
                if not 0 <= k < len(per_class):
                    raise ConfigError(f"class_weight names class {k}, but there are {len(per_class)} classes")
                per_class[k] = value
            if not _one_class_each(target):
                raise DataError("class_weight needs targets that name one class a sample")
            weight = weight * per_class[target.argmax(axis=1)]
        if not np.isfinite(weight).all() or (weight < 0).any():
            raise DataError("sample weights must be finite and not negative")
        if self.reduction == "mean" and weight.sum() == 0:
            raise DataError("the weights of a batch are all zero, so its mean loss is not defined")
        return weight

    def figures(self, a: Array, target: Array, sample_weight: Any | None = None) -> dict[str, float]:
        """Return J as ``"loss"``, and under its own name the mean of the metric that :meth:`metric_name` names.

        Args:
            a, target, sample_weight: as for :meth:`value_and_delta`.

        Raises:
            DataError: as :meth:`weights`, or all samples weigh 0.
        """
        weight = self.weights(target, sample_weight)
        if not weight.any():
            raise DataError("all samples weigh 0; give at least one of them a positive weight")
        total = weight.sum() if self.reduction == "mean" else 1.0
        metric = self.metric_name(target)
        scores = self.scores(metric, a, target)
        return {
            "loss": float(weight @ self.per_sample(a, target) / total),
            metric: float(np.average(scores, weights=weight)),
        }

    def scores(self, metric: str, a: Array, target: Array) -> Array:
        """Return one of :data:`pellucid.metrics.METRICS` for every sample, (N,), from outputs and targets (N, K).

        The most probable class is the one of the largest output: accuracy needs no activation.
        """
        return METRICS[metric](a if metric == "accuracy" else self.activation(a), target)

    def metric_name(self, target: Array) -> str:
        """Return which of :data:`pellucid.metrics.METRICS` tells how good predictions of these targets are."""
        return "accuracy"

    def encode(self, y: Any, output_shape: Shape, dtype: Any) -> Array:
        """Return targets (N, K) from class numbers (N,), or from arrays that have the output's shape already.

        Raises:
            DataError: labels out of range, not whole numbers, NaN, or of the wrong shape.
            ShapeError: the network's output is not a vector.
        """
        if len(output_shape) != 1:
            raise ShapeError(
                f"a loss needs a vector for every sample, but the network gives {output_shape}; end it with "
                "Flatten() and Linear(classes), or GlobalAvgPool2d()"
            )
        (outputs,) = output_shape
        try:
            target = np.asarray(y)
        except ValueError as error:
            raise DataError(f"the labels cannot be made into one array: {error}") from error
        if target.dtype.kind not in "biuf":
            raise DataError(f"labels must be numbers, got dtype {target.dtype}; map class names to 0 … {outputs - 1}")
        if target.dtype.kind == "f" and not np.isfinite(target).all():
            raise DataError("the targets contain NaN or infinity")
        if target.ndim == 1 and self._names_classes(target, outputs):
            return self._one_hot(target, outputs, dtype)
        if target.ndim == 1 and outputs == 1:
            target = target[:, None]
        if target.shape[1:] != (outputs,):
            raise DataError(
                f"targets have shape {target.shape}, but the network gives {outputs} outputs: expected class numbers "
                f"of shape (N,), or an array of shape (N, {outputs})"
            )
        with np.errstate(over="ignore"):
            target = self._check_values(target).astype(dtype)
        if not np.isfinite(target).all():
            raise DataError(f"the targets hold numbers too large for {np.dtype(dtype)}; scale them")
        return target

    def _names_classes(self, target: Array, outputs: int) -> bool:
        return outputs > 1

    def _one_hot(self, labels: Array, classes: int, dtype: Any) -> Array:
        wrong = (labels < 0) | (labels >= classes)
        if wrong.any():
            where = int(wrong.argmax())
            raise DataError(
                f"label {labels[where]} of sample {where} is out of range: the network has {classes} outputs, "
                f"so labels run from 0 to {classes - 1}"
            )
        whole = labels.astype(np.int64)
        if (whole != labels).any():
            raise DataError(f"class labels must be whole numbers, got e.g. {labels[whole != labels][0]}")
        return np.eye(classes, dtype=dtype)[whole]

    def _check_values(self, target: Array) -> Array:
        """Return targets (N, K), or raise DataError for values that are no probabilities; squared error takes any."""
        if ((target < 0) | (target > 1)).any():
            raise DataError(f"{type(self).__name__}: targets must lie between 0 and 1")
        return target


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Softmax and cross-entropy, for classes that exclude each other. Name: ``"cross_entropy"``.

    ::

        p[t,k] = e^{a[t,k]} / Σ_i e^{a[t,i]}        ℓ_t = −Σ_k y[t,k] ln p[t,k]        δ = p − y

    Computed as ℓ = Σ_k y_k (ln Σ_i e^{a_i − m} + m − a_k) with m = max a, which large outputs do not overflow.
    Targets that are not class numbers must sum to 1 over the classes.

    Source: Nguyen (5), (6), (10)–(23); Epelbaum, "Backpropagate from output to fc".
    """

    formula: ClassVar[Formula | None] = Formula(
        forward=r"p_{tk} = \frac{e^{a_{tk}}}{\sum_i e^{a_{ti}}},\quad \ell_t = -\sum_k y_{tk} \ln p_{tk}",
        backward={"delta": r"\delta_{tk} = \frac{w_t}{\sum_t w_t}\,(p_{tk} - y_{tk})"},
        source="Nguyen (5), (6), (23)",
    )

    def activation(self, a: Array) -> Array:
        """Return softmax(a)."""
        e = np.exp(a - a.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def per_sample(self, a: Array, target: Array) -> Array:
        """Return −Σ_k y[t,k] ln p[t,k]."""
        shifted = a - a.max(axis=1, keepdims=True)
        log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return -np.einsum("tk,tk->t", target, log_p)

    def _check_values(self, target: Array) -> Array:
        target = super()._check_values(target)
        if target.shape[1] == 1:
            raise DataError("CrossEntropy needs two outputs or more; use LogLoss for a single yes-or-no output")
        total = target.sum(axis=1, keepdims=True)
        if (abs(total - 1) > 1e-4).any():
            raise DataError(
                "CrossEntropy: the targets of a sample must sum to 1; use LogLoss for several labels a sample"
            )
        return target / total  # δ = p − y holds for a sum of exactly 1


@dataclass(frozen=True)
class LogLoss(Loss):
    """Sigmoid and log loss, summed over the classes; several classes may hold at once. Name: ``"log_loss"``.

    ::

        p = 1/(1 + e^{−a})        ℓ_t = −Σ_k [y[t,k] ln p[t,k] + (1 − y[t,k]) ln(1 − p[t,k])]        δ = p − y

    Computed as ℓ = Σ_k [max(a, 0) − a·y + ln(1 + e^{−|a|})], which large outputs do not overflow.

    Source: Grishin §7, §9.
    """

    formula: ClassVar[Formula | None] = Formula(
        forward=r"p_{tk} = \frac{1}{1+e^{-a_{tk}}},\quad "
        r"\ell_t = -\sum_k \left[y_{tk}\ln p_{tk} + (1-y_{tk})\ln(1-p_{tk})\right]",
        backward={"delta": r"\delta_{tk} = \frac{w_t}{\sum_t w_t}\,(p_{tk} - y_{tk})"},
        source="Grishin §7, §9",
    )

    def activation(self, a: Array) -> Array:
        """Return sigmoid(a)."""
        e = np.exp(-abs(a))
        return np.where(a >= 0, 1, e) / (1 + e)

    def per_sample(self, a: Array, target: Array) -> Array:
        """Return −Σ_k [y ln p + (1 − y) ln(1 − p)]."""
        return np.sum(np.maximum(a, 0) - a * target + np.log1p(np.exp(-abs(a))), axis=1)

    def metric_name(self, target: Array) -> str:
        """Return ``"accuracy"`` for one class a sample, else ``"binary_accuracy"``: the share of right answers."""
        return "accuracy" if _one_class_each(target) else "binary_accuracy"


@dataclass(frozen=True)
class SquaredError(Loss):
    """Identity and half the squared distance, for regression or for one-hot classes. Name: ``"squared_error"``.

    ::

        p = a        ℓ_t = ½ Σ_k (p[t,k] − y[t,k])²        δ = p − y

    Whole numbers (an integer dtype) against several outputs are class numbers; anything else is a value to reach.

    Source: Binding (1.5), (1.6), (2.10); Epelbaum, "Backpropagate from output to fc".
    """

    formula: ClassVar[Formula | None] = Formula(
        forward=r"p_{tk} = a_{tk},\quad \ell_t = \tfrac{1}{2}\sum_k (p_{tk} - y_{tk})^2",
        backward={"delta": r"\delta_{tk} = \frac{w_t}{\sum_t w_t}\,(p_{tk} - y_{tk})"},
        source="Binding (1.6), (2.10)",
    )

    def activation(self, a: Array) -> Array:
        """Return a."""
        return a

    def per_sample(self, a: Array, target: Array) -> Array:
        """Return ½ Σ_k (a − y)²."""
        return 0.5 * np.square(a - target).sum(axis=1)

    def metric_name(self, target: Array) -> str:
        """Return ``"accuracy"`` if every target names one class of several, else ``"mae"``."""
        return "accuracy" if _one_class_each(target) else "mae"

    def _names_classes(self, target: Array, outputs: int) -> bool:
        return outputs > 1 and target.dtype.kind in "biu"

    def _check_values(self, target: Array) -> Array:
        """Take any finite value."""
        return target


def _one_class_each(target: Array) -> bool:
    """Tell whether every row of (N, K) targets, K > 1, is one-hot."""
    return target.shape[1] > 1 and bool(((target == 0) | (target == 1)).all() and (target.sum(axis=1) == 1).all())


LOSSES: dict[str, Loss] = {
    "cross_entropy": CrossEntropy(),
    "log_loss": LogLoss(),
    "squared_error": SquaredError(),
}


def resolve_loss(loss: str | Loss) -> Loss:
    """Return the loss of that name, or the object itself.

    Raises:
        ConfigError: there is no such name.
    """
    if isinstance(loss, Loss):
        return loss
    if loss not in LOSSES:
        raise ConfigError(f"no loss called {loss!r}; there are {', '.join(LOSSES)}")
    return LOSSES[loss]
