import inspect
from functools import partial

import numpy as np
import pytest
from zoo_graphs import graph_of

from pellucid import zoo
from pellucid.errors import ConfigError


def test_the_table_names_every_builder():
    for name in ("digits", "grishin", "lenet5", "nguyen", "alexnet", "googlenet"):
        assert zoo.ZOO[name] is getattr(zoo, name)
    depths = {name: (build.func, *build.args) for name, build in zoo.ZOO.items() if isinstance(build, partial)}
    assert depths == {
        **{f"vgg{depth}": (zoo.vgg, depth) for depth in (11, 13, 16, 19)},
        **{f"vgg{depth}_cifar": (zoo.vgg_cifar, depth) for depth in (11, 13, 16, 19)},
        **{f"resnet{depth}": (zoo.resnet, depth) for depth in (18, 34, 50, 101, 152)},
        **{f"resnet{depth}_cifar": (zoo.resnet_cifar, depth) for depth in (20, 32, 44, 56, 110)},
    }


@pytest.mark.parametrize("name", zoo.ZOO)
def test_every_builder_takes_the_common_settings_by_keyword(name):
    parameters = inspect.signature(zoo.ZOO[name]).parameters
    assert {parameter.kind for parameter in parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}
    defaults = {key: parameter.default for key, parameter in parameters.items()}
    assert (defaults["seed"], defaults["dtype"], defaults["engine"]) == (0, "float32", "auto")
    graph = graph_of(zoo.ZOO[name])
    assert graph.input_shape == defaults["input_shape"]
    assert graph.output_shape == (defaults["classes"],)
    assert graph_of(zoo.ZOO[name], classes=7).output_shape == (7,)


def test_the_common_settings_reach_a_deep_network():
    settings = {"seed": 5, "dtype": "float64", "engine": "reference", "input_shape": (1, 12, 12), "classes": 3}
    net, other = zoo.build("resnet20_cifar", **settings), zoo.resnet_cifar(20, **{**settings, "seed": 6})
    assert (net.seed, net.dtype, net.engine) == (5, np.float64, "reference")
    assert (net.input_shape, net.output_shape) == ((1, 12, 12), (3,))
    assert not np.array_equal(net.parameters["conv1.weight"], other.parameters["conv1.weight"])


def test_build_passes_settings_on():
    net = zoo.build("grishin", batch_norm=True, seed=4, classes=3, engine="reference")
    direct = zoo.grishin(batch_norm=True, seed=4, classes=3, engine="reference")
    np.testing.assert_array_equal(net.parameters["fc2.weight"], direct.parameters["fc2.weight"])
    assert net.engine == "reference"
    assert "bn3.weight" in net.parameters


def test_unknown_names_and_settings():
    with pytest.raises(ConfigError, match=r"no network called 'lenet' in the zoo; there are digits, .*lenet5"):
        zoo.build("lenet")
    with pytest.raises(ConfigError, match="nguyen has no setting 'batch_norm'; it has seed, dtype, engine"):
        zoo.build("nguyen", batch_norm=True)
