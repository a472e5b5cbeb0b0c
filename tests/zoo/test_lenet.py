import numpy as np
import pytest

from pellucid.errors import ShapeError
from pellucid.losses import CrossEntropy
from pellucid.zoo import lenet5

# LeCun et al. 1998, §II.B: C1 28×28, S2 14×14, C3 10×10, S4 5×5, C5 120, F6 84.
OUTPUTS = {
    "conv1": (6, 28, 28),
    "tanh1": (6, 28, 28),
    "pool1": (6, 14, 14),
    "conv2": (16, 10, 10),
    "tanh2": (16, 10, 10),
    "pool2": (16, 5, 5),
    "flatten": (400,),
    "fc1": (120,),
    "tanh3": (120,),
    "fc2": (84,),
    "tanh4": (84,),
    "fc3": (10,),
}
# C1 156, C5 48,120 and F6 10,164 as in the paper; C3 2,416 where every filter sees all six maps; 84·10 + 10.
PARAMETERS = {"conv1": 156, "conv2": 2_416, "fc1": 48_120, "fc2": 10_164, "fc3": 850}


def test_outputs():
    net = lenet5()
    assert net.input_shape == (1, 28, 28)
    assert {node.name: node.shape for node in net.graph.nodes} == OUTPUTS
    assert isinstance(net.loss, CrossEntropy)


def test_parameters():
    parameters = lenet5().parameters
    counts = {name: parameters[f"{name}.weight"].size + parameters[f"{name}.bias"].size for name in PARAMETERS}
    assert counts == PARAMETERS
    assert sum(value.size for value in parameters.values()) == 61_706


def test_layers_compute_tanh_and_means():
    net = lenet5(dtype="float64")
    x = np.random.default_rng(0).random((2, 28, 28))
    trace = net.trace(x, [3, 8], training=False)
    for tanh, before in (("tanh1", "conv1"), ("tanh2", "conv2"), ("tanh3", "fc1"), ("tanh4", "fc2")):
        np.testing.assert_allclose(trace[tanh].output, np.tanh(trace[before].output), rtol=1e-14)
    for pool, before in (("pool1", "tanh1"), ("pool2", "tanh2")):
        a = trace[before].output
        blocks = a.reshape(*a.shape[:2], a.shape[2] // 2, 2, a.shape[3] // 2, 2)
        np.testing.assert_allclose(trace[pool].output, blocks.mean(axis=(3, 5)), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("name", "fans"), [("conv2", 150 + 400), ("fc1", 400 + 120), ("fc2", 120 + 84)])
def test_weights_start_with_glorots_variance(name, fans):
    weights = np.concatenate([lenet5(seed=s).parameters[f"{name}.weight"].ravel() for s in range(20)])
    assert weights.var() == pytest.approx(2 / fans, rel=0.03)
    assert abs(weights.mean()) < 0.002


def test_settings_reach_the_network():
    net = lenet5(seed=7, dtype="float64", engine="reference", input_shape=(3, 32, 12), classes=5)
    assert (net.seed, net.dtype, net.engine) == (7, np.float64, "reference")
    assert (net.input_shape, net.output_shape) == ((3, 32, 12), (5,))
    assert net.parameters["fc1.weight"].shape == (120, 96)  # 32×12 → 16×6 → 12×2 → 6×1, of 16 maps


def test_images_that_are_too_small():
    with pytest.raises(ShapeError, match="layer 'pool2' does not fit"):
        lenet5(input_shape=(1, 28, 11))
