from __future__ import annotations

import numpy as np
import pytest
from native_nets import RNG, SETS, build, samples, set_isa

from pellucid import Network
from pellucid.layers import Conv2d, Dropout, Flatten, Layer, Linear, ReLU, Tanh
from pellucid.philox import Stream

pytest.importorskip("pellucid._native", reason="installed without a C++ compiler")

SIZES = (1, 15, 16, 17, 31, 33, 128)
SHAPES = ((7,), (16,), (1, 1, 1), (1, 3, 8), (5, 7, 3))


def masked(network: Network, n: int) -> np.ndarray:
    """Return what a training batch of ones becomes."""
    x = np.ones((n, *network.input_shape), network.dtype)
    return network.batch_gradient(x, np.zeros((n, *network.output_shape), network.dtype))[2]


def net(p: float, shape: tuple[int, ...], *, dtype: str = "float32", engine: str = "native", seed: int = 0) -> Network:
    layers: list[Layer] = [Dropout(p)] if len(shape) == 1 else [Dropout(p), Flatten()]
    network = Network(layers, shape, loss="squared_error", dtype=dtype, engine=engine, seed=seed)
    network.step = 2**32 + 3
    return network


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_both_engines_and_both_dtypes_drop_the_same(
    shape: tuple[int, ...], isa: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_isa(monkeypatch, isa)
    for seed, p in ((0, 0.5), (2**40 + 1, 0.1), (2**64 + 2**63, 0.75)):
        for n in SIZES:
            expected = Stream(seed, 2**32 + 3, 0).words((n, int(np.prod(shape)))) >= round(p * 2**32)
            for dtype, engine in (("float32", "native"), ("float32", "reference"), ("float64", "reference")):
                given = masked(net(p, shape, dtype=dtype, engine=engine, seed=seed), n)
                np.testing.assert_array_equal(given != 0, expected)
                np.testing.assert_allclose(given[expected], 1 / (1 - p), rtol=1e-7)


def test_the_threads_that_share_a_block_drop_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    # 33 samples are three blocks: on four threads all of them are split, and entries and threads do not divide.
    network = net(0.4, (5, 7, 3))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    expected = masked(network, 33)
    for threads in (2, 3, 4):
        monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
        np.testing.assert_array_equal(masked(network, 33), expected)


@pytest.mark.parametrize("p", [0.0, 1e-12, 0.03, 0.5, 0.97, 1 - 1e-12])
def test_the_share_dropped_is_p(p: float) -> None:
    given = masked(net(p, (1000,)), 200) == 0
    assert abs(given.mean() - p) <= 5 * np.sqrt(p * (1 - p) / given.size)


def test_seed_step_place_sample_and_entry_make_a_difference() -> None:
    network = net(0.5, (500,))
    first = masked(network, 20) != 0
    others = {"seed": masked(net(0.5, (500,), seed=1), 20) != 0}
    network.step += 1
    others["step"] = masked(network, 20) != 0
    later = Network([Flatten(), Dropout(0.5)], (500,), loss="squared_error", engine="native")
    later.step = 2**32 + 3
    others["place"] = masked(later, 20) != 0
    others["sample"], others["entry"] = np.roll(first, 1, axis=0), np.roll(first, 1, axis=1)
    for what, other in others.items():
        # Two independent masks agree in half of 10,000 entries, ± 50.
        assert abs((first == other).sum() - 5000) < 250, what


def test_what_else_is_in_the_batch_makes_none() -> None:
    network = net(0.5, (3, 4, 5))
    x = RNG(0).uniform(1, 2, (40, 3, 4, 5)).astype(np.float32)
    y = np.zeros((40, 60), np.float32)
    whole = network.batch_gradient(x, y)[2]
    np.testing.assert_array_equal(network.batch_gradient(x[:19], y[:19])[2], whole[:19])
    x[:, ::2] += 1
    x[20:] *= 3
    np.testing.assert_array_equal(network.batch_gradient(x, y)[2] != 0, whole != 0)


def test_predictions_drop_nothing() -> None:
    network = build([Linear(6), Dropout(0.9), Linear(3)], (5,))
    without = Network([Linear(6), Linear(3)], (5,), engine="native")
    for name, value in zip(without.parameters, network.parameters.values(), strict=True):
        without.parameters[name] = value
    x, y = samples(network, 20)
    np.testing.assert_array_equal(network.forward(x), without.forward(x))
    assert network.evaluate(x, y) == without.evaluate(x, y)
    assert (network.batch_gradient(*network.check_samples(x, y))[2] != without.forward(x)).any()


def test_nan_is_dropped_nowhere() -> None:
    network = Network([Linear(8), Dropout(0.5)], (1,), loss="squared_error", engine="native")
    network.parameters["0.bias"][...] = np.nan
    assert np.isnan(network.batch_gradient(np.ones((5, 1), np.float32), np.zeros((5, 8), np.float32))[2]).all()


def test_gradients_against_central_differences_with_the_mask_held() -> None:
    layers = [Conv2d(3, 3), Dropout(0.4), Tanh(), Flatten(), Dropout(0.3), Linear(5), Tanh(), Dropout(0.5), Linear(3)]
    network = build(layers, (2, 5, 6), seed=3)
    network.step = 11
    x, y = samples(network, 17)
    _, gradients = network.loss_and_gradients(x, y)
    exact = network.copy(dtype="float64")
    for name, value in exact.parameters.items():
        largest = float(abs(gradients[name]).max())
        for at in RNG(4).integers(0, value.size, 5):
            origin, losses = value.flat[at], []
            for offset in (1e-5, -1e-5):
                value.flat[at] = origin + offset
                losses.append(exact.loss_and_gradients(x, y)[0])
            value.flat[at] = origin
            assert gradients[name].flat[at] == pytest.approx(
                (losses[0] - losses[1]) / 2e-5, rel=1e-5, abs=1e-5 * largest
            )


def test_training_follows_the_reference_engine_from_step_to_step() -> None:
    ends = []
    for engine, dtype in (("native", "float32"), ("reference", "float64")):
        network = Network([Linear(20), ReLU(), Dropout(0.5), Linear(3)], (6,), seed=2, engine=engine, dtype=dtype)
        x, y = samples(network, 70)
        network.fit(x, y, epochs=3, batch_size=16, learning_rate=0.05, verbose=0)
        ends.append(network.flat_parameters.copy())
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-4, atol=1e-5)
