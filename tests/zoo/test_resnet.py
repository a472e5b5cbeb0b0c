import pytest
from zoo_graphs import graph_of, parameter_count

from pellucid.errors import ConfigError
from pellucid.explain import check_gradients
from pellucid.layers import Conv2d, Sequential
from pellucid.zoo import resnet
from pellucid.zoo.resnet import basic_block, bottleneck, projection, stage

# torchvision's documentation of resnet18 … resnet152.
PARAMETERS = {18: 11_689_512, 34: 21_797_672, 50: 25_557_032, 101: 44_549_160, 152: 60_192_808}


@pytest.mark.parametrize("order", ["standard", "epelbaum"])
@pytest.mark.parametrize("depth", PARAMETERS)
def test_parameters_and_depth(depth, order):
    graph = graph_of(resnet, depth, order=order)
    assert parameter_count(graph) == PARAMETERS[depth]
    convolutions = [node.name for node in graph.nodes if isinstance(node.layer, Conv2d)]
    assert sum("downsample" not in name for name in convolutions) + 1 == depth


@pytest.mark.parametrize(("depth", "times"), [(18, 1), (34, 1), (50, 4), (101, 4), (152, 4)])
def test_outputs_at_224(depth, times):
    nodes = graph_of(resnet, depth).nodes
    shapes = {node.name: node.shape for node in nodes}
    assert (shapes["conv1"], shapes["maxpool"]) == ((64, 112, 112), (64, 56, 56))
    # He et al., Table 1
    for stage_number, (maps, side) in enumerate(((64, 56), (128, 28), (256, 14), (512, 7)), start=1):
        last = [node for node in nodes if node.name.startswith(f"layer{stage_number}.")][-1]
        assert last.shape == (times * maps, side, side)
    assert (shapes["avgpool"], shapes["fc"]) == ((512 * times,), (1000,))


def test_names_are_torchvisions():
    graph = graph_of(resnet, 50)
    named = {node.name for node in graph.nodes}
    assert {
        *("conv1", "bn1", "layer1.0.conv1", "layer1.0.bn1", "layer1.0.downsample.0", "layer1.0.downsample.1"),
        *("layer1.2.conv3", "layer1.2.bn3", "layer2.0.downsample.0", "layer4.2.bn3", "fc"),
    } <= named
    assert sum("downsample.0" in name for name in named) == 4
    assert sum("downsample.0" in node.name for node in graph_of(resnet, 18).nodes) == 3


def test_order():
    def first_block(order):
        return " ".join(n.name for n in graph_of(resnet, 34, order=order).nodes if n.name.startswith("layer1.1."))

    path = "layer1.1."
    assert first_block("standard").replace(path, "") == "conv1 bn1 relu1 conv2 bn2 add relu"
    # Epelbaum, "ResNet": batch norm after ReLU, and the last ReLU before the plus
    assert first_block("epelbaum").replace(path, "") == "conv1 relu1 bn1 conv2 relu2 bn2 add"
    stem = [node.name for node in graph_of(resnet, 34, order="epelbaum").nodes[:4]]
    assert stem == ["conv1", "relu", "bn1", "maxpool"]


@pytest.mark.parametrize("order", ["standard", "epelbaum"])
@pytest.mark.parametrize("block", [basic_block, bottleneck])
@pytest.mark.parametrize(("stride", "shortcut"), [(1, False), (2, True)])
def test_gradients_of_a_block(block, stride, shortcut, order):
    maps = 4 if block is bottleneck else 2
    channels = maps if not shortcut else 3
    bodies = [block(maps // (4 if block is bottleneck else 1), stride)]
    module = stage("block", bodies, projection(maps, stride) if shortcut else None, order)
    report = check_gradients(Sequential([module]), (channels, 5, 4), batch=3)
    assert report.passed, report
    assert report.checked > 3 * channels * 20


def test_settings_out_of_range():
    with pytest.raises(ConfigError, match="resnet has no depth 20; there are 18, 34, 50, 101, 152"):
        resnet(20)
    with pytest.raises(ConfigError, match="order must be 'standard' or 'epelbaum'; got 'Epelbaum'"):
        resnet(18, order="Epelbaum")
