"""From PyTorch's modules to a network of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from pellucid.arrays import Array, Shape
from pellucid.errors import ConfigError, ShapeError
from pellucid.extra import need
from pellucid.graph import Graph
from pellucid.interop.torch.weights import load_state_dict
from pellucid.layers import (
    ELU,
    AvgPool2d,
    BatchNorm,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    Layer,
    LeakyReLU,
    Linear,
    LocalResponseNorm,
    LPPool2d,
    MaxPool2d,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
)

if TYPE_CHECKING:
    from pellucid.network import Network


def from_module(module: Any, input_shape: Shape, **settings: Any) -> Network:
    """Return a network that computes what a ``torch.nn.Sequential`` does, with copies of its weights, under its names.

    ``net.forward(x)`` is ``module.eval()(x)``; training goes on as ``module.train()`` would, running statistics
    included. ``net.predict`` applies the loss's own activation besides, which with the default, cross-entropy, is a
    softmax: the module should end where ``torch.nn.CrossEntropyLoss`` would take over.

    Sequentials may be nested. There are counterparts of ``Conv2d``, ``Linear``, ``BatchNorm1d`` (of vectors),
    ``BatchNorm2d``, ``MaxPool2d``, ``AvgPool2d``, ``LPPool2d``, ``AdaptiveAvgPool2d`` and ``AdaptiveMaxPool2d`` (where
    their windows do not overlap), ``Flatten``, ``Dropout``, ``LocalResponseNorm``, ``ReLU``, ``LeakyReLU``, ``ELU``,
    ``Sigmoid``, ``Tanh``, ``Softmax``, ``Softmax2d`` and ``Identity``. All parameters learn, whatever their
    ``requires_grad``.

    Args:
        module: a ``torch.nn.Sequential``; it stays as it is.
        input_shape: (C, H, W) or (K,), without the batch.
        settings: of :class:`~pellucid.network.Network`: ``loss``, ``seed``, ``engine`` and so on. ``dtype`` is
            ``"float64"`` for a module of doubles, else ``"float32"``, unless it is given.

    Raises:
        ConfigError: modules or options that have no counterpart; the message lists all of them by path.
        ShapeError: a module does not fit what reaches it.
        DataError: weights that are NaN, infinite or complex.
        MissingExtraError: PyTorch is not installed.
    """
    torch = need("torch", "from_module needs PyTorch", "torch")
    from pellucid.network import Network

    shape = Graph(Flatten(), input_shape).input_shape
    reader = _Reader(torch.nn, shape)
    reader.read(module)
    tensors: dict[str, Any] = module.state_dict()
    if "dtype" not in settings:
        doubles = any(tensor.dtype == torch.float64 for tensor in tensors.values())
        settings["dtype"] = "float64" if doubles else "float32"
    network = Network(reader.layers, shape, **settings)
    load_state_dict(network, {name: _array(tensor.cpu()) for name, tensor in tensors.items()})
    return network


def _array(tensor: Any) -> Array:
    """Return a tensor's numbers; NumPy lacks some of PyTorch's narrow types."""
    return tensor.double().numpy() if tensor.is_floating_point() else tensor.numpy()


#: makes the layer for a module at a path that something of a shape reaches; None for nothing to do
_Counterpart: TypeAlias = Callable[[str, Any, "Shape | None"], "Layer | None"]


class _Lacking(Exception):  # noqa: N818 - says what a counterpart lacks; never leaves this file
    """A module has an option that our layer has not."""


class _Reader:
    """Goes through a module, and keeps account of layers, shapes and everything that has no counterpart."""

    def __init__(self, nn: Any, shape: Shape) -> None:
        self.layers: list[Layer] = []
        self._nn = nn
        self._shape: Shape | None = shape
        self._problems: list[str] = []
        self._owners: dict[int, str] = {}

    def read(self, module: Any) -> None:
        """Find the layers of a module, or raise for what has none."""
        if not self._is_chain(module):
            raise ConfigError(
                f"from_module takes a torch.nn.Sequential, got {type(module).__name__}; put a single module into a "
                f"Sequential; {_ELSE}"
            )
        self._enter("", module)
        if self._problems:
            listed = "\n".join(f"  {problem}" for problem in self._problems)
            raise ConfigError(f"this module cannot become a network:\n{listed}\n{_ELSE}")

    def _enter(self, path: str, module: Any) -> None:
        if module._forward_hooks or module._forward_pre_hooks:
            self._problems.append(
                f"{path or 'the module itself'}: {type(module).__name__} has hooks; remove them first"
            )
        elif self._is_chain(module):
            # Not named_children, which leaves out a module that is there twice.
            for name, child in module._modules.items():
                self._enter(f"{path}.{name}" if path else name, child)
        else:
            self._take(path, module)

    def _take(self, path: str, module: Any) -> None:
        """Add the layer for a single module."""
        kind = type(module).__name__
        if type(module) is not getattr(self._nn, kind, None) or kind not in _COUNTERPARTS:
            self._problems.append(f"{path}: {module!r} is none of the modules that Pellucid has layers for")
            self._shape = None
            return
        for name, parameter in module.named_parameters():
            owner = self._owners.setdefault(id(parameter), path)
            if owner != path:
                self._problems.append(f"{path}: shares its {name} with {owner}; here every layer has its own")
        try:
            layer = _COUNTERPARTS[kind](path, module, self._shape)
            if layer is None:
                return
            self.layers.append(layer)
            self._shape = None if self._shape is None else layer.output_shape(self._shape)
        except (_Lacking, ConfigError) as error:
            self._problems.append(f"{path}: {module!r}: {error}")
        except ShapeError as error:
            raise ShapeError(f"module {path!r} does not fit. {error}") from error

    def _is_chain(self, module: Any) -> bool:
        chain = self._nn.Sequential
        return isinstance(module, chain) and cast("Any", type(module)).forward is chain.forward


_ELSE = (
    "for residual and other networks, build the same one with pellucid.layers and copy its weights with load_state_dict"
)


def _only(module: Any, **options: Any) -> None:
    """Raise for options of a module that differ from the one value that our layer stands for."""
    for name, only in options.items():
        value = getattr(module, name)
        if value != only:
            raise _Lacking(f"there is only {name}={only!r} here, not {value!r}")


def _require_inputs(module: Any, inputs: int, shape: Shape | None, axes: int) -> None:
    if shape is not None and (len(shape) != axes or shape[0] != inputs):
        raise ShapeError(f"{module!r} takes {inputs} {'maps' if axes == 3 else 'numbers'}; what reaches it is {shape}")


def _pair(value: Any) -> int | tuple[int, int]:
    height, width = (value, value) if isinstance(value, int) else value
    return height if height == width else (height, width)


def _conv(path: str, module: Any, shape: Shape | None) -> Layer:
    _only(module, padding_mode="zeros")
    _require_inputs(module, module.in_channels, shape, 3)
    return Conv2d(
        module.out_channels,
        _pair(module.kernel_size),
        _pair(module.stride),
        module.padding if isinstance(module.padding, str) else _pair(module.padding),  # pyright: ignore
        _pair(module.dilation),
        module.groups,
        module.bias is not None,
        name=path,
    )


def _linear(path: str, module: Any, shape: Shape | None) -> Layer:
    _require_inputs(module, module.in_features, shape, 1)
    return Linear(module.out_features, module.bias is not None, name=path)


def _batch_norm(kind: type[BatchNorm] | type[BatchNorm2d], axes: int) -> _Counterpart:
    def convert(path: str, module: Any, shape: Shape | None) -> Layer:
        _only(module, affine=True, track_running_stats=True)
        _require_inputs(module, module.num_features, shape, axes)
        if module.momentum is None:
            return kind(module.eps, running="cumulative", name=path)
        return kind(module.eps, module.momentum, name=path)

    return convert


def _max_pool(path: str, module: Any, shape: Shape | None) -> Layer:
    _only(module, return_indices=False)
    window = (_pair(module.kernel_size), _pair(module.stride), _pair(module.padding), _pair(module.dilation))
    return MaxPool2d(*window, module.ceil_mode, name=path)


def _avg_pool(path: str, module: Any, shape: Shape | None) -> Layer:
    _only(module, divisor_override=None)
    window = (_pair(module.kernel_size), _pair(module.stride), _pair(module.padding))
    return AvgPool2d(*window, module.ceil_mode, module.count_include_pad, name=path)


def _lp_pool(path: str, module: Any, shape: Shape | None) -> Layer:
    _only(module, ceil_mode=False)
    p = float(module.norm_type)
    if p % 2:
        raise _Lacking("PyTorch sums powers of x, Pellucid of |x|, which is the same for even norm_type only")
    stride = module.kernel_size if module.stride is None else module.stride
    return LPPool2d(_pair(module.kernel_size), _pair(stride), norm_type=p, name=path)


def _adaptive(kind: type[AvgPool2d] | type[MaxPool2d]) -> _Counterpart:
    def convert(path: str, module: Any, shape: Shape | None) -> Layer | None:
        if getattr(module, "return_indices", False):
            raise _Lacking("there is only return_indices=False here, not True")
        if shape is None:
            return None
        if len(shape) != 3:
            raise ShapeError(f"{module!r} takes maps; what reaches it is {shape}")
        size = module.output_size
        wanted = cast("tuple[int | None, ...]", size if isinstance(size, tuple) else (size, size))
        sides = [length if side is None else side for side, length in zip(wanted, shape[1:], strict=True)]
        if any(length % side for side, length in zip(sides, shape[1:], strict=True)):
            raise _Lacking(f"maps of {shape[1]}×{shape[2]} are no multiple of its output, so its windows overlap")
        return kind((shape[1] // sides[0], shape[2] // sides[1]), name=path)

    return convert


def _flatten(path: str, module: Any, shape: Shape | None) -> Layer:
    _only(module, start_dim=1)
    if shape is not None and module.end_dim not in (-1, len(shape)):
        _only(module, end_dim=-1)
    return Flatten(name=path)


def _softmax(path: str, module: Any, shape: Shape | None) -> Layer:
    if shape is not None and module.dim not in (1, -len(shape), None):
        _only(module, dim=1)
    return Softmax(name=path)


def _nothing(path: str, module: Any, shape: Shape | None) -> None:
    return None


def _plain(kind: type[Layer], *settings: str) -> _Counterpart:
    """Return the counterpart of a module whose settings of these names are the layer's."""
    return lambda path, module, shape: kind(*(getattr(module, setting) for setting in settings), name=path)


_COUNTERPARTS: Mapping[str, _Counterpart] = {
    "AdaptiveAvgPool2d": _adaptive(AvgPool2d),
    "AdaptiveMaxPool2d": _adaptive(MaxPool2d),
    "AvgPool2d": _avg_pool,
    "BatchNorm1d": _batch_norm(BatchNorm, 1),
    "BatchNorm2d": _batch_norm(BatchNorm2d, 3),
    "Conv2d": _conv,
    "Dropout": _plain(Dropout, "p"),
    "ELU": _plain(ELU, "alpha"),
    "Flatten": _flatten,
    "Identity": _nothing,
    "LPPool2d": _lp_pool,
    "LeakyReLU": _plain(LeakyReLU, "negative_slope"),
    "Linear": _linear,
    "LocalResponseNorm": _plain(LocalResponseNorm, "size", "alpha", "beta", "k"),
    "MaxPool2d": _max_pool,
    "ReLU": _plain(ReLU),
    "Sigmoid": _plain(Sigmoid),
    "Softmax": _softmax,
    "Softmax2d": _plain(Softmax),
    "Tanh": _plain(Tanh),
}
