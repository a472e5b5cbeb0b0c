"""Batch norm, residual modules and concatenations: native against the layers' own NumPy in float64."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from native_nets import JOINED, LOSSES, RNG, SETS, build, samples, set_isa
from threadpoolctl import threadpool_limits

from pellucid import Network
from pellucid.engine import memory
from pellucid.engine import program as lowering
from pellucid.errors import DataError
from pellucid.layers import BatchNorm, BatchNorm2d, Conv2d, Flatten, Layer, Linear

pytest.importorskip("pellucid._native", reason="installed without a C++ compiler")

#: of the largest number of an array: some 10 layers with sums of up to 1000 products, in units of 2⁻²⁴
TOLERANCE = 2e-5


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    # Tiny nets on two threads spend their time waiting; the bits are the same for any number of them.
    with threadpool_limits(1, "openmp"):
        yield


def assert_close(
    found: np.ndarray, exact: np.ndarray, what: str, *, floor: float = 0.0, tolerance: float = TOLERANCE
) -> None:
    allowed = tolerance * max(float(abs(exact).max()), floor)
    assert abs(found - exact).max() <= allowed, f"{what}: {abs(found - exact).max():.3g} is more than {allowed:.3g}"


def assert_trains_alike(network: Network, n: int) -> None:
    """Compare loss, gradients, running statistics, and then a prediction by them."""
    exact = network.copy(dtype="float64")
    x, y = samples(network, n)
    for _ in range(2):
        loss, gradients = network.loss_and_gradients(x, y)
        exact_loss, exact_gradients = exact.loss_and_gradients(x, y)
    assert_close(np.array(loss), np.array(exact_loss), "loss", floor=1.0)
    # A bias before a batch norm has a gradient of 0, which is what the others leave after cancelling.
    largest = max(float(abs(gradient).max()) for gradient in exact_gradients.values())
    # Of two values, normalized to ±1, no δ comes back but what is left of two terms that cancel, over their distance.
    tolerance = TOLERANCE * (100 if n == 2 else 1)
    for name, gradient in gradients.items():
        assert_close(gradient, exact_gradients[name], name, floor=largest / 10, tolerance=tolerance)
    for name, value in network.state.items():
        assert_close(value, exact.state[name], name, floor=1.0)
    assert_close(network.forward(x), exact.forward(x), "prediction")


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("n", [2, 15, 16, 17, 31, 33])
@pytest.mark.parametrize("name", JOINED)
def test_against_float64(name: str, n: int, loss: str) -> None:
    assert_trains_alike(build(*JOINED[name], loss=loss), n)


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize("name", JOINED)
def test_with_every_instruction_set(name: str, isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_isa(monkeypatch, isa)
    assert_trains_alike(build(*JOINED[name], loss="log_loss"), 19)


@pytest.mark.parametrize("wide", [0, 2**21])
@pytest.mark.parametrize("small", [0, 2**16])
@pytest.mark.parametrize("name", JOINED)
def test_with_places_taken_twice_and_gradients_in_one_set(
    name: str, small: int, wide: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "SMALL", small)
    monkeypatch.setattr(lowering, "WIDE", wide)
    assert_trains_alike(build(*JOINED[name], loss="log_loss"), 37)


@pytest.mark.parametrize("wide", [0, 2**21])
@pytest.mark.parametrize("name", JOINED)
def test_the_same_bits_on_any_number_of_threads(name: str, wide: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lowering, "WIDE", wide)
    for n in (3, 40):
        found = set()
        for count in (1, 2, 3, 5):
            network = build(*JOINED[name], loss="squared_error", n_jobs=count)
            x, y = samples(network, n)
            loss, gradients = network.loss_and_gradients(x, y)
            arrays = (np.array(loss), network.forward(x), *gradients.values(), *network.state.values())
            found.add(b"".join(array.tobytes() for array in arrays))
        assert len(found) == 1


def test_a_small_spread_beside_a_large_mean_is_kept() -> None:
    # float32 has 7 digits: E[x²] − E[x]² of 1000 ± 0.01 would be all rounding.
    x = (1000 + 0.01 * RNG(0).normal(size=(64, 2, 5, 5))).astype(np.float32)
    for layer in (BatchNorm2d(1e-12), BatchNorm(1e-12)):
        network = Network([layer, Flatten(), Linear(3)], (2, 5, 5), engine="native")
        network.loss_and_gradients(x, np.zeros(64, int))
        axes = (0, 2, 3) if isinstance(layer, BatchNorm2d) else 0
        exact = np.float64(x).var(axis=axes, ddof=1)
        np.testing.assert_allclose(network.state["0.running_var"], 0.9 + 0.1 * exact, rtol=1e-6)
        np.testing.assert_allclose(network.state["0.running_mean"], 0.1 * np.float64(x).mean(axis=axes), rtol=1e-6)


@pytest.mark.parametrize(
    ("layers", "shape"), [([BatchNorm()], (4,)), ([Conv2d(2, 3), BatchNorm2d(), Flatten()], (1, 3, 3))]
)
def test_one_value_for_a_statistic_has_no_variance(layers: list[Layer], shape: tuple[int, ...]) -> None:
    network = Network(layers, shape, engine="native", loss="squared_error")
    x = RNG(0).normal(size=(3, *shape)).astype(np.float32)
    y = RNG(1).normal(size=(3, *network.output_shape))
    with pytest.raises(DataError, match="a batch of one sample gives batch norm a single value"):
        network.loss_and_gradients(x[:1], y[:1])
    with pytest.raises(DataError, match="batches of two samples or more"):
        network.fit(x, y, batch_size=1, epochs=1, verbose=0)
    assert network.predict(x[:1]).shape == (1, *network.output_shape)


def test_training_moves_running_statistics_as_the_reference_engine_does() -> None:
    layers, shape = JOINED["batch norm of pixels"]
    x = RNG(0).normal(size=(50, *shape)).astype(np.float32)
    y = RNG(1).integers(0, 3, 50)
    found = []
    for engine in ("native", "reference"):
        network = Network(layers, shape, engine=engine, seed=3)
        network.fit(x, y, epochs=3, batch_size=16, optimizer="momentum", learning_rate=0.05, verbose=0)
        found.append(network)
    native, reference = found
    assert native.state["0.num_batches"] == reference.state["0.num_batches"] == 12
    for name, value in native.state.items():
        np.testing.assert_allclose(value, reference.state[name], rtol=1e-3, atol=1e-4, err_msg=name)
    np.testing.assert_allclose(native.predict(x), reference.predict(x), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize("samples_at_once", [3, 33])
def test_a_batch_norm_that_goes_into_a_convolution_gives_the_same_bits(
    samples_at_once: int, isa: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_isa(monkeypatch, isa)
    name = "batch norm before convolutions"
    under_way = build(*JOINED[name])
    monkeypatch.setattr(lowering, "normalize_under_way", lambda slots, steps: None)
    kept = build(*JOINED[name])
    assert under_way._native.program.training.size < kept._native.program.training.size
    x, y = samples(kept, samples_at_once)
    loss, gradients = under_way.loss_and_gradients(x, y)
    other_loss, others = kept.loss_and_gradients(x, y)
    assert loss == other_loss
    for parameter, gradient in gradients.items():
        assert gradient.tobytes() == others[parameter].tobytes(), parameter
    assert under_way.forward(x).tobytes() == kept.forward(x).tobytes()
