"""Convolution layer (a correlation, as in all four texts, unless ``flip`` is set)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pellucid.arrays import Array, Rng, Shape, Tensors
from pellucid.errors import ShapeError
from pellucid.initializers import Initializer, resolve_initializer
from pellucid.layers.base import Formula, Layer, NativeProgram, pair, require, require_maps
from pellucid.layers.windows import Axis, Padding, Pair, axes, check_window, overlap_add, pad, windows


@dataclass(frozen=True)
class Conv2d(Layer):
    r"""Slide learnable filters over feature maps.

    Legend: x = h (Epelbaum), aa (Grishin), P (Nguyen); weight = Θ, w, k; bias = b; y = a, z, S;
    dy = δ, T, dLS. f counts output maps, c input maps, (l, m) output pixels, (j, k) pixels of the R×R filter,
    t samples; S is the stride, D the dilation, P the padding.

    Forward::

        y[t,f,l,m] = bias[f] + Σ_c Σ_j Σ_k  weight[f,c,j,k] · x[t,c, S·l + D·j − P, S·m + D·k − P]

    Backward::

        dbias[f]         = Σ_t Σ_l Σ_m  dy[t,f,l,m]
        dweight[f,c,j,k] = Σ_t Σ_l Σ_m  dy[t,f,l,m] · x[t,c, S·l + D·j − P, S·m + D·k − P]
        dx[t,c,u,v]      = Σ_f Σ_j Σ_k  weight[f,c,j,k] · dy[t,f,l,m]  where S·l + D·j − P = u, S·m + D·k − P = v

    For S = D = 1 the last line is the full correlation of dy with the filter turned by 180° (Binding B.27).
    With ``flip=True`` the filter is turned before the forward pass: a true convolution (Binding 1.2, see errata).

    Args:
        out_channels: number of filters F.
        kernel_size: R, or (height, width).
        stride: S.
        padding: pixels of zeros on each side, a pair, ((top, bottom), (left, right)), or ``"valid"`` (0), ``"same"``
            (⌈T/S⌉ outputs) or ``"full"`` (every overlap).
        dilation: distance D between the filter's taps.
        groups: split the maps into this many groups, each seeing only its own input maps.
        bias: add a bias per filter.
        flip: convolve instead of correlate.
        weight_init, bias_init: an initialiser or its name.
        winograd: let the native engine take fewer products where that pays, at some cost in accuracy; see
            ``docs/native-engine.md``. False keeps it to the sums above.

    Shapes: x (N, C, H, W); weight (F, C/groups, R, R); bias (F,); y (N, F, H′, W′) with
    H′ = ⌊(H + 2P − D(R−1) − 1)/S⌋ + 1.

    Raises:
        ConfigError: a setting is out of range.
        ShapeError: the input is not (C, H, W), is smaller than the kernel, or C is not a multiple of ``groups``.

    Source: Epelbaum, "Convolution", "Backpropagate from conv to conv", "Weight update: details";
    Binding (1.1), (2.15)–(2.20), (B.12)–(B.27); Grishin §1, §3, §14, §17; Nguyen (1), (3), (47)–(65).

    Example:
        >>> Conv2d(6, 5).output_shape((1, 28, 28))
        (6, 24, 24)
    """

    out_channels: int
    kernel_size: Pair
    stride: Pair = 1
    padding: Padding = 0
    dilation: Pair = 1
    groups: int = 1
    bias: bool = True
    flip: bool = False
    weight_init: str | Initializer = "he"
    bias_init: str | Initializer = "zeros"
    winograd: bool = True

    regularized: ClassVar[tuple[str, ...]] = ("weight",)
    formula: ClassVar[Formula | None] = Formula(
        forward=r"y_{tflm} = b_f + \sum_{c,j,k} w_{fcjk}\, x_{t,c,\,Sl+Dj-P,\,Sm+Dk-P}",
        backward={
            "dx": r"\frac{\partial J}{\partial x_{tcuv}} = \sum_{f}\sum_{j,k} w_{fcjk}\,"
            r"\frac{\partial J}{\partial y_{tflm}}\Big|_{Sl+Dj-P=u,\;Sm+Dk-P=v}",
            "dweight": r"\frac{\partial J}{\partial w_{fcjk}} = \sum_{t,l,m}"
            r"\frac{\partial J}{\partial y_{tflm}}\, x_{t,c,\,Sl+Dj-P,\,Sm+Dk-P}",
            "dbias": r"\frac{\partial J}{\partial b_f} = \sum_{t,l,m} \frac{\partial J}{\partial y_{tflm}}",
        },
        source="Epelbaum, Convolution and Weight update; Binding (2.15)–(2.20), (B.12)–(B.27); Grishin §3, §14, §17; "
        "Nguyen (3), (47)–(56)",
    )

    def __post_init__(self) -> None:
        check_window(self, self.kernel_size, self.stride, self.padding, self.dilation)
        for setting in ("out_channels", "groups"):
            value = getattr(self, setting)
            good = type(value) is int and value >= 1
            require(good, self, f"{setting} must be a whole number of at least 1; got {value!r}")
        require(
            self.out_channels % self.groups == 0, self, f"out_channels must be a multiple of groups ({self.groups})"
        )
        resolve_initializer(self.weight_init)
        resolve_initializer(self.bias_init)

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (F, H′, W′)."""
        channels, height, width = require_maps(self, input_shape)
        if channels % self.groups:
            raise ShapeError(f"{self!r}: the {channels} input maps cannot be split into {self.groups} groups")
        rows, columns = self._axes((height, width))
        return (self.out_channels, rows.outputs, columns.outputs)

    def init_params(self, input_shape: Shape, rng: Rng) -> Tensors:
        """Return weight (F, C/groups, R, R), drawn with fan-in C/groups·R² and fan-out F/groups·R², and bias (F,)."""
        height, width = pair(self.kernel_size)
        shape = (self.out_channels, input_shape[0] // self.groups, height, width)
        fan_in, fan_out = shape[1] * height * width, self.out_channels // self.groups * height * width
        params = {"weight": resolve_initializer(self.weight_init)(shape, fan_in, fan_out, rng)}
        if self.bias:
            params["bias"] = resolve_initializer(self.bias_init)((self.out_channels,), fan_in, fan_out, rng)
        return params

    def forward(self, params: Tensors, x: Array, **_: Any) -> tuple[Array, Any]:
        """Return y[t,f,l,m] = bias[f] + Σ weight[f,c,j,k]·x[t,c, S·l + D·j − P, S·m + D·k − P]."""
        rows, columns = self._axes(x.shape[2:])
        patches = windows(pad(x, rows, columns), rows, columns)
        weight = self._turned(params["weight"])
        y = np.concatenate(
            [np.einsum("tclmjk,fcjk->tflm", patches[:, c], weight[f], optimize=True) for c, f in self._groups(x)],
            axis=1,
        )
        if self.bias:
            y += params["bias"][:, None, None]
        return y, (patches, rows, columns)

    def backward(self, params: Tensors, saved: Any, dy: Array) -> tuple[Array, Tensors]:
        """Return dx, and dweight and dbias, by the three sums of the class docstring."""
        patches, rows, columns = saved
        weight = self._turned(params["weight"])
        dpatches = np.empty(patches.shape, dy.dtype)
        dweight = np.empty(weight.shape, dy.dtype)
        for c, f in self._groups(patches):
            dweight[f] = np.einsum("tflm,tclmjk->fcjk", dy[:, f], patches[:, c], optimize=True)
            dpatches[:, c] = np.einsum("tflm,fcjk->tclmjk", dy[:, f], weight[f], optimize=True)
        grads = {"weight": self._turned(dweight)}
        if self.bias:
            grads["bias"] = np.einsum("tflm->f", dy)
        return overlap_add(dpatches, rows, columns), grads

    def parameter_count(self, input_shape: Shape) -> int:
        """Return F·(C/groups)·R², and F for the bias."""
        height, width = pair(self.kernel_size)
        return self.out_channels * (input_shape[0] // self.groups * height * width + self.bias)

    def multiply_adds(self, input_shape: Shape) -> int:
        """Return F·H′·W′·(C/groups)·R²."""
        kernel_height, kernel_width = pair(self.kernel_size)
        filters, height, width = self.output_shape(input_shape)
        return filters * height * width * (input_shape[0] // self.groups) * kernel_height * kernel_width

    def emit(self, program: NativeProgram, slot: int) -> int:
        """Become a native convolution."""
        shape = program.shape(slot)
        rows, columns = self._axes(shape[1:])
        output = (self.out_channels, rows.outputs, columns.outputs)
        return program.conv(
            slot, output, rows.native, columns.native, groups=self.groups, flip=self.flip, winograd=self.winograd
        )

    def _axes(self, size: tuple[int, ...]) -> tuple[Axis, Axis]:
        return axes(self, (size[0], size[1]), self.kernel_size, self.stride, self.padding, self.dilation)

    def _turned(self, weight: Array) -> Array:
        return weight[..., ::-1, ::-1] if self.flip else weight

    def _groups(self, x: Array) -> list[tuple[slice, slice]]:
        """Return for each group the slices of its input maps and of its filters."""
        inputs, filters = x.shape[1] // self.groups, self.out_channels // self.groups
        return [
            (slice(g * inputs, (g + 1) * inputs), slice(g * filters, (g + 1) * filters)) for g in range(self.groups)
        ]
