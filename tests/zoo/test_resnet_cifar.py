import numpy as np
import pytest
from zoo_graphs import graph_of, parameter_count

from pellucid.errors import ConfigError
from pellucid.explain import check_gradients
from pellucid.layers import Conv2d
from pellucid.zoo import resnet_cifar

# He et al. 2016, Table 6, in millions.
PRINTED = {20: 0.27, 32: 0.46, 44: 0.66, 56: 0.85, 110: 1.7}
PARAMETERS = {20: 269_722, 32: 464_154, 44: 658_586, 56: 853_018, 110: 1_727_962}


@pytest.mark.parametrize("depth", PRINTED)
def test_parameters_and_depth(depth):
    graph = graph_of(resnet_cifar, depth)
    count = parameter_count(graph)
    assert count == PARAMETERS[depth]
    assert round(count / 1e6, 1 if depth == 110 else 2) == PRINTED[depth]
    assert sum(isinstance(node.layer, Conv2d) for node in graph.nodes) + 1 == depth
    # two 1×1 convolutions, 16·32 + 32·64, and their batch norms, 2·32 + 2·64
    assert parameter_count(graph_of(resnet_cifar, depth, shortcut="projection")) == count + 2_560 + 192


def test_outputs():
    shapes = {node.name: node.shape for node in graph_of(resnet_cifar, 20).nodes}
    assert shapes["conv1"] == (16, 32, 32)
    assert [shapes[f"layer{i}.2.relu"] for i in (1, 2, 3)] == [(16, 32, 32), (32, 16, 16), (64, 8, 8)]
    assert (shapes["avgpool"], shapes["fc"]) == ((64,), (10,))


def test_the_shortcut_of_zeros():
    net = resnet_cifar(20, dtype="float64", engine="reference", input_shape=(3, 9, 6))
    trace = net.trace(np.random.default_rng(0).normal(size=(2, 3, 9, 6)), [1, 2])
    kept, came = trace["layer2.0.downsample.1"].output, trace["layer1.2.relu"].output
    assert kept.shape == (2, 32, 5, 3)
    np.testing.assert_array_equal(kept[:, :16], came[:, :, ::2, ::2])
    assert not kept[:, 16:].any()


@pytest.mark.parametrize("order", ["standard", "epelbaum"])
def test_gradients(order):
    net = resnet_cifar(20, order=order, engine="reference", input_shape=(1, 5, 6), classes=3)
    report = check_gradients(net, batch=3, samples=1)
    assert report.passed, report
    assert report.checked == 1 + 19 * 3 + 2  # the input; weight, γ and β of 19 convolutions; fc


def test_settings_out_of_range():
    with pytest.raises(ConfigError, match="resnet_cifar has no depth 18; there are 20, 32, 44, 56, 110"):
        resnet_cifar(18)
    with pytest.raises(ConfigError, match="shortcut must be 'zeros' or 'projection'; got 'A'"):
        resnet_cifar(20, shortcut="A")
    with pytest.raises(ConfigError, match="order must be 'standard' or 'epelbaum'; got 1"):
        resnet_cifar(20, order=1)
