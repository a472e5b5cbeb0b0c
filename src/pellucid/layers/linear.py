"""Fully connected layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pellucid.arrays import Array, Rng, Shape, Tensors
from pellucid.initializers import Initializer, resolve_initializer
from pellucid.layers.base import Formula, Layer, NativeProgram, require, require_vector


@dataclass(frozen=True)
class Linear(Layer):
    """Connect every input to every output.

    Legend: x = f (Nguyen), A (Grishin), y of the layer before (Binding), h (Epelbaum); weight = w, Θ;
    y = S, Z, a; dy = dLS, T, δ.

    Forward::

        y[t,i] = bias[i] + Σ_j  weight[i,j] · x[t,j]

    Backward::

        dbias[i]     = Σ_t  dy[t,i]
        dweight[i,j] = Σ_t  dy[t,i] · x[t,j]
        dx[t,j]      = Σ_i  dy[t,i] · weight[i,j]

    Args:
        out_features: number of outputs.
        bias: add a bias per output.
        weight_init, bias_init: an initialiser or its name.

    Shapes: x (N, J); weight (I, J); bias (I,); y (N, I).

    Raises:
        ConfigError: ``out_features`` is not a whole number of at least 1.
        ShapeError: the input is not a vector.

    Source: Nguyen (5), (25)–(38); Grishin §6, §10, §11, §17; Binding (2.1)–(2.14); Epelbaum, "fully connected layers",
    "Weight update from fc to fc".
    """

    out_features: int
    bias: bool = True
    weight_init: str | Initializer = "he"
    bias_init: str | Initializer = "zeros"

    regularized: ClassVar[tuple[str, ...]] = ("weight",)
    formula: ClassVar[Formula | None] = Formula(
        forward=r"y_{ti} = b_i + \sum_j w_{ij}\, x_{tj}",
        backward={
            "dx": r"\frac{\partial J}{\partial x_{tj}} = \sum_i \frac{\partial J}{\partial y_{ti}}\, w_{ij}",
            "dweight": r"\frac{\partial J}{\partial w_{ij}} = \sum_t \frac{\partial J}{\partial y_{ti}}\, x_{tj}",
            "dbias": r"\frac{\partial J}{\partial b_i} = \sum_t \frac{\partial J}{\partial y_{ti}}",
        },
        source="Nguyen (5), (25)–(38); Grishin §6, §10, §11, §17; Binding (2.1)–(2.14)",
    )

    def __post_init__(self) -> None:
        good = type(self.out_features) is int and self.out_features >= 1
        require(good, self, f"out_features must be a whole number of at least 1; got {self.out_features!r}")
        resolve_initializer(self.weight_init)
        resolve_initializer(self.bias_init)

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (I,)."""
        require_vector(self, input_shape)
        return (self.out_features,)

    def init_params(self, input_shape: Shape, rng: Rng) -> Tensors:
        """Return weight (I, J), drawn with fan-in J and fan-out I, and bias (I,)."""
        fan_in, fan_out = input_shape[0], self.out_features
        params = {"weight": resolve_initializer(self.weight_init)((fan_out, fan_in), fan_in, fan_out, rng)}
        if self.bias:
            params["bias"] = resolve_initializer(self.bias_init)((fan_out,), fan_in, fan_out, rng)
        return params

    def forward(self, params: Tensors, x: Array, **_: Any) -> tuple[Array, Array]:
        """Return y[t,i] = bias[i] + Σ_j weight[i,j]·x[t,j]."""
        y = x @ params["weight"].T
        if self.bias:
            y += params["bias"]
        return y, x

    def backward(self, params: Tensors, saved: Array, dy: Array) -> tuple[Array, Tensors]:
        """Return dx = dy·weight, dweight = dyᵀ·x, dbias = Σ_t dy."""
        x = saved
        grads = {"weight": dy.T @ x}
        if self.bias:
            grads["bias"] = np.einsum("ti->i", dy)
        return dy @ params["weight"], grads

    def emit(self, program: NativeProgram, slot: int) -> int:
        """Become a native convolution of maps of one pixel."""
        pixel = (1, 1, 1, 0)
        return program.conv(slot, (self.out_features,), pixel, pixel)

    def parameter_count(self, input_shape: Shape) -> int:
        """Return I·J, and I for the bias."""
        return self.out_features * (input_shape[0] + self.bias)

    def multiply_adds(self, input_shape: Shape) -> int:
        """Return I·J."""
        return self.out_features * input_shape[0]
