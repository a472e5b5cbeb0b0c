import numpy as np
import pytest

from pellucid.errors import ShapeError
from pellucid.losses import LogLoss
from pellucid.zoo import grishin

# Grishin, Part I and the sizes in §1 to §7.
PRINTED_OUTPUTS = {
    "conv1": (6, 32, 32),
    "elu1": (6, 32, 32),
    "pool1": (6, 16, 16),
    "conv2": (16, 16, 16),
    "elu2": (16, 16, 16),
    "pool2": (16, 8, 8),
    "flatten": (1024,),
    "fc1": (65,),
    "elu3": (65,),
    "fc2": (12,),
}
# Grishin, the table of §8: b⁽¹⁾ 6, w⁽¹⁾ 5×5×6, b⁽³⁾ 16, w⁽³⁾ 5×5×16×6, b⁽⁶⁾ 65, Θ⁽⁶⁾ 65×1024, b⁽⁷⁾ 12, Θ⁽⁷⁾ 12×65.
PRINTED_PARAMETERS = {
    "conv1.weight": (6, 1, 5, 5),
    "conv1.bias": (6,),
    "conv2.weight": (16, 6, 5, 5),
    "conv2.bias": (16,),
    "fc1.weight": (65, 1024),
    "fc1.bias": (65,),
    "fc2.weight": (12, 65),
    "fc2.bias": (12,),
}
# What the table of §20 adds: α⁽²⁾ and β⁽²⁾ 32×32×6, α⁽⁴⁾ and β⁽⁴⁾ 16×16×16, α⁽⁷⁾ and β⁽⁷⁾ 65.
PRINTED_COEFFICIENTS = {
    "bn1.weight": (6, 32, 32),
    "bn1.bias": (6, 32, 32),
    "bn2.weight": (16, 16, 16),
    "bn2.bias": (16, 16, 16),
    "bn3.weight": (65,),
    "bn3.bias": (65,),
}


def shapes(parameters):
    return {name: value.shape for name, value in parameters.items()}


def test_outputs_are_as_printed():
    net = grishin()
    assert net.input_shape == (1, 32, 32)
    assert {node.name: node.shape for node in net.graph.nodes} == PRINTED_OUTPUTS
    assert isinstance(net.loss, LogLoss)


def test_parameters_are_as_printed():
    parameters = grishin().parameters
    assert shapes(parameters) == PRINTED_PARAMETERS
    assert sum(value.size for value in parameters.values()) == 69_989


def test_batch_norm_stands_before_every_elu_with_a_coefficient_for_every_activation():
    net = grishin(batch_norm=True, engine="reference")
    assert [node.name for node in net.graph.nodes] == [
        *("conv1", "bn1", "elu1", "pool1"),  # Layers 21, 22, 23 and 3
        *("conv2", "bn2", "elu2", "pool2"),  # Layers 41, 42, 43 and 5
        *("flatten", "fc1", "bn3", "elu3", "fc2"),  # Layers 6, 71, 72, 73 and 8
    ]
    assert shapes(net.parameters) == PRINTED_PARAMETERS | PRINTED_COEFFICIENTS
    assert sum(value.size for value in net.parameters.values()) == 90_599


@pytest.mark.parametrize("column_major", [False, True])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_forward_is_what_the_sections_say(batch_norm, column_major):
    rng = np.random.default_rng(1)
    net = grishin(batch_norm=batch_norm, column_major=column_major, dtype="float64", seed=5)
    for value in net.parameters.values():
        value += 0.1 * rng.normal(size=value.shape)
    images = rng.random((3, 32, 32))
    expected = text_forward(images, net.parameters, batch_norm, column_major)
    trace = net.trace(images, np.array([0, 11, 4]))
    np.testing.assert_allclose(trace.prediction, expected, rtol=1e-10)


def text_forward(images, p, batch_norm, column_major):
    """Parts II and IV as printed, sample by sample where they are, with indices from 0."""

    def normalized(z, name):
        if not batch_norm:
            return z
        mu = sum(z) / len(z)
        v = sum((one - mu) ** 2 for one in z) / len(z)
        return [p[f"{name}.weight"] * (one - mu) / np.sqrt(v + 1e-5) + p[f"{name}.bias"] for one in z]

    def elu(z):
        return np.where(z >= 0, z, np.exp(np.minimum(z, 0)) - 1)

    def convolved(maps, weight, bias):
        side = maps.shape[1]
        padded = np.zeros((len(maps), side + 4, side + 4))
        padded[:, 2 : side + 2, 2 : side + 2] = maps
        z = np.empty((len(weight), side, side))
        for u in range(side):
            for v in range(side):
                z[:, u, v] = bias + (weight * padded[None, :, u : u + 5, v : v + 5]).sum(axis=(1, 2, 3))
        return z

    def pooled(a):
        return np.maximum.reduce([a[:, 0::2, 0::2], a[:, 0::2, 1::2], a[:, 1::2, 0::2], a[:, 1::2, 1::2]])

    z2 = normalized([convolved(x[None], p["conv1.weight"], p["conv1.bias"]) for x in images], "bn1")
    a3 = [pooled(elu(z)) for z in z2]
    z4 = normalized([convolved(a, p["conv2.weight"], p["conv2.bias"]) for a in a3], "bn2")
    a5 = [pooled(elu(z)) for z in z4]
    a6 = np.empty((len(images), 1024))
    for k in range(16):
        for u in range(8):
            for v in range(8):
                s6 = 64 * k + (8 * v + u if column_major else 8 * u + v)  # §5
                a6[:, s6] = [a[k, u, v] for a in a5]
    z7 = normalized([p["fc1.bias"] + p["fc1.weight"] @ a for a in a6], "bn3")
    z8 = np.array([p["fc2.bias"] + p["fc2.weight"] @ elu(z) for z in z7])
    return 1 / (1 + np.exp(-z8))


def test_settings_reach_the_network():
    net = grishin(seed=7, dtype="float64", engine="reference", input_shape=(2, 9, 4), classes=3)
    assert (net.seed, net.dtype, net.engine) == (7, np.float64, "reference")
    assert (net.input_shape, net.output_shape) == ((2, 9, 4), (3,))
    assert net.parameters["fc1.weight"].shape == (65, 32)  # 9×4 → 4×2 → 2×1, of 16 maps


def test_images_that_are_too_small():
    with pytest.raises(ShapeError, match="layer 'pool2' does not fit"):
        grishin(input_shape=(1, 3, 32))
