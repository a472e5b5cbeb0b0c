"""What can be asked of a trace, what is answered when it cannot, and the walk from the loss to a pixel."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from opened import assert_opens, number_at
from zoo_graphs import graph_of, narrowed

from pellucid import Input, Network, zoo
from pellucid.errors import ConfigError, ShapeError
from pellucid.explain import Cell, Link, Trace, inspect
from pellucid.graph import Graph
from pellucid.layers import Add, BatchNorm2d, Conv2d, Flatten, Layer, Linear, ReLU
from pellucid.losses import SquaredError
from pellucid.regularizers import L2, Penalty


def traced(net: Network, samples: int = 3, **settings: Any) -> Trace:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(samples, *net.input_shape))
    return net.trace(x, rng.integers(net.output_shape[0], size=samples), **settings)


def narrow(by: int, build: Any, *args: Any, **settings: Any) -> Network:
    return Network(narrowed(graph_of(build, *args, **settings), by), engine="reference")


SMALL_ZOO: dict[str, Callable[[], Network]] = {
    "digits": zoo.digits,
    "nguyen": zoo.nguyen,
    "lenet5": zoo.lenet5,
    "grishin": zoo.grishin,
    "grishin with batch norm": partial(zoo.grishin, batch_norm=True, column_major=True),
    "resnet20_cifar": partial(zoo.build, "resnet20_cifar"),
    "googlenet": partial(narrow, 8, zoo.googlenet, form="paper", input_shape=(3, 64, 64), classes=5),
    "vgg11_cifar": partial(narrow, 16, zoo.ZOO["vgg11_cifar"]),
    "resnet50": partial(narrow, 16, zoo.ZOO["resnet50"], input_shape=(3, 32, 32), classes=5),
}
NAMES = list(SMALL_ZOO)


@cache
def from_zoo(name: str) -> tuple[Network, Trace]:
    net = SMALL_ZOO[name]()
    return net, traced(net)


@pytest.mark.parametrize("name", NAMES)
def test_cells_of_the_zoo_come_to_their_numbers(name: str) -> None:
    """A value and a δ of every node, a gradient of every parameter, in float32."""
    net, trace = from_zoo(name)
    rng = np.random.default_rng(2)
    shapes = {"input": net.input_shape} | {node.name: node.shape for node in net.graph.nodes}
    for node, shape in shapes.items():
        for what in ("value", "delta"):
            index = tuple(int(rng.integers(n)) for n in shape)
            assert_opens(net, trace, Link(node, what, index, int(rng.integers(3))), limit=1000)
    for tensor, values in net.parameters.items():
        index = tuple(int(rng.integers(n)) for n in values.shape)
        assert_opens(net, trace, Link(tensor, "gradient", index), limit=1000)


def walk(net: Network, trace: Trace, start: Link, towards: tuple[str, ...]) -> list[Cell]:
    """Open a cell, then the one behind its largest term's factor of one of those kinds, and so on to the end."""
    cells = [inspect(net, trace, start.node, start.index, start.sample, start.what)]
    while cells[-1].terms:
        largest = max(cells[-1].terms, key=lambda term: abs(term.value))
        found = [factor.link for factor in largest.factors if factor.link and factor.link.what in towards]
        if not found:
            break
        link = found[0]
        cells.append(inspect(net, trace, link.node, link.index, link.sample, link.what))
    return cells


@pytest.mark.parametrize("name", NAMES)
def test_one_can_walk_from_the_loss_to_a_pixel(name: str) -> None:
    net, trace = from_zoo(name)
    way = walk(net, trace, Link("loss", "loss", ()), ("sample_loss", "prediction", "inner", "value"))
    assert [cell.what for cell in way[:3]] == ["loss", "sample_loss", "prediction"]
    assert (way[-1].node, way[-1].what) == ("input", "value")
    for before, cell in pairwise(way):
        assert cell.value == pytest.approx(number_at(net, trace, Link(cell.node, cell.what, cell.index, cell.sample)))
        assert any(
            factor.link == Link(cell.node, cell.what, cell.index, cell.sample)
            for term in before.terms
            for factor in term.factors
        )


@pytest.mark.parametrize("name", NAMES)
def test_one_can_walk_from_a_pixel_back_to_the_loss(name: str) -> None:
    net, trace = from_zoo(name)
    largest = np.unravel_index(abs(trace.input_delta[1]).argmax(), trace.input_delta[1].shape)
    way = walk(net, trace, Link("input", "delta", tuple(int(i) for i in largest), 1), ("share", "gradient", "delta"))
    assert (way[-1].node, way[-1].what, way[-1].by) == (net.graph.nodes[-1].name, "delta", "loss")
    assert {factor.link.what for term in way[-1].terms for factor in term.factors if factor.link} == {
        "weight",
        "prediction",
        "target",
    }


def test_delta_with_several_readers_is_the_sum_of_their_shares() -> None:
    x = Input((3,))
    h = Linear(4, name="h")(x)
    net = Network(Linear(2, name="out")(Add(name="sum")(ReLU(name="relu_1")(h), h, h)), seed=1)
    trace = traced(net)
    cell = assert_opens(net, trace, Link("h", "delta", (2,), 1))
    assert [term.factors[0].link for term in cell.terms] == [
        Link("relu_1", "share", (0, 2), 1),
        Link("sum", "share", (1, 2), 1),
        Link("sum", "share", (2, 2), 1),
    ]
    assert cell.terms[0].factors[0].label == r"\delta^{\text{relu\_1}}_{1,2}"
    assert cell.notes == ("3 layers read this value, and each sends back its share: relu_1, sum, sum.",)
    assert {(region.node, region.what) for region in cell.reads} == {
        ("h", "value"),
        ("relu_1", "delta"),
        ("sum", "delta"),
    }
    assert cell.source == 'Epelbaum, "Batchpropagation through a ResNet module"'


def test_terms_beyond_the_limit_are_told_as_one_number() -> None:
    net = Network([Linear(2, name="fc")], (50,), seed=3)
    trace = traced(net)
    whole, cut = (inspect(net, trace, "fc", (1,), limit=limit) for limit in (1000, 7))
    assert (len(whole.terms), whole.omitted, whole.omitted_sum) == (51, 0, 0.0)
    assert (len(cut.terms), cut.omitted) == (7, 44)
    assert cut.total == whole.total
    assert cut.omitted_sum + sum(term.value for term in cut.terms) == pytest.approx(whole.total, rel=1e-12)
    kept = [term for term in whole.terms if term in cut.terms]
    assert tuple(kept) == cut.terms
    assert min(abs(t.value) for t in cut.terms) >= max(abs(t.value) for t in whole.terms if t not in kept)


def test_a_cell_is_json() -> None:
    net = Network([Linear(2, name="fc")], (2,), loss="squared_error")
    net.parameters["fc.weight"] = [[1, 2], [3e38, 3e38]]
    with np.errstate(over="ignore", invalid="ignore"):
        trace = net.trace(np.full((1, 2), 10.0), np.zeros((1, 2)))
    cell = inspect(net, trace, "fc", (0,))
    told = json.loads(json.dumps(cell.to_json(), allow_nan=False))
    assert told["terms"][2] == {
        "value": 20.0,
        "factors": [
            {
                "label": "w_{0,1}",
                "value": 2.0,
                "shown": "2",
                "link": {"node": "fc.weight", "what": "parameter", "index": [0, 1], "sample": None},
                "argument": None,
            },
            {
                "label": "x_{0,1}",
                "value": 10.0,
                "shown": "10",
                "link": {"node": "input", "what": "value", "index": [1], "sample": 0},
                "argument": None,
            },
        ],
    }
    assert told["reads"] == [{"node": "input", "what": "value", "sample": 0, "ranges": [[0, 2, 1]]}]
    infinite = inspect(net, trace, "fc", (1,))
    assert infinite.value == np.inf
    assert json.loads(json.dumps(infinite.to_json(), allow_nan=False))["value"] == "inf"


@pytest.mark.parametrize(("weights", "total"), [([np.inf, -np.inf], "nan"), ([0.0, -np.inf], "-inf")])
def test_what_is_not_finite_is_shown_and_nothing_warns(weights: list[float], total: str) -> None:
    net = Network([Linear(1, name="fc")], (2,), loss="squared_error", engine="reference")
    net.parameters["fc.weight"][...] = weights  # past the check of what is assigned
    with np.errstate(all="ignore"):
        trace = net.trace(np.ones((1, 2)), np.zeros((1, 1)))
    told = inspect(net, trace, "fc", (0,)).to_json()
    assert (told["value"], told["total"]) == (total, total)


def test_batch_norm_reads_its_map_in_every_sample() -> None:
    net = Network([BatchNorm2d(name="bn"), Flatten(), Linear(2)], (2, 3, 4), seed=1)
    training, inference = traced(net), traced(net, training=False)
    told = [(r.node, r.what, r.sample, r.ranges) for r in inspect(net, training, "bn", (1, 2, 3), 1).reads]
    assert told == [
        ("input", "value", 1, ((1, 2, 1), (2, 3, 1), (3, 4, 1))),
        ("input", "value", None, ((1, 2, 1), (0, 3, 1), (0, 4, 1))),
    ]
    assert len(inspect(net, inference, "bn", (1, 2, 3), 1).reads) == 1
    back = inspect(net, training, "input", (1, 2, 3), 1, "delta")
    assert [r.sample for r in back.reads] == [None, 1]
    assert back.notes[0].startswith("The first term is this number's own δ, the second comes through the batch's mean")
    assert len(back.terms) == 3


def test_the_input_mean_is_shown() -> None:
    net = Network([Flatten(), Linear(2)], (1, 2, 2), input_mean=[0.25])
    trace = net.trace(np.full((1, 1, 2, 2), 255, np.uint8), [0])
    cell = inspect(net, trace, "input", (0, 1, 1))
    assert cell.numbers == "1 - 0.25 = 0.75"
    assert cell.source == 'Epelbaum, "Input layer"'


def test_a_value_that_nothing_reads_has_no_delta() -> None:
    described = Graph([Linear(2, name="side"), Linear(2, name="out")], (2,)).to_json()
    described["layers"][1]["inputs"] = ["input"]
    net = Network(Graph.from_json(described), engine="reference")
    cell = inspect(net, traced(net), "side", (1,), what="delta")
    assert (cell.value, cell.total, cell.terms) == (0.0, 0.0, ())
    assert cell.notes == ("No layer reads this value, so J does not depend on it.",)


@dataclass(frozen=True)
class HalvingOfOnesOwn(Layer):
    def output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def forward(self, params: Any, x: Any, **_: Any) -> Any:
        return x / 2, None

    def backward(self, params: Any, saved: Any, dy: Any) -> Any:
        return dy / 2, {}


@dataclass(frozen=True)
class ReLUOfOnesOwn(ReLU):
    def forward(self, params: Any, x: Any, **_: Any) -> Any:
        return np.maximum(x, 0) + 1, x > 0


@dataclass(frozen=True)
class LinearOfOnesOwn(Linear):
    def backward(self, params: Any, saved: Any, dy: Any) -> Any:
        dx, grads = super().backward(params, saved, dy)
        return 3 * dx, {key: 2 * value for key, value in grads.items()}


@dataclass(frozen=True)
class PenaltyOfOnesOwn(Penalty):
    def value(self, weight: Any) -> float:
        return self.strength * float((weight**4).sum())

    def gradient(self, weight: Any) -> Any:
        return 4 * self.strength * weight**3


@dataclass(frozen=True)
class DoubledError(SquaredError):
    def per_sample(self, a: Any, target: Any) -> Any:
        return 2 * super().per_sample(a, target)

    def value_and_delta(self, a: Any, target: Any, sample_weight: Any = None) -> Any:
        value, delta = super().value_and_delta(a, target, sample_weight)
        return value, 2 * delta


def test_what_is_ones_own_is_told_by_its_own_code() -> None:
    layers = [HalvingOfOnesOwn(name="half"), ReLUOfOnesOwn(name="relu"), LinearOfOnesOwn(2, name="fc")]
    penalties = [PenaltyOfOnesOwn(0.1), L2(0.5)]
    net = Network(
        layers, (3,), dtype="float64", engine="reference", regularization=penalties, loss=DoubledError(), seed=4
    )
    trace = net.trace(np.random.default_rng(5).normal(size=(2, 3)), np.zeros((2, 2)))
    for node in ("input", "half", "relu"):
        for what in ("value", "delta"):
            assert_opens(net, trace, Link(node, what, (1,), 1))
    gradient = assert_opens(net, trace, Link("fc.weight", "gradient", (1, 2)))
    assert_opens(net, trace, Link("loss", "loss", ()))
    assert_opens(net, trace, Link("loss", "sample_loss", (), 1))
    top = assert_opens(net, trace, Link("fc", "delta", (1,), 1))
    assert inspect(net, trace, "half", (1,)).notes == (
        "HalvingOfOnesOwn is a layer of your own: its forward gives this number, the sum behind it is there.",
    )
    assert gradient.notes == (
        "LinearOfOnesOwn is a layer of your own: its backward gives this number, the sum behind it is there.",
    )
    assert top.notes == ("DoubledError is a loss of your own: its value_and_delta gives this number.",)


def test_a_subclass_that_computes_the_same_opens_like_its_base() -> None:
    @dataclass(frozen=True)
    class ConvOfOnesOwn(Conv2d):
        shade: str = "blue"

    net = Network([ConvOfOnesOwn(1, 2, name="conv"), Flatten(), Linear(2)], (1, 3, 3), engine="reference")
    assert len(assert_opens(net, traced(net), Link("conv", "value", (0, 1, 1), 0)).terms) == 5


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({"name": "cnov1"}, ConfigError, r"no layer called 'cnov1' \(did you mean 'conv1'\?\); there are conv1, relu1"),
        ({"what": "colour"}, ConfigError, "no kind of number called 'colour'; there are value, delta, share"),
        ({"index": (0, 0)}, ShapeError, r"value of 'conv1' has shape \(16, 8, 8\); there is no number at \(0, 0\)"),
        ({"index": (0, 0, 8)}, ShapeError, r"there is no number at \(0, 0, 8\)"),
        ({"index": (0, -1, 0)}, ShapeError, r"there is no number at \(0, -1, 0\)"),
        ({"sample": 3}, ShapeError, "the trace holds 3 samples; there is no sample 3"),
        ({"sample": -1}, ShapeError, "there is no sample -1"),
        ({"limit": 0}, ConfigError, "limit must be at least 1; got 0"),
        ({"what": "parameter"}, ConfigError, "no parameter called 'conv1'"),
        ({"name": "conv1.wieght", "what": "gradient"}, ConfigError, r"did you mean 'conv1.weight'\?"),
        ({"name": "conv1.weight", "what": "state"}, ConfigError, "no running statistic called 'conv1.weight'"),
        ({"name": "conv1.mean", "what": "inner"}, ConfigError, r"'conv1', Conv2d\(16, 3, padding=1, name='conv1'\), "
         "works out no 'mean' on the way"),
        ({"name": "mean", "what": "inner"}, ConfigError, "no layer called ''"),
        ({"what": "share", "index": (1, 0, 0, 0)}, ShapeError, "the share of 'conv1' needs an index that begins with"),
        ({"what": "share", "index": ()}, ShapeError, "the share of 'conv1' needs an index that begins with"),
        ({"what": "loss"}, ConfigError, "'loss' is a number of 'loss', not of 'conv1'"),
        ({"name": "loss", "what": "prediction", "index": (10,)}, ShapeError, r"there is no number at \(10,\)"),
    ],
)  # fmt: skip
def test_what_there_is_not(asked: dict[str, Any], error: type[Exception], message: str) -> None:
    net, trace = from_zoo("digits")
    question = {"name": "conv1", "index": (0, 0, 0), **asked}
    with pytest.raises(error, match=message):
        inspect(net, trace, **question)


def test_other_losses_have_no_partition() -> None:
    net = Network([Linear(2)], (2,), loss="squared_error")
    trace = net.trace(np.ones((1, 2)), np.ones((1, 2)))
    with pytest.raises(ConfigError, match=r"SquaredError\(\) has no 'partition'"):
        inspect(net, trace, "loss", (), what="partition")


def test_a_trace_of_another_network_is_refused() -> None:
    trace = traced(Network([Linear(2, name="fc")], (2,)))
    with pytest.raises(ConfigError, match="the trace is of another network: its layers have other names"):
        inspect(Network([Linear(2, name="out")], (2,)), trace, "out", (1,))


def test_an_index_may_be_of_numpy() -> None:
    net = Network([Linear(2, name="fc")], (2,))
    cell = inspect(net, traced(net), "fc", np.array([1]))
    assert cell.index == (1,)
    assert type(cell.index[0]) is int
    json.dumps(cell.to_json())


def test_a_trace_of_before_a_training_step_is_refused() -> None:
    net = Network([Linear(2)], (2,))
    trace = traced(net)
    net.step += 2
    with pytest.raises(ConfigError, match="made at step 0, the network has gone on to step 2; trace it again"):
        inspect(net, trace, "0", (1,))
