import re

import pytest
from zoo_graphs import graph_of, parameter_count

from pellucid.errors import ConfigError, ShapeError
from pellucid.layers import BatchNorm2d, Conv2d, MaxPool2d
from pellucid.zoo import vgg

# torchvision's documentation of vgg11 … vgg19 and vgg11_bn … vgg19_bn.
PARAMETERS = {
    11: (132_863_336, 132_868_840),
    13: (133_047_848, 133_053_736),
    16: (138_357_544, 138_365_992),
    19: (143_667_240, 143_678_248),
}
# torchvision's cfgs: filters of every convolution, M for a pool.
CONFIGURATIONS = {
    11: "64 M 128 M 256 256 M 512 512 M 512 512 M",
    13: "64 64 M 128 128 M 256 256 M 512 512 M 512 512 M",
    16: "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M",
    19: "64 64 M 128 128 M 256 256 256 256 M 512 512 512 512 M 512 512 512 512 M",
}


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("depth", PARAMETERS)
def test_layers_and_parameters(depth, batch_norm):
    graph = graph_of(vgg, depth, batch_norm=batch_norm)
    words = []
    for node in graph.nodes:
        if isinstance(node.layer, Conv2d):
            assert (node.layer.kernel_size, node.layer.stride, node.layer.padding) == (3, 1, 1)
            words.append(str(node.layer.out_channels))
        if isinstance(node.layer, MaxPool2d):
            assert (node.layer.kernel_size, node.layer.stride) == (2, None)
            words.append("M")
    assert " ".join(words) == CONFIGURATIONS[depth]
    assert sum(isinstance(node.layer, BatchNorm2d) for node in graph.nodes) == batch_norm * (depth - 3)
    assert parameter_count(graph) == PARAMETERS[depth][batch_norm]


def test_outputs_at_224():
    shapes = {node.name: node.shape for node in graph_of(vgg, 16).nodes}
    # the pools of torchvision's vgg16, and its classifier
    assert [shapes[f"features.{i}"] for i in (4, 9, 16, 23, 30)] == [
        *((64, 112, 112), (128, 56, 56), (256, 28, 28), (512, 14, 14), (512, 7, 7))
    ]
    assert [shapes[f"classifier.{i}"] for i in (0, 3, 6)] == [(4096,), (4096,), (1000,)]
    assert shapes["flatten"] == (25088,)


@pytest.mark.parametrize(("order", "kinds"), [("standard", "BatchNorm2d ReLU"), ("epelbaum", "ReLU BatchNorm2d")])
def test_order(order, kinds):
    nodes = graph_of(vgg, 11, batch_norm=True, order=order).nodes
    assert " ".join(type(node.layer).__name__ for node in nodes[:4]) == f"Conv2d {kinds} MaxPool2d"


def test_settings_out_of_range():
    with pytest.raises(ConfigError, match=r"vgg has no depth 12; there are 11, 13, 16, 19$"):
        vgg(12)
    with pytest.raises(ConfigError, match="order must be 'standard' or 'epelbaum'; got 'reverse'"):
        vgg(11, batch_norm=True, order="reverse")
    message = (
        "images of shape (3, 64, 64) come out of 'features' as maps of 2×2; the classifier takes 7×7, or a multiple"
    )
    with pytest.raises(ShapeError, match=re.escape(message)):
        vgg(11, input_shape=(3, 64, 64))
