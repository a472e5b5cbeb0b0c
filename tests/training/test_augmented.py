"""Trainings on augmented samples, on both engines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import awkward
from native_nets import SETS, set_isa

from pellucid import Network
from pellucid.arrays import Array, Tensors
from pellucid.augmentation import Augmentation
from pellucid.errors import NonFiniteError
from pellucid.layers import Conv2d, Flatten, Layer, Linear, ReLU
from pellucid.optimizers import SGD
from pellucid.training import Callback
from pellucid.training.samples import Samples
from pellucid.training.step import NativeStep, NumpyStep, Step, choose_step

pytest.importorskip("pellucid._native", reason="installed without a C++ compiler")

ALL = Augmentation(padding=3, flip=True, cutout=4)
SHAPE = (3, 7, 6)
ROWS = np.random.default_rng(9).permutation(70)


@dataclass(frozen=True)
class OwnSGD(SGD):
    """Not the native rule, so that the update is NumPy's."""

    def update(self, param: Array, grad: Array, slots: Tensors, learning_rate: float, step: int) -> None:
        param -= learning_rate * grad


def window(engine: str, mean: Any, dtype: str = "float32", n_jobs: int | None = None) -> Network:
    """Return a network whose output is what it takes in: a convolution of one pixel whose weights are the identity."""
    settings: dict[str, Any] = {"dtype": dtype, "engine": engine, "input_mean": mean, "n_jobs": n_jobs}
    network = Network([Conv2d(3, 1, bias=False), Flatten()], SHAPE, loss="log_loss", seed=2**40 + 3, **settings)
    network.parameters["0.weight"] = np.eye(3).reshape(3, 3, 1, 1)
    network.step = 2**32 + 5
    return network


def images(kind: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (70, *SHAPE), np.uint8) if kind == "bytes" else rng.normal(size=(70, *SHAPE))


def step_of(network: Network, x: np.ndarray, outputs: np.ndarray, augment: Augmentation, update: SGD) -> Step:
    x, target = network.check_samples(x, np.zeros((70, 126)))
    return choose_step(network, Samples(x, target, None, np.ones(70), augment), update, outputs)


def shown(network: Network, x: np.ndarray, size: int, augment: Augmentation = ALL, update: SGD | None = None) -> Any:
    """Return what the network saw of every row, in batches of one size, and the kind of step."""
    outputs = np.full((70, 126), np.nan, network.dtype)
    step = step_of(network, x, outputs, augment, update or SGD(0.0))
    for start in range(0, 70, size):
        _, fault = step(ROWS[start : start + size], start, 0.0)
        assert fault is None
    found = np.empty_like(outputs)
    found[ROWS] = outputs
    return found.reshape(70, *SHAPE), type(step)


MEANS = {"none": None, "channel": [0.1, 0.2, 0.7], "pixel": np.random.default_rng(3).normal(size=SHAPE)}


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize("kind", ["bytes", "floats"])
def test_both_engines_see_the_same_bits(kind: str, mean: str, isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_isa(monkeypatch, isa)
    x = images(kind)
    for augment in (ALL, Augmentation(padding=6 - 1), Augmentation(flip=True), Augmentation(cutout=3)):
        reference = window("reference", MEANS[mean])
        expected = augment.apply(reference.prepare(x), np.arange(70), reference.seed, reference.step)
        assert (expected != reference.prepare(x)).any()
        for network in (reference, window("native", MEANS[mean])):
            for update in (SGD(0.0), OwnSGD(0.0)):
                given, step = shown(network, x, 33, augment, update)
                np.testing.assert_array_equal(given, expected)
                assert step is (NativeStep if network is not reference and type(update) is SGD else NumpyStep)


@pytest.mark.parametrize("n_jobs", [1, 2, 3, 4])
def test_neither_threads_nor_batches_make_a_difference(n_jobs: int) -> None:
    x = images("bytes")
    expected, _ = shown(window("native", [0.1, 0.2, 0.7], n_jobs=1), x, 70)
    for size in (1, 15, 16, 17, 33, 70):
        given, _ = shown(window("native", [0.1, 0.2, 0.7], n_jobs=n_jobs), x, size)
        np.testing.assert_array_equal(given, expected)


def test_images_are_taken_however_they_lie(tmp_path: Path) -> None:
    x = images("bytes")
    np.save(tmp_path / "x.npy", x)
    expected, _ = shown(window("native", None), x, 70)
    spread = x.repeat(2, axis=3)[..., ::2]
    spread.flags.writeable = False
    for other in (spread, np.asfortranarray(x), np.load(tmp_path / "x.npy", mmap_mode="r")):
        np.testing.assert_array_equal(shown(window("native", None), other, 70)[0], expected)
    floats = images("floats")
    expected, _ = shown(window("native", None), floats.astype(np.float32), 70)
    for other in (floats, awkward(floats.astype(np.float32)), floats.astype(np.float32).astype(">f4")):
        np.testing.assert_array_equal(shown(window("native", None), other, 70)[0], expected)


def test_float64_sees_the_same_picture() -> None:
    x = images("bytes")
    exact, _ = shown(window("reference", None, "float64"), x, 33)
    assert exact.dtype == np.float64
    np.testing.assert_allclose(shown(window("native", None), x, 33)[0], exact, rtol=1e-6)


def learner(**settings: Any) -> Network:
    layers: list[Layer] = [Conv2d(4, 3), ReLU(), Flatten(), Linear(4)]
    return Network(layers, SHAPE, seed=2, input_mean="channel", **{"engine": "native", **settings})


def train(network: Network, **settings: Any) -> Any:
    x, y = images("bytes"), np.arange(70) % 4
    chosen = {"epochs": 3, "batch_size": 16, "learning_rate": 0.05, "augment": ALL, "verbose": 0, **settings}
    return network.fit(x, y, **chosen)


def test_trainings_on_both_engines_follow_each_other() -> None:
    native, reference, exact = learner(), learner(engine="reference"), learner(engine="reference", dtype="float64")
    for network in (native, reference, exact):
        train(network)
    np.testing.assert_allclose(native.flat_parameters, exact.flat_parameters, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(reference.flat_parameters, exact.flat_parameters, rtol=1e-4, atol=1e-5)
    plain = learner()
    train(plain, augment=None)
    assert abs(plain.flat_parameters - native.flat_parameters).max() > 1e-3


def test_the_same_weights_for_any_number_of_threads() -> None:
    one = learner(n_jobs=1)
    train(one)
    for n_jobs in (2, 3):
        many = learner(n_jobs=n_jobs)
        train(many)
        np.testing.assert_array_equal(many.flat_parameters, one.flat_parameters)


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_a_network_read_back_goes_on_as_if_nothing_had_happened(engine: str, tmp_path: Path) -> None:
    whole, broken = learner(engine=engine), learner(engine=engine)
    train(whole)
    train(broken, epochs=1)
    broken.save(tmp_path / "half.safetensors")
    resumed = Network.load(tmp_path / "half.safetensors", engine=engine)
    train(resumed, epochs=2)
    np.testing.assert_array_equal(resumed.flat_parameters, whole.flat_parameters)


def test_nothing_changes_what_is_validated_or_predicted() -> None:
    x, y = images("bytes"), np.arange(70) % 4
    plain, network = learner(), learner()
    history = train(network, learning_rate=0.0, epochs=1, validation_data=(x, y))
    without = train(plain, learning_rate=0.0, epochs=1, validation_data=(x, y), augment=None)
    assert history["val_loss"] == without["val_loss"] == [plain.evaluate(x, y)["loss"]]
    assert history["loss"] != without["loss"]
    np.testing.assert_array_equal(network.predict(x), plain.predict(x))


def test_rows_are_counted_in_the_whole_data_set() -> None:
    # Weight 0 and a split leave rows out; those that stay keep their numbers.
    x, weight = images("bytes"), np.ones(70)
    weight[:35] = 0
    taken: list[np.ndarray] = []

    class Keep(Callback):
        def on_batch_end(self, batch: int, logs: Any) -> None:
            taken.append(self.network.flat_parameters.copy())

    network, same = learner(), learner()
    train(network, sample_weight=weight, shuffle=False, epochs=1, batch_size=35, callbacks=[Keep()])
    same.centre_on(x[35:])
    start = ALL.apply(same.prepare(x[35:]), np.arange(35, 70), same.seed, 0)
    _, gradient, _ = same.batch_gradient(start, same.check_samples(x[35:], np.arange(35, 70) % 4)[1], prepared=True)
    np.testing.assert_allclose(taken[0], same.flat_parameters - 0.05 * gradient, rtol=1e-5, atol=1e-7)


@dataclass(frozen=True)
class Darker(Augmentation):
    """An augmentation of one's own."""

    def apply(self, x: Array, rows: Array, seed: int, step: int) -> Array:
        return x / 2


def test_an_augmentation_of_ones_own_is_asked_itself() -> None:
    x = images("bytes")
    given, step = shown(window("native", None), x, 33, Darker())
    np.testing.assert_array_equal(given, (x / np.float32(255)) / 2)
    assert step is NumpyStep


@dataclass(frozen=True)
class OneOver(Layer):
    """1/x: infinite where an image has been padded."""

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return input_shape

    def forward(self, params: Tensors, x: Array, **_: Any) -> tuple[Array, Any]:
        return 1 / x, x

    def backward(self, params: Tensors, saved: Any, dy: Array) -> tuple[Array, Tensors]:
        return -dy / saved**2, {}


def test_what_went_wrong_is_looked_for_in_the_augmented_batch() -> None:
    network = Network([OneOver(), Flatten(), Linear(4)], SHAPE, engine="reference")
    x, y = np.ones((20, *SHAPE)), np.arange(20) % 4
    network.fit(x, y, epochs=1, verbose=0)
    with pytest.raises(NonFiniteError, match="The first output to go wrong is that of layer '0', OneOver\\(\\)"):
        network.fit(x, y, epochs=1, augment=Augmentation(padding=2), verbose=0)
