"""Every network of the zoo in ONNX Runtime, the large ones narrowed; and these as they are through ONNX's checker."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import onnx
import pytest
from onnx_run import disturb, run
from zoo_graphs import graph_of, narrowed

from pellucid import Network, zoo
from pellucid.interop.onnx import export_bytes

SMALL: dict[str, Any] = {"input_shape": (3, 64, 64), "classes": 10}
LARGE: dict[str, Any] = {"input_shape": (3, 224, 224), "classes": 10}


def slim(by: int, build: Callable[..., Network], *args: Any, **settings: Any) -> Network:
    return Network(narrowed(graph_of(build, *args, **settings), by))


NETWORKS: dict[str, Callable[[], Network]] = {
    "digits": zoo.digits,
    "nguyen": zoo.nguyen,
    "lenet5": zoo.lenet5,
    "grishin": zoo.grishin,
    "grishin, batch norm, column major": partial(zoo.grishin, batch_norm=True, column_major=True),
    "alexnet": partial(slim, 8, zoo.alexnet, **LARGE),
    **{f"vgg{depth}": partial(slim, 16, zoo.vgg, depth, **LARGE) for depth in (11, 13, 16, 19)},
    "vgg11, batch norm": partial(slim, 16, zoo.vgg, 11, batch_norm=True, **LARGE),
    "googlenet": partial(slim, 8, zoo.googlenet, **SMALL),
    "googlenet, paper": partial(slim, 8, zoo.googlenet, form="paper", **SMALL),
    **{f"resnet{depth}": partial(slim, 8, zoo.resnet, depth, **SMALL) for depth in (18, 34, 50, 101, 152)},
    "resnet18, epelbaum": partial(slim, 4, zoo.resnet, 18, order="epelbaum", **SMALL),
    **{f"resnet{depth}_cifar": partial(slim, 2, zoo.resnet_cifar, depth) for depth in (20, 32, 44, 56, 110)},
    "resnet20_cifar, projection": partial(zoo.resnet_cifar, 20, shortcut="projection"),
    **{f"vgg{depth}_cifar": partial(slim, 8, zoo.vgg_cifar, depth) for depth in (11, 13, 16, 19)},
}


def test_none_is_left_out() -> None:
    assert zoo.ZOO.keys() <= NETWORKS.keys()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_outputs(name: str) -> None:
    net = disturb(NETWORKS[name]())
    net.n_jobs = 1
    x = np.random.default_rng(0).random((2, *net.input_shape)).astype(np.float32)
    outputs = net.forward(x)
    slack = 1e-5 * float(abs(outputs).max())
    np.testing.assert_allclose(run(export_bytes(net, activation=False), x), outputs, rtol=0, atol=slack)
    # Probabilities move by half as much as what they are made of, at most.
    np.testing.assert_allclose(run(export_bytes(net), x), net.predict(x), rtol=0, atol=max(1e-5, slack / 2))


@pytest.mark.slow  # 40 s of processor time, and 2.4 GB for VGG-19
@pytest.mark.parametrize("name", [name for name in zoo.ZOO if not name.endswith("_cifar")])
def test_the_whole_network_passes_the_checker(name: str) -> None:
    net = zoo.build(name)
    model = onnx.load_from_string(export_bytes(net))
    stored = {entry.name: tuple(entry.dims) for entry in model.graph.initializer}
    assert {key: stored[key] for key in net.parameters} == {key: value.shape for key, value in net.parameters.items()}
