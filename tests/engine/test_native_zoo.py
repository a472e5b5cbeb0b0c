"""A training step of every deep network of the zoo, narrowed: native against the layers' NumPy in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from native_nets import RNG, samples
from threadpoolctl import threadpool_limits
from zoo_graphs import graph_of, narrowed

from pellucid import Network, zoo
from pellucid.graph import Graph

pytest.importorskip("pellucid._native", reason="installed without a C++ compiler")

SMALL: dict[str, Any] = {"input_shape": (3, 64, 64), "classes": 10}
LARGE: dict[str, Any] = {"input_shape": (3, 224, 224), "classes": 10}

#: networks, how much narrower they are made, and samples
DEEP: dict[str, tuple[Callable[[], Graph], int, int]] = {
    "alexnet": (partial(graph_of, zoo.alexnet, **LARGE), 8, 3),
    "vgg11": (partial(graph_of, zoo.vgg, 11, **LARGE), 8, 2),
    "vgg11, batch norm": (partial(graph_of, zoo.vgg, 11, batch_norm=True, **LARGE), 8, 2),
    "googlenet": (partial(graph_of, zoo.googlenet, **SMALL), 8, 17),
    "googlenet, paper": (partial(graph_of, zoo.googlenet, form="paper", **SMALL), 8, 5),
    "resnet18": (partial(graph_of, zoo.resnet, 18, **SMALL), 4, 17),
    "resnet18, epelbaum": (partial(graph_of, zoo.resnet, 18, order="epelbaum", **SMALL), 4, 17),
    "resnet50": (partial(graph_of, zoo.resnet, 50, **SMALL), 4, 17),
    "resnet20_cifar": (partial(graph_of, zoo.resnet_cifar, 20), 1, 17),
    "resnet32_cifar, projection": (partial(graph_of, zoo.resnet_cifar, 32, shortcut="projection"), 2, 17),
    "vgg16_cifar": (partial(graph_of, zoo.vgg_cifar, 16), 4, 33),
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with threadpool_limits(1, "openmp"):
        yield


def smooth(graph: Graph) -> Graph:
    """Return the graph with tanh for every ReLU, and averages for maxima: nothing in it that rounding could switch."""
    described = graph.to_json()
    for entry in described["layers"]:
        layer = entry["layer"]
        if layer["type"] == "ReLU":
            layer["type"] = "Tanh"
        if layer["type"] == "MaxPool2d":
            layer["type"] = "AvgPool2d"
            layer.pop("dilation", None)
    return Graph.from_json(described)


def step_twice(graph: Graph, n: int) -> tuple[dict[str, float], Network, Network]:
    """Return by how much gradients differ, as shares of their norms, and both networks after a step."""
    native = Network(graph, engine="native", seed=1)
    for name, value in native.parameters.items():
        if name.endswith("bias"):
            value[...] = RNG(2).normal(size=value.shape) / 5
    exact = native.copy(dtype="float64")
    x, y = samples(native, n)
    loss, gradients = native.loss_and_gradients(x, y)
    exact_loss, exact_gradients = exact.loss_and_gradients(x, y)
    assert loss == pytest.approx(exact_loss, rel=1e-5)
    # What is 0, such as the gradient of a bias before a batch norm, is held against the size of all the others.
    typical = np.sqrt(np.mean([np.mean(gradient**2) for gradient in exact_gradients.values()]))
    apart = {
        name: float(
            np.linalg.norm(gradients[name] - gradient) / max(np.linalg.norm(gradient), typical * np.sqrt(gradient.size))
        )
        for name, gradient in exact_gradients.items()
    }
    return apart, native, exact


@pytest.mark.parametrize("name", DEEP)
def test_gradients_where_nothing_switches(name: str) -> None:
    graph, by, n = DEEP[name]
    apart, native, exact = step_twice(smooth(narrowed(graph(), by)), n)
    assert max(apart.values()) < 1e-3, max(apart, key=apart.__getitem__)
    for key, value in native.state.items():
        np.testing.assert_allclose(value, exact.state[key], rtol=1e-4, atol=1e-4, err_msg=key)
    x, _ = samples(native, n, seed=5)
    outputs = exact.forward(x)
    assert np.linalg.norm(native.forward(x) - outputs) < 1e-4 * np.linalg.norm(outputs)


@pytest.mark.parametrize("name", DEEP)
def test_gradients_of_the_network_as_it_is(name: str) -> None:
    # One of a million ReLUs, or maxima, may decide the other way; all that lies before it then differs a little.
    graph, by, n = DEEP[name]
    apart, *_ = step_twice(narrowed(graph(), by), n)
    assert np.median(list(apart.values())) < 0.02
