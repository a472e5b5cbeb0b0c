"""What each of our layers is in PyTorch: a module of its own, functions, or both."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from math import prod
from typing import Any

from pellucid import layers
from pellucid.graph import Node
from pellucid.interop.geometry import counted, window
from pellucid.layers.windows import Axis


class Lacking(Exception):  # noqa: N818 - becomes part of an ExportError
    """PyTorch has nothing for a layer, or not with its settings."""


class Drawing:
    """A network as it is drawn in PyTorch.

    Attributes:
        torch: the package.
        graph: modules and functions in their order, as ``torch.fx`` has them.
        modules, buffers: those of the graph by name, in their order.
        has_calls: whether there are functions in it; without them it is a chain, for only they join branches.
    """

    def __init__(self, torch: Any) -> None:
        self.torch = torch
        self.graph = torch.fx.Graph()
        self.modules: dict[str, Any] = {}
        self.buffers: dict[str, Any] = {}
        self.has_calls = False

    def call(self, function: Any, *arguments: Any) -> Any:
        """Return what a function gives."""
        self.has_calls = True
        return self.graph.call_function(function, arguments)

    def module(self, node: Node, module: Any, x: Any) -> Any:
        """Return what a module gives, which takes the node's name.

        Raises:
            Lacking: PyTorch's modules cannot have that name.
        """
        for part in node.name.split("."):
            if hasattr(self.torch.nn.Sequential, part):
                raise Lacking(f"PyTorch's modules have a {part!r} of their own; give the layer another name")
        self.modules[node.name] = module
        return self.graph.call_module(node.name, (x,))


#: draws a node that reads some values, and returns its own
Form = Callable[..., Any]


def _plain(name: str, *settings: Any) -> Form:
    """Return the form of a layer that is a module with its own settings of these names."""

    def draw(drawing: Drawing, node: Node, x: Any) -> Any:
        values = [getattr(node.layer, setting) for setting in settings]
        return drawing.module(node, getattr(drawing.torch.nn, name)(*values), x)

    return draw


def _linear(drawing: Drawing, node: Node, x: Any) -> Any:
    layer = node.layer
    assert isinstance(layer, layers.Linear)
    return drawing.module(node, drawing.torch.nn.Linear(node.input_shapes[0][0], layer.out_features, layer.bias), x)


def _softmax(drawing: Drawing, node: Node, x: Any) -> Any:
    return drawing.module(node, drawing.torch.nn.Softmax(1), x)


def _conv(drawing: Drawing, node: Node, x: Any) -> Any:
    layer = node.layer
    assert isinstance(layer, layers.Conv2d)
    rows, columns = window(layer, node.input_shapes[0])
    symmetric = rows.before == rows.after and columns.before == columns.after
    module = drawing.torch.nn.Conv2d(
        node.input_shapes[0][0],
        layer.out_channels,
        (rows.kernel, columns.kernel),
        (rows.stride, columns.stride),
        (rows.before, columns.before) if symmetric else 0,
        (rows.dilation, columns.dilation),
        layer.groups,
        layer.bias,
    )
    return drawing.module(node, module, x if symmetric else _padded(drawing, x, rows, columns))


def _max_pool(drawing: Drawing, node: Node, x: Any) -> Any:
    layer = node.layer
    assert isinstance(layer, layers.MaxPool2d)
    rows, columns = window(layer, node.input_shapes[0])
    kernel, stride = (rows.kernel, columns.kernel), (rows.stride, columns.stride)
    dilation, padding, ceil_mode = (rows.dilation, columns.dilation), (rows.before, columns.before), layer.ceil_mode
    if not _pools(rows, columns):
        x, padding, ceil_mode = _padded(drawing, x, rows, columns, -float("inf")), 0, False
    return drawing.module(node, drawing.torch.nn.MaxPool2d(kernel, stride, padding, dilation, False, ceil_mode), x)


def _avg_pool(drawing: Drawing, node: Node, x: Any) -> Any:
    layer = node.layer
    assert isinstance(layer, layers.AvgPool2d)
    rows, columns = window(layer, node.input_shapes[0])
    if rows.dilation > 1 or columns.dilation > 1:
        raise Lacking("PyTorch has no such pooling with dilation")
    kernel, stride = (rows.kernel, columns.kernel), (rows.stride, columns.stride)
    padding, ceil_mode, with_padding = (rows.before, columns.before), layer.ceil_mode, layer.count_include_pad
    if not _pools(rows, columns):
        if any((counted(layer, axis) < axis.kernel).any() for axis in (rows, columns)):
            raise Lacking(
                "PyTorch's averages have no such padding: it takes the same on both sides, half a window at most"
            )
        x, padding, ceil_mode = _padded(drawing, x, rows, columns), 0, False
    return drawing.module(node, drawing.torch.nn.AvgPool2d(kernel, stride, padding, ceil_mode, with_padding), x)


def _lp_pool(drawing: Drawing, node: Node, x: Any) -> Any:
    layer = node.layer
    assert isinstance(layer, layers.LPPool2d)
    rows, columns = window(layer, node.input_shapes[0])
    if rows.dilation > 1 or columns.dilation > 1:
        raise Lacking("PyTorch has no such pooling with dilation")
    if layer.norm_type % 2:
        x = drawing.call(drawing.torch.abs, x)
    if rows.padded > rows.length or columns.padded > columns.length:
        x = _padded(drawing, x, rows, columns)
    kernel, stride = (rows.kernel, columns.kernel), (rows.stride, columns.stride)
    return drawing.module(node, drawing.torch.nn.LPPool2d(layer.norm_type, kernel, stride), x)


def _global_avg_pool(drawing: Drawing, node: Node, x: Any) -> Any:
    nn = drawing.torch.nn
    return drawing.module(node, nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), x)


def _flatten(drawing: Drawing, node: Node, x: Any) -> Any:
    layer, torch = node.layer, drawing.torch
    assert isinstance(layer, layers.Flatten)
    if layer.column_major and len(node.input_shapes[0]) == 3:
        return drawing.call(torch.flatten, drawing.call(torch.transpose, x, -1, -2), 1)
    return drawing.module(node, torch.nn.Flatten(), x)


def _batch_norm(drawing: Drawing, node: Node, x: Any) -> Any:
    """Draw a batch norm; one per pixel is PyTorch's of vectors, between two changes of shape."""
    layer, torch = node.layer, drawing.torch
    assert isinstance(layer, (layers.BatchNorm, layers.BatchNorm2d))
    momentum = layer.momentum if layer.running == "exponential" else None
    if isinstance(layer, layers.BatchNorm2d):
        return drawing.module(node, torch.nn.BatchNorm2d(node.shape[0], layer.eps, momentum), x)
    module = torch.nn.BatchNorm1d(prod(node.shape), layer.eps, momentum)
    if len(node.shape) == 1:
        return drawing.module(node, module, x)
    y = drawing.module(node, module, drawing.call(torch.flatten, x, 1))
    return drawing.call(torch.unflatten, y, 1, node.shape)


def _pad_2d(drawing: Drawing, node: Node, x: Any) -> Any:
    layer = node.layer
    assert isinstance(layer, layers.Pad2d)
    (top, bottom), (left, right) = layer.sides
    pad = drawing.torch.nn.functional.pad
    return drawing.call(pad, x, (left, right, top, bottom), "constant", layer.value)


def _pad_channels(drawing: Drawing, node: Node, x: Any) -> Any:
    more = node.shape[0] - node.input_shapes[0][0]
    return drawing.call(drawing.torch.nn.functional.pad, x, (0, 0, 0, 0, 0, more))


def _add(drawing: Drawing, node: Node, *xs: Any) -> Any:
    y = xs[0]
    for x in xs[1:]:
        y = drawing.call(operator.add, y, x)
    return y


def _concat(drawing: Drawing, node: Node, *xs: Any) -> Any:
    return drawing.call(drawing.torch.cat, list(xs), 1)


def _padded(drawing: Drawing, x: Any, rows: Axis, columns: Axis, value: float = 0.0) -> Any:
    """Return maps with the border that every window lies within."""
    border = [n for axis in (columns, rows) for n in (axis.before, axis.padded - axis.before - axis.length)]
    return drawing.call(drawing.torch.nn.functional.pad, x, tuple(border), "constant", value)


def _pools(rows: Axis, columns: Axis) -> bool:
    """Tell whether PyTorch's poolings take a padding."""
    return all(axis.before == axis.after and 2 * axis.before <= axis.kernel for axis in (rows, columns))


FORMS: Mapping[type[layers.Layer], Form] = {
    layers.Add: _add,
    layers.AvgPool2d: _avg_pool,
    layers.BatchNorm: _batch_norm,
    layers.BatchNorm2d: _batch_norm,
    layers.Concat: _concat,
    layers.Conv2d: _conv,
    layers.Dropout: _plain("Dropout", "p"),
    layers.ELU: _plain("ELU", "alpha"),
    layers.Flatten: _flatten,
    layers.GlobalAvgPool2d: _global_avg_pool,
    layers.LPPool2d: _lp_pool,
    layers.LeakyReLU: _plain("LeakyReLU", "negative_slope"),
    layers.Linear: _linear,
    layers.LocalResponseNorm: _plain("LocalResponseNorm", "size", "alpha", "beta", "k"),
    layers.MaxPool2d: _max_pool,
    layers.Pad2d: _pad_2d,
    layers.PadChannels: _pad_channels,
    layers.ReLU: _plain("ReLU"),
    layers.Sigmoid: _plain("Sigmoid"),
    layers.Softmax: _softmax,
    layers.Tanh: _plain("Tanh"),
}
