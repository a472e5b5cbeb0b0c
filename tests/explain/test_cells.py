"""Every number of a trace opens into terms that come to it, and whose links lead to the numbers they show."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
from harness import random_window
from opened import assert_opens, number_at

import pellucid.layers
from pellucid import Input, Network
from pellucid.explain import Link, Trace, inspect
from pellucid.explain.cells import explainer
from pellucid.explain.cells.explainer import Explainer
from pellucid.layers import (
    ELU,
    Add,
    AvgPool2d,
    BatchNorm,
    BatchNorm2d,
    Concat,
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
    Residual,
    Sequential,
    Sigmoid,
    Softmax,
    Tanh,
)
from pellucid.losses import CrossEntropy, LogLoss, SquaredError
from pellucid.regularizers import L1, L2

MAPS = {
    "conv": Conv2d(3, 3, padding=1),
    "conv of groups": Conv2d(4, (2, 3), stride=(2, 1), padding=((1, 0), (2, 1)), dilation=(1, 2), groups=2),
    "conv, flipped": Conv2d(3, (3, 2), padding="same", flip=True, bias=False),
    "max pool": MaxPool2d(2),
    "max pool, overlapping": MaxPool2d(3, stride=1, padding=1),
    "max pool with gaps": MaxPool2d(2, stride=2, dilation=2, ceil_mode=True),
    "average": AvgPool2d(2, stride=1),
    "average of pixels": AvgPool2d(3, stride=2, padding=1, count_include_pad=False, ceil_mode=True),
    "2-norm": LPPool2d(2, stride=1),
    "3-norm": LPPool2d(3, stride=2, padding=1, norm_type=3.0),
    "global average": GlobalAvgPool2d(),
    "batch norm": BatchNorm2d(),
    "batch norm per pixel": BatchNorm(),
    "response norm": LocalResponseNorm(3, alpha=0.5, k=2.0),
    "response norm, even": LocalResponseNorm(2, alpha=0.5, beta=0.5),
    "relu": ReLU(),
    "leaky": LeakyReLU(0.2),
    "elu": ELU(0.7),
    "sigmoid": Sigmoid(),
    "tanh": Tanh(),
    "softmax": Softmax(),
    "dropout": Dropout(0.4),
    "flatten": Flatten(),
    "flatten by columns": Flatten(column_major=True),
    "border": Pad2d(((1, 0), (2, 1)), value=0.5),
    "more maps": PadChannels(6),
    "residual": Residual([Conv2d(4, 3, padding=1), ReLU()]),
    "residual with shortcut": Residual([Conv2d(2, 1), Tanh()], Conv2d(2, 1)),
    "branches": Concat([Conv2d(2, 1), MaxPool2d(3, stride=1, padding=1), [ReLU(), Conv2d(1, 3, padding=1)]]),
}
VECTORS = {
    "linear": Linear(5),
    "linear without bias": Linear(4, bias=False),
    "batch norm": BatchNorm(),
    "softmax": Softmax(),
    "flatten": Flatten(),
    "sum of itself": Add(),
    "branches": Concat([Linear(2), ReLU()]),
}


def test_no_layer_is_left_out() -> None:
    """Every layer of the library that computes is among those that are opened here, and has someone to explain it."""
    spelled_out = {Layer, Sequential, Residual}
    computing = {
        kind for kind in vars(pellucid.layers).values() if isinstance(kind, type) and issubclass(kind, Layer)
    } - spelled_out
    opened = {type(layer) for layer in (*MAPS.values(), *VECTORS.values())}
    assert computing <= opened
    assert all(type(explainer(layer)) is not Explainer for layer in (*MAPS.values(), *VECTORS.values())
               if type(layer) not in spelled_out)  # fmt: skip


def network_with(layer: Layer, shape: tuple[int, ...], **settings: Any) -> Network:
    """Return a network that has the layer between two others, with its parameters shaken."""
    first = Conv2d(4, 1, name="first") if len(shape) == 3 else Linear(6, name="first")
    settings = {"loss": "squared_error", "dtype": "float64", "seed": 5, **settings}
    if isinstance(layer, Add):
        h = first(Input(shape))
        net = Network(Linear(3, name="out")(layer(h, h)), **settings)
    else:
        net = Network([first, layer, Flatten(name="flat"), Linear(3, name="out")], shape, **settings)
    rng = np.random.default_rng(6)
    for parameter in net.parameters.values():
        parameter += 0.3 * rng.normal(size=parameter.shape)
    for name, state in net.state.items():
        state[...] = np.abs(rng.normal(size=state.shape)) if name.endswith("var") else rng.normal(size=state.shape)
    return net


def traced(net: Network, *, training: bool = True, samples: int = 3) -> Trace:
    rng = np.random.default_rng(7)
    x = rng.normal(size=(samples, *net.input_shape))
    (outputs,) = net.output_shape
    if isinstance(net.loss, SquaredError):
        return net.trace(x, rng.normal(size=(samples, outputs)), training=training)
    return net.trace(x, rng.integers(outputs, size=samples), training=training)


def links(net: Network, trace: Trace, most: int, seed: int = 8) -> Iterator[Link]:
    """Yield some of the values, δ, parameters and gradients of every node, chosen by ``seed``."""
    rng = np.random.default_rng(seed)
    arrays = {"input": trace.input} | {step.name: step.output for step in trace}
    for name, what in product(arrays, ("value", "delta")):
        places = list(np.ndindex(arrays[name].shape))
        for place in rng.permutation(len(places))[:most]:
            sample, *index = places[place]
            yield Link(name, what, tuple(index), sample)
    for name, what in product(net.parameters, ("parameter", "gradient")):
        places = list(np.ndindex(net.parameters[name].shape))
        for place in rng.permutation(len(places))[:most]:
            yield Link(name, what, places[place])


def assert_all_open(net: Network, trace: Trace, most: int, seed: int = 8) -> None:
    """Open cells everywhere, and each cell that they lead to on the way to a number the trace holds."""
    seen: set[Link] = set()
    for link in links(net, trace, most, seed):
        opened = assert_opens(net, trace, link)
        for factor in (factor for term in opened.terms for factor in term.factors):
            if factor.link is not None and factor.link.what in ("share", "inner", "state") and factor.link not in seen:
                seen.add(factor.link)
                assert_opens(net, trace, factor.link)


@pytest.mark.parametrize("training", [True, False], ids=["training", "inference"])
@pytest.mark.parametrize("layer", MAPS.values(), ids=MAPS)
def test_every_cell_of_maps_opens(layer: Layer, training: bool) -> None:
    net = network_with(layer, (2, 5, 6))
    assert_all_open(net, traced(net, training=training), most=12)


@pytest.mark.parametrize("training", [True, False], ids=["training", "inference"])
@pytest.mark.parametrize("layer", VECTORS.values(), ids=VECTORS)
def test_every_cell_of_vectors_opens(layer: Layer, training: bool) -> None:
    net = network_with(layer, (4,))
    assert_all_open(net, traced(net, training=training), most=12)


@pytest.mark.parametrize("kind", [Conv2d, MaxPool2d, AvgPool2d, LPPool2d])
def test_every_cell_of_random_windows_opens(kind: type[Layer]) -> None:
    rng = np.random.default_rng(9)
    for _ in range(12):
        settings, size = random_window(rng, pooling=kind is not Conv2d)
        layer = Conv2d(2, **settings) if kind is Conv2d else kind(**settings)
        net = network_with(layer, (2, *size))
        assert_all_open(net, traced(net, samples=2), most=4)


LOSSES = [
    CrossEntropy(),
    CrossEntropy(reduction="sum"),
    CrossEntropy(class_weight={0: 0.5, 2: 3.0}),
    LogLoss(),
    SquaredError(),
]


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_the_loss_opens(loss: Any) -> None:
    net = network_with(ReLU(), (2, 3, 3), loss=loss, regularization=[L2(0.1), L1(0.01)])
    trace = traced(net)
    assert_opens(net, trace, Link("loss", "loss", ()))
    assert_all_open(net, trace, most=6)
    for sample, k in np.ndindex(3, 3):
        for what in ("prediction", "target"):
            assert_opens(net, trace, Link("loss", what, (k,), sample))
        assert_opens(net, trace, Link("loss", "sample_loss", (), sample))
        assert_opens(net, trace, Link("loss", "weight", (), sample))
        if isinstance(loss, CrossEntropy):
            assert_opens(net, trace, Link("loss", "partition", (), sample))


def test_a_certain_answer_has_a_loss_that_opens() -> None:
    """Where p has become 0 or 1 in float32, its logarithm comes from the outputs."""
    for loss in ("cross_entropy", "log_loss"):
        net = Network([Linear(2, name="out")], (1,), loss=loss)
        net.parameters["out.weight"] = [[300.0], [-300.0]]
        trace = net.trace(np.ones((1, 1)), [1])
        assert_opens(net, trace, Link("loss", "sample_loss", (), 0))
        assert number_at(net, trace, Link("loss", "sample_loss", (), 0)) == pytest.approx(600)


def test_a_convolution_opens_into_the_sum_on_paper() -> None:
    net = Network([Conv2d(1, 2, name="conv"), Flatten(), Linear(1)], (1, 3, 3), loss="squared_error")
    net.parameters["conv.weight"] = [[[[1, -2], [0.5, 3]]]]
    net.parameters["conv.bias"] = [0.25]
    image = np.arange(9.0).reshape(1, 1, 3, 3)
    cell = inspect(net, net.trace(image, [[1.0]]), "conv", (0, 1, 0))
    assert cell.value == cell.total == 0.25 + 3 - 8 + 3 + 21
    assert cell.numbers == r"0.25 + 1 \cdot 3 - 2 \cdot 4 + 0.5 \cdot 6 + 3 \cdot 7 = 19.25"
    assert cell.symbol == "y_{0,0,1,0}"
    assert [factor.label for factor in cell.terms[2].factors] == ["w_{0,0,0,1}", "x_{0,0,1,1}"]
    assert cell.terms[2].factors[1].link == Link("input", "value", (0, 1, 1), 0)
    assert cell.terms[2].factors[0].link == Link("conv.weight", "parameter", (0, 0, 0, 1))
    assert cell.formula == Conv2d.formula.forward
    assert cell.source == Conv2d.formula.source
    assert [(r.node, r.what, r.sample, r.ranges) for r in cell.reads] == [
        ("input", "value", 0, ((0, 1, 1), (1, 3, 1), (0, 2, 1)))
    ]


def test_a_window_of_zeros_sends_nothing_back() -> None:
    """Its 2-norm has no derivative; 0 is taken there."""
    net = Network([LPPool2d(2, stride=1, name="pool"), Flatten(), Linear(1)], (1, 2, 3), loss="squared_error")
    trace = net.trace(np.array([[[[0.0, 0, 3], [0, 0, 4]]]]), [[2.0]])
    silent, heard = (inspect(net, trace, "input", (0, 1, v), what="delta") for v in (0, 2))
    assert (silent.value, silent.total, silent.terms) == (0.0, 0.0, ())
    delta = number_at(net, trace, Link("pool", "delta", (0, 0, 1), 0))
    assert heard.total == pytest.approx(delta * 4 / 5)
    assert inspect(net, trace, "pool", (0, 0, 0)).total == 0
    pooled = inspect(net, trace, "pool", (0, 0, 1))
    assert pooled.numbers == r"\Big(|0|^{2} + |3|^{2} + |0|^{2} + |4|^{2}\Big)^{1/2} = 5"


def test_a_max_pool_tells_its_route() -> None:
    net = Network([MaxPool2d(2, name="pool"), Flatten(), Linear(1)], (1, 2, 4), loss="squared_error")
    trace = net.trace(np.array([[[[1.0, 5, 2, 2], [3, 4, 0, 1]]]]), [[0.0]])
    first, second = (inspect(net, trace, "pool", (0, 0, m)) for m in (0, 1))
    assert first.terms[0].factors[0].link == Link("input", "value", (0, 0, 1), 0)
    assert first.numbers == r"\max\left(1,\; 5,\; 3,\; 4\right) = 5"
    assert first.notes == ("The largest of the window's 4 pixels sits at (0, 1).",)
    assert second.notes[1] == "2 pixels are equally large; the first one wins."
    won, lost = (inspect(net, trace, "input", (0, 0, v), what="delta") for v in (1, 0))
    assert won.total == number_at(net, trace, Link("pool", "delta", (0, 0, 0), 0))
    assert won.by == "pool"
    assert (lost.total, lost.terms) == (0, ())
    assert lost.notes == ("It is not the largest of the window that holds it, so no δ comes back to it.",)


def test_the_formula_is_that_of_the_mode() -> None:
    """At inference no number of the batch stands in it: the statistics are constants, and nothing is dropped."""
    net = network_with(BatchNorm2d(), (2, 3, 3))
    training, inference = traced(net), traced(net, training=False)
    assert inspect(net, training, "1", (0, 1, 2)).formula == BatchNorm2d.formula.forward
    assert inspect(net, inference, "1", (0, 1, 2)).formula == (
        r"y = \gamma\,\hat{x} + \beta,\quad \hat{x} = \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}}"
    )
    assert inspect(net, training, "first", (0, 1, 2), what="delta").formula == BatchNorm2d.formula.backward["dx"]
    passed = r"\frac{\partial J}{\partial x} = \frac{\gamma}{\sqrt{\sigma^2 + \epsilon}}\,\frac{\partial J}{\partial y}"
    assert inspect(net, inference, "first", (0, 1, 2), what="delta").formula == passed
    net = network_with(Dropout(0.4), (4,))
    inference = traced(net, training=False)
    assert inspect(net, inference, "1", (2,)).formula == "y = x"
    assert inspect(net, inference, "1", (2,)).notes == ("At inference nothing is dropped: y = x.",)
    assert inspect(net, inference, "first", (2,), what="delta").formula == (
        r"\frac{\partial J}{\partial x} = \frac{\partial J}{\partial y}"
    )


def test_batch_norm_keeps_the_letters_of_its_text() -> None:
    """Grishin's variance is V, of N samples; Epelbaum's σ², of m values."""
    for layer, variance, count in ((BatchNorm(), "V", "N"), (BatchNorm2d(), r"\sigma^2", "m")):
        net = network_with(layer, (2, 3, 3))
        trace = traced(net)
        unit = (0,) if count == "m" else (0, 1, 2)
        cell = inspect(net, trace, "1.variance", unit, what="inner")
        assert cell.formula == rf"{variance} = \frac{{1}}{{{count}}} \sum (x - \mu)^2"
        back = inspect(net, trace, "first", (0, 1, 2), what="delta")
        assert back.terms[0].factors[1].label.startswith(rf"\frac{{1}}{{\sqrt{{{variance}_{{0")
        assert back.terms[1].factors[2].label == rf"-\frac{{1}}{{{count}}}"


def test_no_letter_is_left_where_numbers_stand() -> None:
    """In the formula with its numbers, the largest output, the partition, a mean and a setting are numbers too."""
    net = Network([Linear(2, name="out")], (1,))
    net.parameters["out.weight"] = [[-0.5], [-2.0]]
    trace = net.trace(np.ones((1, 1)), [1])
    p = inspect(net, trace, "loss", (1,), what="prediction")
    assert p.numbers == r"e^{\left(-2\right) - \left(-0.5\right)} \cdot \frac{1}{1.223} = 0.1824"
    assert p.terms[0].factors[0].label == r"e^{a_{0,1} - \max a}"
    assert p.value == pytest.approx(np.exp(-1.5) / (1 + np.exp(-1.5)))
    net = Network([BatchNorm(eps=0.5, name="bn"), Linear(1)], (1,), loss="squared_error", dtype="float64")
    trace = net.trace(np.array([[1.0], [4.0]]), np.zeros((2, 1)))
    assert inspect(net, trace, "bn.variance", (0,), what="inner").numbers == (
        r"0.5 \cdot (1 - 2.5)^2 + 0.5 \cdot (4 - 2.5)^2 = 2.25"
    )
    assert r"\frac{1}{\sqrt{2.25 + 0.5}}" in inspect(net, trace, "bn.normalized", (0,), what="inner").numbers
    net = Network([LeakyReLU(0.2, name="leaky"), Linear(1)], (1,), loss="squared_error")
    trace = net.trace(np.array([[-3.0]]), np.zeros((1, 1)))
    assert inspect(net, trace, "leaky", (0,)).numbers == (
        r"\big([\left(-3\right) > 0] + 0.2\,[\left(-3\right) \le 0]\big) \cdot \left(-3\right) = -0.6"
    )


def test_the_formula_of_the_loss_has_its_reduction_and_its_penalties() -> None:
    mean = Network([Linear(2, name="out")], (2,), regularization=[L2(0.1), L1(0.01)])
    total = Network([Linear(2, name="out")], (2,), loss=CrossEntropy(reduction="sum"))
    traces = [net.trace(np.ones((1, 2)), [1]) for net in (mean, total)]
    top = [inspect(net, trace, "out", (1,), what="delta") for net, trace in zip((mean, total), traces, strict=True)]
    assert [cell.formula for cell in top] == [
        r"\delta_{tk} = \frac{w_t}{\sum_t w_t}\,(p_{tk} - y_{tk})",
        r"\delta_{tk} = w_t\,(p_{tk} - y_{tk})",
    ]
    assert inspect(total, traces[1], "loss", (), what="loss").formula == r"J = \sum_t w_t\, \ell_t"
    assert inspect(mean, traces[0], "loss", (), what="loss").formula == (
        r"J = \sum_t \frac{w_t}{\sum_t w_t}\, \ell_t + \tfrac{1}{2} \lambda_{L2} \sum_\theta \theta^2"
        r" + \lambda_{L1} \sum_\theta \lvert\theta\rvert"
    )
    weight, bias = (
        inspect(mean, traces[0], f"out.{key}", index, what="gradient")
        for key, index in (("weight", (0, 1)), ("bias", (0,)))
    )
    penalties = r" + \lambda_{L2}\,\theta + \lambda_{L1} \operatorname{sign}(\theta)"
    assert weight.formula == Linear.formula.backward["dweight"] + penalties
    assert bias.formula == Linear.formula.backward["dbias"]
    assert [term.factors[0].label for term in weight.terms[1:]] == [r"\lambda_{L2}", r"\lambda_{L1}"]


@pytest.mark.parametrize(
    "layer", [Conv2d(2, 1, stride=2), MaxPool2d(1, stride=2), AvgPool2d(1, stride=2), LPPool2d(1, stride=2)], ids=repr
)
def test_a_pixel_between_the_windows_says_so(layer: Layer) -> None:
    net = network_with(layer, (2, 4, 4))
    trace = traced(net)
    between, held = (inspect(net, trace, "first", (0, 2, v), what="delta") for v in (1, 2))
    assert (between.value, between.total, between.terms) == (0, 0, ())
    assert between.notes == ("No window holds this pixel, so nothing comes back to it.",)
    assert held.value != 0
    assert between.notes[0] not in held.notes
