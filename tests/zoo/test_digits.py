import pytest

from pellucid.data import load_dataset
from pellucid.zoo import digits


def test_outputs_and_parameters():
    net = digits()
    assert net.input_shape == (1, 8, 8)
    assert {node.name: node.shape for node in net.graph.nodes} == {
        "conv1": (16, 8, 8),
        "relu1": (16, 8, 8),
        "conv2": (32, 8, 8),
        "relu2": (32, 8, 8),
        "pool": (32, 4, 4),
        "flatten": (512,),
        "dropout": (512,),
        "fc": (10,),
    }
    sizes = {name: value.size for name, value in net.parameters.items()}
    assert sizes == {
        "conv1.weight": 16 * 9,
        "conv1.bias": 16,
        "conv2.weight": 32 * 16 * 9,
        "conv2.bias": 32,
        "fc.weight": 10 * 512,
        "fc.bias": 10,
    }
    assert sum(sizes.values()) == 9_930


def test_settings_reach_the_network():
    net = digits(seed=7, dtype="float64", engine="reference", input_shape=(3, 5, 2), classes=3)
    assert (net.seed, net.dtype.name, net.engine) == (7, "float64", "reference")
    assert (net.input_shape, net.output_shape) == ((3, 5, 2), (3,))
    assert net.parameters["fc.weight"].shape == (3, 64)


@pytest.mark.parametrize("seed", [0, 1])
def test_it_learns_the_digits(seed):
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    data = load_dataset("digits")
    net = digits(seed=seed, engine="reference")
    net.fit(data.x_train, data.y_train, epochs=7, batch_size=32, optimizer="adam", learning_rate=3e-3, verbose=0)
    assert net.evaluate(data.x_test, data.y_test)["accuracy"] >= 0.97
