"""p-norm pooling, softmax and response norm, natively: values over the range of float32, and what is no number."""

from __future__ import annotations

import numpy as np
import pytest
from native_nets import RNG, SETS, set_isa

from pellucid import Network
from pellucid.layers import Conv2d, Flatten, Layer, LocalResponseNorm, LPPool2d, Softmax

pytest.importorskip("pellucid._native", reason="installed without a C++ compiler")

UNIT = 2.0**-24


def run(layers: list[Layer], x: np.ndarray) -> np.ndarray:
    return Network(layers, x.shape[1:], loss="squared_error", engine="native").forward(x)


def sizes(low: float, high: float, shape: tuple[int, ...]) -> np.ndarray:
    """Return numbers of every size and both signs."""
    rng = RNG(0)
    return (10 ** rng.uniform(low, high, shape) * rng.choice([-1, 1], shape)).astype(np.float32)


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize(("p", "units"), [(1.0, 1.01), (2.0, 1.01), (1.5, 5.0), (3.0, 5.0), (7.3, 5.0)])
def test_norms_of_numbers_of_every_size(p: float, units: float, isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_isa(monkeypatch, isa)
    # Pairs of a like size, of sizes apart, and all over the range.
    x = np.concatenate(
        [sizes(-37, 38, (4000, 1, 1, 1)) * RNG(1).uniform(0.5, 1, (4000, 1, 1, 2)), sizes(-37, 37.9, (4000, 1, 1, 2))]
    )
    x = x.astype(np.float32)
    given = run([LPPool2d((1, 2), norm_type=p), Flatten()], x)[:, 0]
    size = abs(x.astype(np.float64))
    largest = size.max(axis=(1, 2, 3))
    exact = largest * ((size / largest[:, None, None, None]) ** p).sum(axis=(1, 2, 3)) ** (1 / p)
    fits = exact < np.finfo(np.float32).max
    assert (abs(given - exact) <= units * UNIT * exact)[fits].all()
    assert np.isinf(given[~fits]).all()


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize("beta", [0.75, 0.5, 1.0, 2.3, -0.4, 0.0])
def test_response_norm_of_numbers_of_every_size(beta: float, isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_isa(monkeypatch, isa)
    x = sizes(-15, 15, (500, 1, 1, 16))
    k = float(np.float32(1e-6))
    given = run([LocalResponseNorm(1, 1.0, beta, k), Flatten()], x)
    wide = x.astype(np.float64).reshape(500, 16)
    damping = (k + wide**2) ** -beta
    # s is rounded twice; then a power, of at most 2.5 units, which is flushed below 2⁻¹²⁶, and a product.
    allowed = (2 * abs(beta) + 2.5 + 1) * UNIT * abs(wide * damping) + abs(wide * damping) * (damping < 2.0**-125)
    assert (abs(given - wide * damping) <= allowed + 2.0**-125).all()


@pytest.mark.parametrize("isa", SETS)
def test_softmax_of_scores_near_and_far(isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_isa(monkeypatch, isa)
    rng = RNG(2)
    x = np.concatenate([rng.normal(size=(1000, 9)) * scale for scale in (0.1, 3, 30, 1e4)]).astype(np.float32)
    given = run([Softmax()], x)
    below = x.max(axis=1, keepdims=True).astype(np.float64) - x
    exact = np.exp(-below) / np.exp(-below).sum(axis=1, keepdims=True)
    # x − max is rounded once, and that stands in the exponent; e^x is right to 3 units in the last place.
    assert (abs(given - exact) <= (below + 2 * 6 + 9 + 1) * UNIT * exact + 2.0**-125).all()
    np.testing.assert_allclose(given.sum(axis=1), 1, rtol=9 * UNIT)


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize(
    "layer", [LPPool2d(1), LPPool2d(1, norm_type=1), LPPool2d(1, norm_type=2.5), Softmax(), LocalResponseNorm(1),
              LocalResponseNorm(1, beta=0.5)], ids=str,
)  # fmt: skip
def test_nan_stays_nan_whatever_its_bits(layer: Layer, isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_isa(monkeypatch, isa)
    for bits in (0x7FC00000, 0xFFC00000, 0x7FC12345, 0xFFFFFFFF):
        network = Network([Conv2d(1, 1), layer, Flatten()], (1, 1, 3), loss="squared_error", engine="native")
        network.parameters["0.weight"][...] = 0
        network.parameters["0.bias"][...] = np.array(bits, np.uint32).view(np.float32)
        x, y = np.ones((2, 1, 1, 3), np.float32), np.zeros((2, 3), np.float32)
        assert np.isnan(network.forward(x)).all()
        loss, gradients = network.loss_and_gradients(x, y)
        assert np.isnan(loss)
        assert np.isnan(gradients["0.bias"]).all()


def test_a_window_of_zeros_has_no_slope() -> None:
    for p in (1.0, 1.5, 2.0, 3.0):
        network = Network(
            [Conv2d(1, 1, bias=False), LPPool2d(2, norm_type=p), Flatten()],
            (1, 2, 4),
            loss="squared_error",
            engine="native",
        )
        network.parameters["0.weight"][...] = 1
        x = np.zeros((1, 1, 2, 4), np.float32)
        x[..., 0, 3] = 2.0
        assert network.forward(x).tolist() == [[0.0, 2.0]]
        # J = ½Σ(y − target)²: δ is −1 in the window of zeros and 5 in the other, where x alone is not 0.
        _, gradients = network.loss_and_gradients(x, np.array([[1.0, -3.0]]))
        assert gradients["0.weight"].tolist() == [[[[10.0]]]]


def test_response_norm_that_overflows_gives_0_as_the_reference_engine_does() -> None:
    x = np.full((1, 1, 1, 1), 1e25, np.float32)
    for beta in (0.75, 0.8):
        assert run([LocalResponseNorm(1, 1.0, beta), Flatten()], x).tolist() == [[0.0]]
