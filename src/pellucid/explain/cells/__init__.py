"""Which explainer knows the cells of which layer."""

from __future__ import annotations

from typing import Any

from pellucid import layers
from pellucid.explain.cells import activations, moves, normalization, pooling, sums
from pellucid.explain.cells.explainer import Explainer
from pellucid.layers.base import Layer

_KNOWN: dict[type[Layer], Explainer[Any]] = {
    layers.Add: moves.AddCells(),
    layers.AvgPool2d: pooling.AvgPool2dCells(),
    layers.BatchNorm: normalization.BatchNormCells(),
    layers.BatchNorm2d: normalization.BatchNormCells(),
    layers.Concat: moves.ConcatCells(),
    layers.Conv2d: sums.Conv2dCells(),
    layers.Dropout: activations.DropoutCells(),
    layers.ELU: activations.ELUCells(),
    layers.Flatten: moves.FlattenCells(),
    layers.GlobalAvgPool2d: pooling.GlobalAvgPool2dCells(),
    layers.LPPool2d: pooling.LPPool2dCells(),
    layers.LeakyReLU: activations.LeakyReLUCells(),
    layers.Linear: sums.LinearCells(),
    layers.LocalResponseNorm: normalization.LocalResponseNormCells(),
    layers.MaxPool2d: pooling.MaxPool2dCells(),
    layers.Pad2d: moves.Pad2dCells(),
    layers.PadChannels: moves.PadChannelsCells(),
    layers.ReLU: activations.ReLUCells(),
    layers.Sigmoid: activations.SigmoidCells(),
    layers.Softmax: activations.SoftmaxCells(),
    layers.Tanh: activations.TanhCells(),
}
_UNKNOWN: Explainer[Any] = Explainer()


def explainer(layer: Layer) -> Explainer[Any]:
    """Return who explains the cells of a layer; for one that computes by its own code, who says so."""
    for kind in type(layer).__mro__:
        known = _KNOWN.get(kind)
        if known is not None:
            methods = ("forward", "backward")
            same = all(getattr(type(layer), method) is getattr(kind, method) for method in methods)
            return known if same else _UNKNOWN
    return _UNKNOWN
