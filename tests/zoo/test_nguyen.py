import numpy as np
import pytest

from pellucid.errors import ShapeError
from pellucid.losses import CrossEntropy
from pellucid.zoo import nguyen

# Nguyen §2 (the list below Figure 1) and the sizes stated under (1), (2), (3), (4) and (5).
PRINTED_OUTPUTS = {
    "conv1": (6, 24, 24),
    "relu1": (6, 24, 24),
    "pool1": (6, 12, 12),
    "conv2": (12, 8, 8),
    "relu2": (12, 8, 8),
    "pool2": (12, 4, 4),
    "flatten": (192,),
    "fc": (10,),
}
PRINTED_PARAMETERS = {
    "conv1.weight": (6, 1, 5, 5),
    "conv1.bias": (6,),
    "conv2.weight": (12, 6, 5, 5),
    "conv2.bias": (12,),
    "fc.weight": (10, 192),
    "fc.bias": (10,),
}


def test_outputs_are_as_printed():
    net = nguyen()
    assert net.input_shape == (1, 28, 28)
    assert {node.name: node.shape for node in net.graph.nodes} == PRINTED_OUTPUTS
    assert isinstance(net.loss, CrossEntropy)


def test_parameters_are_as_printed():
    parameters = nguyen().parameters
    assert {name: value.shape for name, value in parameters.items()} == PRINTED_PARAMETERS
    assert sum(value.size for value in parameters.values()) == 3_898


def test_forward_is_what_the_equations_say():
    rng = np.random.default_rng(0)
    net = nguyen(dtype="float64", seed=3)
    for value in net.parameters.values():
        value += 0.1 * rng.normal(size=value.shape)
    p = net.parameters
    image = rng.random((28, 28))

    c1 = np.empty((6, 24, 24))
    for n in range(6):
        for i in range(24):
            for j in range(24):
                s = (image[i : i + 5, j : j + 5] * p["conv1.weight"][n, 0]).sum() + p["conv1.bias"][n]
                c1[n, i, j] = s if s > 0 else 0.0  # (1)
    p1 = np.array(
        [[[c1[n, 2 * r : 2 * r + 2, 2 * s : 2 * s + 2].max() for s in range(12)] for r in range(12)] for n in range(6)]
    )
    c2 = np.empty((12, 8, 8))
    for m in range(12):
        for u in range(8):
            for v in range(8):
                s = sum((p1[n, u : u + 5, v : v + 5] * p["conv2.weight"][m, n]).sum() for n in range(6))
                c2[m, u, v] = max(s + p["conv2.bias"][m], 0.0)  # (3)
    f = np.empty(192)
    for m in range(12):
        for x in range(4):
            for y in range(4):
                f[16 * m + 4 * x + y] = c2[m, 2 * x : 2 * x + 2, 2 * y : 2 * y + 2].max()  # (4), (39)
    s = np.array([sum(p["fc.weight"][i, j] * f[j] for j in range(192)) + p["fc.bias"][i] for i in range(10)])
    expected = np.exp(s) / np.exp(s).sum()  # (5)

    np.testing.assert_allclose(net.predict(image[None]), expected[None], rtol=1e-12)


def test_settings_reach_the_network():
    net = nguyen(seed=7, dtype="float64", engine="reference", input_shape=(3, 16, 20), classes=4)
    assert (net.seed, net.dtype, net.engine) == (7, np.float64, "reference")
    assert net.input_shape == (3, 16, 20)
    assert net.output_shape == (4,)
    # 16×20 → 12×16 → 6×8 → 2×4 → 1×2
    assert net.graph.nodes[5].shape == (12, 1, 2)


def test_the_seed_fixes_the_weights():
    first, again, other = (nguyen(seed=seed).parameters["fc.weight"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).all()


def test_images_that_are_too_small():
    with pytest.raises(ShapeError, match="layer 'pool2' does not fit"):
        nguyen(input_shape=(1, 15, 28))
