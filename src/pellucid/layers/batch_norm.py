"""Batch normalization: per feature map (Epelbaum) and per activation (Grishin).

The two differ in one thing, the axes that their statistics run over; everything else is shared. The Jacobian of
Epelbaum's "Backprop through BatchNorm",

    J = ∂y[t′]/∂x[t] = γ̃ ([t = t′, same pixel] − (1 + x̂[t′] x̂[t])/m),

would cost a double sum over the batch. Contracted with dy it needs only the two sums that are the gradients of β and γ
anyway (his μ⁽¹⁾, μ⁽²⁾ and λ⁽⁴⁾, λ⁽⁶⁾ in "Practical Simplification"; the two sums over e′ in Grishin's T).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, prod
from typing import Any, ClassVar, Literal

import numpy as np

from pellucid.arrays import Array, Rng, Shape, Tensors
from pellucid.errors import DataError
from pellucid.layers.base import Formula, Layer, NativeProgram, require, require_maps


@dataclass(frozen=True)
class _Normalization(Layer):
    """Normalize over the axes ``_over`` of (N, ...) arrays, then scale and shift."""

    eps: float = 1e-5
    momentum: float = 0.1
    running: Literal["exponential", "cumulative"] = "exponential"

    #: axes, the batch counted as 0, that share one mean, one variance, one γ and one β
    _over: ClassVar[tuple[int, ...]]

    def __post_init__(self) -> None:
        require(isfinite(self.eps) and self.eps > 0, self, f"eps must be finite and positive; got {self.eps}")
        require(0 <= self.momentum <= 1, self, f"momentum must lie between 0 and 1; got {self.momentum}")
        kinds = ("exponential", "cumulative")
        require(self.running in kinds, self, f"running must be one of {kinds}; got {self.running!r}")

    def parameter_count(self, input_shape: Shape) -> int:
        """Return γ's and β's numbers."""
        return 2 * prod(self._statistics_shape(input_shape))

    def init_params(self, input_shape: Shape, rng: Rng) -> Tensors:
        """Return weight γ = 1 and bias β = 0: the normalized values pass as they are."""
        shape = self._statistics_shape(input_shape)
        return {"weight": np.ones(shape), "bias": np.zeros(shape)}

    def init_state(self, input_shape: Shape) -> Tensors:
        """Return running_mean = 0, running_var = 1, and num_batches = 0, shape (1,)."""
        shape = self._statistics_shape(input_shape)
        return {"running_mean": np.zeros(shape), "running_var": np.ones(shape), "num_batches": np.zeros(1)}

    def forward(
        self, params: Tensors, x: Array, *, state: Tensors, training: bool = False, **_: Any
    ) -> tuple[Array, Any]:
        """Return y = γ·x̂ + β, with the batch's statistics while training, else with the running ones.

        Raises:
            DataError: while training, a statistic has a single value to go by.
        """
        if training:
            # In float64 and around the mean, because float32 or E[x²] − E[x]² lose a small spread beside a big offset.
            mean = x.mean(axis=self._over, keepdims=True, dtype=np.float64)
            deviation = x - mean
            variance = np.square(deviation).mean(axis=self._over, keepdims=True)
            self._remember(state, mean, variance, self._count(x))
        else:
            mean, variance = self._spread(state["running_mean"]), self._spread(state["running_var"])
            deviation = x - mean
        sigma = np.sqrt(variance + self.eps)
        normalized = (deviation / sigma).astype(x.dtype, copy=False)
        gamma, beta = self._spread(params["weight"]), self._spread(params["bias"])
        slope = (gamma / sigma).astype(x.dtype, copy=False)
        return gamma * normalized + beta, (normalized, slope, training)

    def backward(self, params: Tensors, saved: Any, dy: Array) -> tuple[Array, Tensors]:
        """Return dx = γ̃·(dy − (Σdy + x̂·Σdy·x̂)/m), or γ̃·dy if running statistics were used; dweight and dbias."""
        normalized, slope, training = saved
        dweight = (dy * normalized).sum(axis=self._over)
        dbias = dy.sum(axis=self._over)
        grads = {"weight": dweight, "bias": dbias}
        if not training:
            return slope * dy, grads
        m = self._count(dy)
        return slope * (dy - (self._spread(dbias) + normalized * self._spread(dweight)) / m), grads

    def emit(self, program: NativeProgram, slot: int) -> int:
        """Lower to a native batch normalization."""
        momentum = self.momentum if self.running == "exponential" else -1.0
        return program.batch_norm(slot, per_pixel=self._over == (0,), eps=self.eps, momentum=momentum)

    def _remember(self, state: Tensors, mean: Array, variance: Array, m: int) -> None:
        """Let the running statistics move on by one batch; a sample's variance is unbiased with m/(m − 1)."""
        batches = state["num_batches"]
        rate = self.momentum if self.running == "exponential" else 1 / (batches + 1)
        for running, new in ((state["running_mean"], mean), (state["running_var"], variance * (m / (m - 1)))):
            running[...] = (1 - rate) * running + rate * new.reshape(running.shape)
        batches += 1

    def _count(self, x: Array) -> int:
        """Return m, the values that one statistic is taken over."""
        m = int(np.prod([x.shape[axis] for axis in self._over]))
        if m < 2:
            raise DataError(
                f"{self!r}: the batch has shape {x.shape}, a single value for each statistic, which has no variance; "
                "train with batches of two samples or more (a last batch of one sample counts too)"
            )
        return m

    def _statistics_shape(self, input_shape: Shape) -> Shape:
        return tuple(n for axis, n in enumerate(input_shape, start=1) if axis not in self._over)

    def _spread(self, statistic: Array) -> Array:
        """Return a statistic or coefficient with axes of length 1 where it is shared, ready to meet x."""
        return np.expand_dims(statistic, self._over)


@dataclass(frozen=True)
class BatchNorm2d(_Normalization):
    r"""Normalize every feature map over the batch and its pixels, then scale and shift it.

    Legend: x = h, mean = ĥ_f, var = σ̂²_f, x̂ = h̃, weight = γ_f, bias = β_f, γ̃_f = γ_f/√(σ̂²_f + ε), all Epelbaum's.
    t counts samples, c maps, (u, v) pixels; m = T_mb·N·T is the number of values in a map over the batch.

    Forward::

        mean[c] = 1/m Σ_t Σ_u Σ_v  x[t,c,u,v]
        var[c]  = 1/m Σ_t Σ_u Σ_v  (x[t,c,u,v] − mean[c])²
        x̂[t,c,u,v] = (x[t,c,u,v] − mean[c]) / √(var[c] + ε)
        y[t,c,u,v] = weight[c] · x̂[t,c,u,v] + bias[c]

    Backward, with γ̃[c] = weight[c]/√(var[c] + ε)::

        dbias[c]   = Σ_t Σ_u Σ_v  dy[t,c,u,v]
        dweight[c] = Σ_t Σ_u Σ_v  dy[t,c,u,v] · x̂[t,c,u,v]
        dx[t,c,u,v] = γ̃[c] · (dy[t,c,u,v] − (dbias[c] + x̂[t,c,u,v]·dweight[c])/m)

    While not training, mean and var are the running statistics. They do not depend on x, so dx = γ̃·dy.

    Running statistics after batch e (``num_batches`` counts them), starting from mean 0 and variance 1::

        running ← (1 − momentum)·running + momentum·new     (running="exponential", as in PyTorch)
        running ← (e·running + new)/(e + 1)                 (running="cumulative", Epelbaum's 𝔼 and 𝕍ar)

    new is mean[c], and var[c]·m/(m − 1): the factor that Epelbaum applies at test time is applied here already, so
    that inference takes running_mean and running_var as they are. His T_mb/(T_mb − 1) forgets the pixels; see errata.

    Args:
        eps: ε, keeps the root away from 0.
        momentum: weight of the new batch; for ``"exponential"`` only.
        running: how running statistics are averaged.

    Shapes: x and y (N, C, H, W); weight, bias, running_mean, running_var (C,).

    Raises:
        ConfigError: a setting is out of range.
        ShapeError: the input is not (C, H, W).
        DataError: while training, a batch of one sample of 1×1 pixels.

    Source: Epelbaum, "Modification to Batch Normalization", "Backprop through BatchNorm", "Practical Simplification".
    """

    _over: ClassVar[tuple[int, ...]] = (0, 2, 3)
    formula: ClassVar[Formula | None] = Formula(
        forward=r"y_{tcuv} = \gamma_c\,\hat{x}_{tcuv} + \beta_c,\quad"
        r"\hat{x}_{tcuv} = \frac{x_{tcuv} - \mu_c}{\sqrt{\sigma_c^2 + \epsilon}},\quad"
        r"\mu_c = \frac{1}{m}\sum_{t,u,v} x_{tcuv},\quad"
        r"\sigma_c^2 = \frac{1}{m}\sum_{t,u,v} (x_{tcuv} - \mu_c)^2",
        backward={
            "dx": r"\frac{\partial J}{\partial x_{tcuv}} = \frac{\gamma_c}{\sqrt{\sigma_c^2 + \epsilon}}"
            r"\left[\frac{\partial J}{\partial y_{tcuv}} - \frac{1}{m}\left(\frac{\partial J}{\partial \beta_c}"
            r" + \hat{x}_{tcuv}\frac{\partial J}{\partial \gamma_c}\right)\right]",
            "dweight": r"\frac{\partial J}{\partial \gamma_c} = \sum_{t,u,v}"
            r"\frac{\partial J}{\partial y_{tcuv}}\,\hat{x}_{tcuv}",
            "dbias": r"\frac{\partial J}{\partial \beta_c} = \sum_{t,u,v} \frac{\partial J}{\partial y_{tcuv}}",
        },
        source="Epelbaum, Modification to Batch Normalization and Backprop through BatchNorm",
    )

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape."""
        return require_maps(self, input_shape)


@dataclass(frozen=True)
class BatchNorm(_Normalization):
    r"""Normalize every single activation over the batch, then scale and shift it.

    Legend: x = Z⁽²¹⁾, mean = μ, var = V, x̂ = Z⁽²²⁾, weight = α, bias = β, y = Y, dy = H or TT, dx = T, all Grishin's.
    t counts the N samples (his e); k stands for the index of a unit: one for vectors, (c, u, v) for feature maps.

    Forward::

        mean[k] = 1/N Σ_t  x[t,k]
        var[k]  = 1/N Σ_t  (x[t,k] − mean[k])²
        x̂[t,k] = (x[t,k] − mean[k]) / √(var[k] + ε)
        y[t,k] = weight[k] · x̂[t,k] + bias[k]

    Backward::

        dbias[k]   = Σ_t  dy[t,k]
        dweight[k] = Σ_t  dy[t,k] · x̂[t,k]
        dx[t,k] = weight[k]/√(var[k] + ε) · (dy[t,k] − (dbias[k] + x̂[t,k]·dweight[k])/N)

    The last line is Grishin's T⁽⁷⁾, his Σ H·Z − μ Σ H written as √(V + ε) Σ H·x̂. While not training, mean and var are
    the running statistics, and dx = weight/√(var + ε)·dy. Running statistics are kept as in :class:`BatchNorm2d`, the
    variance times N/(N − 1).

    Args:
        eps: ε, keeps the root away from 0.
        momentum: weight of the new batch in the running statistics; for ``"exponential"`` only.
        running: how running statistics are averaged, ``"exponential"`` or ``"cumulative"``.

    Shapes: x and y (N, K) or (N, C, H, W); weight, bias, running_mean, running_var (K,) or (C, H, W).

    Raises:
        ConfigError: a setting is out of range.
        DataError: while training, a batch of one sample.

    Source: Grishin §18 (Layer 21 to 22, 41 to 42, 71 to 72), §19 (Layer 72 ⇒ 71, 42 ⇒ 41, 22 ⇒ 21), §20.
    """

    _over: ClassVar[tuple[int, ...]] = (0,)
    formula: ClassVar[Formula | None] = Formula(
        forward=r"y_{tk} = \alpha_k\,\hat{x}_{tk} + \beta_k,\quad"
        r"\hat{x}_{tk} = \frac{x_{tk} - \mu_k}{\sqrt{V_k + \epsilon}},\quad"
        r"\mu_k = \frac{1}{N}\sum_t x_{tk},\quad V_k = \frac{1}{N}\sum_t (x_{tk} - \mu_k)^2",
        backward={
            "dx": r"\frac{\partial J}{\partial x_{tk}} = \frac{\alpha_k}{\sqrt{V_k + \epsilon}}"
            r"\left[\frac{\partial J}{\partial y_{tk}} - \frac{1}{N}\left(\frac{\partial J}{\partial \beta_k}"
            r" + \hat{x}_{tk}\frac{\partial J}{\partial \alpha_k}\right)\right]",
            "dweight": r"\frac{\partial J}{\partial \alpha_k} = \sum_t"
            r"\frac{\partial J}{\partial y_{tk}}\,\hat{x}_{tk}",
            "dbias": r"\frac{\partial J}{\partial \beta_k} = \sum_t \frac{\partial J}{\partial y_{tk}}",
        },
        source="Grishin §18–§20",
    )

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape."""
        return input_shape
