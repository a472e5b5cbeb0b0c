import numpy as np
import pytest
from zoo_graphs import graph_of, parameter_count

from pellucid.errors import ConfigError, ShapeError
from pellucid.zoo import vgg_cifar

# By hand, with the filters of VGG's Table 1: Σ (9·inputs·filters + 3·filters) over the convolutions, and 512·10 + 10.
PARAMETERS = {11: 9_231_114, 13: 9_416_010, 16: 14_728_266, 19: 20_040_522}


@pytest.mark.parametrize("depth", PARAMETERS)
def test_shapes_and_parameters(depth):
    graph = graph_of(vgg_cifar, depth)
    assert (graph.input_shape, graph.output_shape) == ((3, 32, 32), (10,))
    assert graph.nodes[-3].shape == (512, 1, 1)
    assert parameter_count(graph) == PARAMETERS[depth]


def test_weights_start_with_hes_variance_by_fan_out():
    parameters = vgg_cifar(11, engine="reference").parameters
    assert parameters["features.4.weight"].var() == pytest.approx(2 / (9 * 128), rel=0.02)
    assert abs(parameters["classifier.weight"]).max() == pytest.approx(1 / np.sqrt(512), rel=0.01)
    assert not parameters["features.4.bias"].any()


def test_settings():
    net = vgg_cifar(11, seed=3, dtype="float64", engine="reference", input_shape=(1, 32, 64), classes=4)
    assert (net.seed, net.dtype, net.input_shape, net.output_shape) == (3, np.float64, (1, 32, 64), (4,))
    with pytest.raises(ConfigError, match="vgg_cifar has no depth 18; there are 11, 13, 16, 19"):
        vgg_cifar(18)
    with pytest.raises(ConfigError, match="order must be 'standard' or 'epelbaum'; got None"):
        vgg_cifar(11, order=None)
    with pytest.raises(ShapeError, match=r"layer 'features\.28' does not fit"):
        vgg_cifar(11, input_shape=(3, 28, 28))
