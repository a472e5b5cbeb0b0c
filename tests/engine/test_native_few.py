"""A few samples, one by one, with their channels in the lanes: what a block of 16 computes, bit for bit."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from native_nets import NETS, RNG, SETS, build, samples, set_isa

from pellucid.engine import reference
from pellucid.layers import Conv2d, Flatten, Linear, MaxPool2d, ReLU

pytest.importorskip("pellucid._native", reason="installed without a C++ compiler")

WIDE = [
    Conv2d(40, 3, 2, 1, 2),
    ReLU(),
    MaxPool2d(2),
    Conv2d(17, (2, 3), padding="same", flip=True),
    Flatten(),
    Linear(33),
]
CASES = {**NETS, "wide": (WIDE, (5, 19, 17))}


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize("name", CASES)
def test_every_layer_has_the_bits_of_a_block(name: str, isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_isa(monkeypatch, isa)
    monkeypatch.setenv("PELLUCID_WINOGRAD", "0")
    network = build(*CASES[name])
    x, _ = samples(network, 16)
    one_by_one = np.concatenate([network.forward(x[i : i + 1]) for i in range(16)])
    assert one_by_one.tobytes() == network.forward(x).tobytes()


def test_parameters_changed_in_place_are_seen() -> None:
    network = build(WIDE, (5, 19, 17))
    x, _ = samples(network, 1)
    for change in range(3):
        exact = network.copy(dtype="float64")
        want = reference.infer(exact.graph, exact.parameters, {}, exact.prepare(x))
        np.testing.assert_allclose(network.forward(x), want, rtol=1e-4, atol=1e-5)
        if change == 0:
            network.flat_parameters[...] *= np.float32(1.25)
        else:
            network.parameters["0.weight"] = RNG(9).normal(size=(40, 5, 3, 3))


@pytest.mark.parametrize("loss", ["cross_entropy", "log_loss", "squared_error"])
@pytest.mark.parametrize("n", [1, 20])
def test_predictions_have_gone_through_the_activation(loss: str, n: int) -> None:
    network = build([Linear(19)], (7,), loss=loss)
    x, _ = samples(network, n, seed=4)
    a = network.forward(x).astype(np.float64)
    e = np.exp(a - a.max(axis=1, keepdims=True))
    want = {"cross_entropy": e / e.sum(axis=1, keepdims=True), "log_loss": 1 / (1 + np.exp(-a)), "squared_error": a}
    np.testing.assert_allclose(network.predict(x), want[loss], rtol=2e-6)


def test_one_sample_goes_the_direct_way_where_a_block_goes_winograds(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = [Conv2d(6, 5), ReLU(), Conv2d(12, 5), Flatten()]
    network = build(layers, (1, 20, 21))
    x, _ = samples(network, 16)
    monkeypatch.setenv("PELLUCID_WINOGRAD", "0")
    direct = build(layers, (1, 20, 21)).forward(x)
    assert network.forward(x[:1]).tobytes() == direct[:1].tobytes()
    assert network.forward(x).tobytes() != direct.tobytes()


@pytest.mark.parametrize("n_jobs", [1, 2, 4])
def test_several_python_threads_at_once(n_jobs: int) -> None:
    network = build(WIDE, (5, 19, 17), n_jobs=n_jobs)
    x, _ = samples(network, 3)
    want = network.forward(x).tobytes()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: network.forward(x).tobytes(), range(40)))
    assert set(found) == {want}
