import inspect

import numpy as np
import pytest

from pellucid import zoo
from pellucid.errors import ConfigError


def test_the_table_names_every_builder():
    assert {name: getattr(zoo, name) for name in zoo.ZOO} == zoo.ZOO
    assert {"digits", "grishin", "lenet5", "nguyen"} <= zoo.ZOO.keys()


@pytest.mark.parametrize("name", zoo.ZOO)
def test_every_builder_takes_the_common_settings_by_keyword(name):
    parameters = inspect.signature(zoo.ZOO[name]).parameters
    assert {parameter.kind for parameter in parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}
    defaults = {key: parameter.default for key, parameter in parameters.items()}
    assert (defaults["seed"], defaults["dtype"], defaults["engine"]) == (0, "float32", "auto")
    net = zoo.ZOO[name]()
    assert net.input_shape == defaults["input_shape"]
    assert net.output_shape == (defaults["classes"],)


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
