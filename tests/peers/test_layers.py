"""Every layer against PyTorch in float64, forward and backward, over random settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from harness import awkward, random_shape, random_window

from pellucid.layers import (
    ELU,
    AvgPool2d,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    Layer,
    LeakyReLU,
    Linear,
    LocalResponseNorm,
    LPPool2d,
    MaxPool2d,
    Pad2d,
    PadChannels,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
)
from pellucid.philox import Stream

torch = pytest.importorskip("torch", reason="needs PyTorch")
F = torch.nn.functional
pytestmark = pytest.mark.peers

CONFIGURATIONS = 60
TOLERANCE = 1e-12


def assert_close(found: np.ndarray, expected: Any, what: str) -> None:
    expected = expected.detach().numpy()
    slack = TOLERANCE * float(abs(expected).max())
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE, atol=slack, err_msg=what)


def assert_same(layer: Layer, theirs: Callable[..., Any], shape: tuple[int, ...], rng: np.random.Generator) -> None:
    """Compare y, dx and the gradients of all parameters; ``theirs`` is called with x and the parameters by name."""
    x = rng.normal(size=(3, *shape))
    params = {key: rng.normal(size=value.shape) for key, value in layer.init_params(shape, rng).items()}
    y, saved = layer.forward({k: awkward(v) for k, v in params.items()}, awkward(x))
    dy = rng.normal(size=y.shape)
    dx, grads = layer.backward({k: awkward(v) for k, v in params.items()}, saved, awkward(dy))

    leaves = {key: torch.tensor(value, requires_grad=True) for key, value in {"x": x, **params}.items()}
    output = theirs(**leaves)
    assert layer.output_shape(shape) == tuple(output.shape[1:])
    output.backward(torch.tensor(dy))
    assert_close(y, output, f"y of {layer!r} on {shape}")
    for key, found in {"x": dx, **grads}.items():
        assert_close(found, leaves[key].grad, f"gradient of {key} of {layer!r} on {shape}")


def each(seed: int) -> list[np.random.Generator]:
    return [np.random.default_rng([seed, i]) for i in range(CONFIGURATIONS)]


def test_conv() -> None:
    for rng in each(0):
        settings, size = random_window(rng, pooling=False)
        groups, flip, bias = int(rng.choice([1, 1, 2, 3])), bool(rng.integers(2)), bool(rng.integers(2))
        inputs, filters = groups * int(rng.integers(1, 4)), groups * int(rng.integers(1, 4))
        own = Conv2d(filters, **settings, groups=groups, flip=flip, bias=bias)
        theirs = {k: settings[k] for k in ("stride", "padding", "dilation")}

        def run(x: Any, weight: Any, bias: Any = None, flip=flip, groups=groups, theirs=theirs) -> Any:
            return F.conv2d(x, weight.flip(-1, -2) if flip else weight, bias, groups=groups, **theirs)

        assert_same(own, run, (inputs, *size), rng)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths:UserWarning")
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_conv_with_named_padding(padding: str) -> None:
    for rng in each(1):
        settings, (height, width) = random_window(rng, pooling=False)
        kernel, dilation = settings["kernel_size"], settings["dilation"]
        size = (height + dilation[0] * kernel[0], width + dilation[1] * kernel[1])
        own = Conv2d(2, kernel, padding=padding, dilation=dilation)

        def run(x: Any, weight: Any, bias: Any, dilation=dilation) -> Any:
            return F.conv2d(x, weight, bias, padding=padding, dilation=dilation)

        assert_same(own, run, (2, *size), rng)


def test_linear() -> None:
    for rng in each(2):
        inputs, outputs = (int(n) for n in rng.integers(1, 20, 2))
        bias = bool(rng.integers(2))
        assert_same(Linear(outputs, bias=bias), lambda x, weight, bias=None: F.linear(x, weight, bias), (inputs,), rng)


def test_flatten() -> None:
    for rng in each(3):
        assert_same(Flatten(), lambda x: x.flatten(1), (2, *(int(n) for n in rng.integers(1, 6, 2))), rng)


def test_max_pool() -> None:
    for rng in each(4):
        settings, size = random_window(rng, pooling=True)
        assert_same(MaxPool2d(**settings), lambda x, s=settings: F.max_pool2d(x, **s), (2, *size), rng)


def test_max_pool_breaks_ties_alike() -> None:
    for rng in each(5):
        settings, size = random_window(rng, pooling=True)
        x = rng.integers(-1, 2, (2, 2, *size)).astype(float)
        y, saved = MaxPool2d(**settings).forward({}, x)
        dy = rng.normal(size=y.shape)
        leaf = torch.tensor(x, requires_grad=True)
        F.max_pool2d(leaf, **settings).backward(torch.tensor(dy))
        assert_close(MaxPool2d(**settings).backward({}, saved, dy)[0], leaf.grad, f"dx of {settings} on {size}")


def test_avg_pool() -> None:
    for rng in each(6):
        settings, size = random_window(rng, pooling=True)
        del settings["dilation"]
        settings["count_include_pad"] = bool(rng.integers(2))
        assert_same(AvgPool2d(**settings), lambda x, s=settings: F.avg_pool2d(x, **s), (2, *size), rng)


def test_lp_pool_as_pytorch_has_it() -> None:
    """Even powers, no padding, no dilation, no ceil mode: the part where PyTorch takes a norm."""
    for rng in each(7):
        settings, size = random_window(rng, pooling=True)
        kernel, stride = settings["kernel_size"], settings["stride"]
        size = (size[0] + kernel[0], size[1] + kernel[1])
        p = float(rng.choice([2.0, 4.0]))
        own = LPPool2d(kernel, stride, norm_type=p)
        assert_same(own, lambda x, p=p, k=kernel, s=stride: F.lp_pool2d(x, p, k, s), (2, *size), rng)


def test_lp_pool_as_a_norm_of_unfolded_windows() -> None:
    for rng in each(8):
        settings, size = random_window(rng, pooling=True)
        del settings["ceil_mode"]
        p = float(rng.choice([1.0, 1.5, 2.0, 3.0]))
        own = LPPool2d(**settings, norm_type=p)

        _, height, width = own.output_shape((2, *size))

        def run(x: Any, p=p, settings=settings, height=height, width=width) -> Any:
            columns = F.unfold(x, **settings).reshape(len(x), 2, -1, height, width)
            return torch.linalg.vector_norm(columns, p, dim=2)

        assert_same(own, run, (2, *size), rng)


def test_global_avg_pool() -> None:
    for rng in each(9):
        shape = tuple(int(n) for n in rng.integers(1, 8, 3))
        assert_same(GlobalAvgPool2d(), lambda x: F.adaptive_avg_pool2d(x, 1).flatten(1), shape, rng)


def test_activations() -> None:
    for rng in each(10):
        a = float(rng.uniform(0, 2))
        shape = random_shape(rng)
        assert_same(ReLU(), lambda x: torch.relu(x), shape, rng)
        assert_same(LeakyReLU(a), lambda x, a=a: F.leaky_relu(x, a), shape, rng)
        assert_same(ELU(a), lambda x, a=a: F.elu(x, a), shape, rng)
        assert_same(Sigmoid(), lambda x: torch.sigmoid(x), shape, rng)
        assert_same(Tanh(), lambda x: torch.tanh(x), shape, rng)
        assert_same(Softmax(), lambda x: F.softmax(x, dim=1), shape, rng)


def test_response_norm() -> None:
    for rng in each(11):
        size = int(rng.integers(1, 8))
        alpha, beta, k = (float(v) for v in rng.uniform(0.1, 2, 3))
        shape = tuple(int(n) for n in rng.integers(1, 8, 3))
        own = LocalResponseNorm(size, alpha, beta, k)
        assert_same(own, lambda x, s=(size, alpha, beta, k): F.local_response_norm(x, *s), shape, rng)


def test_dropout_with_the_same_mask() -> None:
    for rng in each(12):
        p = float(rng.uniform(0, 0.9))
        x = rng.normal(size=(3, *random_shape(rng)))
        dy = rng.normal(size=x.shape)
        y, saved = Dropout(p).forward({}, x, training=True, stream=Stream(int(rng.integers(100))))
        dx, _ = Dropout(p).backward({}, saved, dy)
        mask = torch.tensor(y != 0)
        theirs = torch.ops.aten.native_dropout_backward(torch.tensor(dy), mask, 1 / (1 - p))
        assert_close(dx, theirs, f"dx of Dropout({p})")
        assert_same(Dropout(p), lambda x, p=p: F.dropout(x, p, training=False), x.shape[1:], rng)


def test_defaults_are_pytorchs() -> None:
    rng = np.random.default_rng(13)
    nn = torch.nn
    pairs = [
        (MaxPool2d(3), nn.MaxPool2d(3)),
        (AvgPool2d(3, padding=1), nn.AvgPool2d(3, padding=1)),
        (LPPool2d(3), nn.LPPool2d(2, 3)),
        (LeakyReLU(), nn.LeakyReLU()),
        (ELU(), nn.ELU()),
        (LocalResponseNorm(5), nn.LocalResponseNorm(5)),
        (Flatten(), nn.Flatten()),
    ]
    for own, theirs in pairs:
        assert_same(own, lambda x, theirs=theirs: theirs(x), (6, 7, 8), rng)
    assert Dropout().p == nn.Dropout().p


def test_pad() -> None:
    for rng in each(90):
        (top, bottom), (left, right) = sides = tuple((int(a), int(b)) for a, b in rng.integers(0, 4, (2, 2)))
        value = float(rng.normal())
        shape = tuple(int(n) for n in rng.integers(1, 6, 3))
        assert_same(
            Pad2d(sides, value),
            lambda x, pads=(left, right, top, bottom), value=value: F.pad(x, pads, value=value),
            shape,
            rng,
        )


def test_pad_channels() -> None:
    for rng in each(90):
        channels, height, width = (int(n) for n in rng.integers(1, 6, 3))
        more = int(rng.integers(4))
        own = PadChannels(channels + more)
        assert_same(own, lambda x, more=more: F.pad(x, (0, 0, 0, 0, 0, more)), (channels, height, width), rng)
