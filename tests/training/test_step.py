"""Steps on data sets of every kind, and steps that go wrong."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import awkward

from pellucid import Network
from pellucid.errors import DataError, NonFiniteError
from pellucid.layers import Conv2d, Flatten, Linear, ReLU
from pellucid.losses import CrossEntropy
from pellucid.optimizers import SGD, Adam, Optimizer
from pellucid.regularizers import L2
from pellucid.training import Callback, History, fit
from pellucid.training.nonfinite import Fault
from pellucid.training.samples import Samples
from pellucid.training.snapshot import LastGood
from pellucid.training.step import NativeStep, NumpyStep, choose_step

pytest.importorskip("pellucid._native", reason="installed without a C++ compiler")


def make(**settings: Any) -> Network:
    layers = [Conv2d(3, 3), ReLU(), Flatten(), Linear(4)]
    return Network(layers, (2, 5, 6), **{"engine": "native", "input_mean": [0.3, 0.5], **settings})


def pixels(n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (n, 2, 5, 6), np.uint8), rng.integers(0, 4, n)


def train(network: Network, x: Any, y: Any, **settings: Any) -> History:
    return fit(network, x, y, **{"epochs": 2, "batch_size": 12, "optimizer": "momentum", "verbose": 0, **settings})


def weights_after(x: Any, y: Any, **settings: Any) -> np.ndarray:
    network = make()
    train(network, x, y, **settings)
    return network.flat_parameters


# Data sets.


def test_images_are_taken_however_they_lie(tmp_path: Path) -> None:
    x, y = pixels()
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    spread = x.repeat(2, axis=3)[..., ::2]
    spread.flags.writeable = False
    for images in (spread, mapped, np.asfortranarray(x), mapped[::-1][::-1]):
        np.testing.assert_array_equal(weights_after(images, y), weights_after(x, y))


def test_numbers_are_taken_whatever_their_type(tmp_path: Path) -> None:
    x, y = pixels()
    expected = weights_after(x.astype(np.float32), y)
    np.save(tmp_path / "x.npy", x.astype(np.float64))
    for images in (
        x.astype(np.float64),
        x.astype(np.float16),
        x.astype(np.int64),
        x.astype(">f4"),
        awkward(x.astype(np.float32)),
        np.load(tmp_path / "x.npy", mmap_mode="r"),
        x.tolist(),
    ):
        np.testing.assert_array_equal(weights_after(images, y), expected)


def test_labels_and_weights_are_taken_however_they_lie() -> None:
    x, y = pixels()
    weight = np.random.default_rng(1).uniform(0, 2, 40).astype(np.float32)
    expected = weights_after(x, np.eye(4)[y], sample_weight=weight.astype(np.float64))
    np.testing.assert_array_equal(
        weights_after(x, awkward(np.asfortranarray(np.eye(4)[y])), sample_weight=awkward(weight)), expected
    )
    assert (expected != weights_after(x, y)).any()


def test_bytes_that_lie_as_the_engine_reads_them_are_not_copied() -> None:
    x, y = pixels()
    network = make()
    images, target = network.check_samples(x, y)
    step = choose_step(network, Samples(images, target, None, np.ones(40)), SGD(0.1), np.empty((1, 4), np.float32))
    rows = np.zeros(1, np.int64)
    first, _ = step(rows, 0, 0.0)
    x[0] = 255 - x[0]
    second, _ = step(rows, 0, 0.0)
    assert first == pytest.approx(network.evaluate(255 - x[:1], y[:1])["loss"], rel=1e-6)
    assert second == pytest.approx(network.evaluate(x[:1], y[:1])["loss"], rel=1e-6)


def test_row_numbers_whose_pixels_lie_beyond_four_gigabytes(tmp_path: Path) -> None:
    side, count = 1024, 4200
    try:
        x = np.memmap(tmp_path / "x", np.uint8, "w+", shape=(count, 1, side, side))  # sparse: it takes no room
    except OSError as error:
        pytest.skip(f"no sparse file of {count * side**2} bytes here: {error}")
    near, far = np.arange(2), np.arange(count - 2, count)
    x[far, 0, :8, :8] = np.random.default_rng(2).integers(1, 256, (2, 8, 8))
    x[near] = x[far]

    def learn(rows: np.ndarray) -> np.ndarray:
        network = Network([Conv2d(2, 8, stride=8), Flatten(), Linear(2)], (1, side, side), engine="native")
        weight = np.zeros(count)
        weight[rows] = 1
        y = np.arange(count) % 2
        fit(network, x, y, epochs=1, batch_size=2, shuffle=False, sample_weight=weight, verbose=0)
        assert network.step == 1
        return network.flat_parameters

    np.testing.assert_array_equal(learn(far), learn(near))


def test_numbers_too_large_are_told_with_their_sample() -> None:
    x, y = pixels()
    x = x.astype(np.float64)
    x[17, 1, 2, 3] = 1e39
    network = make()
    with pytest.raises(DataError, match="sample 17 holds numbers too large for float32; scale the data"):
        train(network, x, y)
    assert network.step == 0


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_weights_of_samples_and_classes_count_as_in_float64(reduction: Any) -> None:
    x, y = pixels()
    weight = np.random.default_rng(1).uniform(0, 2, 40)
    weight[[3, 8]] = 0
    loss = CrossEntropy(reduction, class_weight={1: 2.5, 3: 0.25})
    native = make(loss=loss)
    exact = make(loss=loss, engine="reference", dtype="float64")
    rows = []
    for network in (native, exact):
        history = train(network, x, y, sample_weight=weight, learning_rate=1e-3)
        rows.append([*history["loss"], *history["accuracy"]])
    np.testing.assert_allclose(native.flat_parameters, exact.flat_parameters, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(rows[0], rows[1], rtol=1e-5)


def test_figures_do_not_depend_on_who_reads_them() -> None:
    class Reader(Callback):
        def on_batch_end(self, batch: int, logs: Any) -> None:
            if batch % 2:
                self.last = dict(logs)

    x, y = pixels()
    plain, read = make(), make()
    reader = Reader()
    histories = [train(plain, x, y), train(read, x, y, callbacks=[reader])]
    assert histories[0]["loss"] == histories[1]["loss"]
    assert histories[0]["accuracy"] == histories[1]["accuracy"]
    np.testing.assert_array_equal(plain.flat_parameters, read.flat_parameters)
    assert reader.last == {"loss": histories[1]["loss"][-1], "accuracy": histories[1]["accuracy"][-1]}


# What is not finite.

OPTIMIZER = Adam(0.01, clip_value=0.5, clip_norm=1.0, max_norm=3.0)


def step_of(network: Network, x: np.ndarray, y: np.ndarray, optimizer: Optimizer = OPTIMIZER) -> Any:
    images, target = network.check_samples(x, y)
    outputs = np.empty((len(x), target.shape[1]), np.float32)
    return choose_step(network, Samples(images, target, None, np.ones(len(x))), optimizer, outputs)


def spoil_loss(network: Network, x: np.ndarray) -> None:
    network.parameters["1.bias"][2] = np.nan


def spoil_gradient(network: Network, x: np.ndarray) -> None:
    # δ = 1e11 and x = 1e30, shared by up to 40 samples, make a weight's gradient 1e39; the loss is about 1e22.
    network.parameters["0.weight"] = np.zeros((3, 3))
    network.parameters["1.weight"] = np.eye(4, 3)
    network.parameters["1.bias"] = np.full(4, 1e11)
    x[5, 1] = 1e30


@pytest.mark.parametrize(("spoil", "fault"), [(spoil_loss, Fault.LOSS), (spoil_gradient, Fault.GRADIENT)])
@pytest.mark.parametrize("threads", [1, 3])
def test_what_is_not_finite_changes_nothing(spoil: Any, fault: Fault, threads: int) -> None:
    network = Network([Linear(3), Linear(4)], (3,), loss="squared_error", engine="native", regularization=[L2(0.1)])
    network.n_jobs = threads
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    step = step_of(network, x, np.zeros((40, 4)))
    rows = np.arange(40)
    assert isinstance(step, NativeStep)
    assert step(rows, 0, 0.01)[1] is None
    spoil(network, x)
    params, state = network.flat_parameters.copy(), step._training.state.to_tensors()
    assert step(rows, 0, 0.01)[1] is fault
    np.testing.assert_array_equal(network.flat_parameters, params)
    for name, value in step._training.state.to_tensors().items():
        np.testing.assert_array_equal(value, state[name])
    assert state["step"] == 1


def failure(network: Network, x: np.ndarray, y: np.ndarray, **settings: Any) -> str:
    with pytest.raises(NonFiniteError) as caught:
        fit(network, x, y, **{"epochs": 1, "batch_size": 10, "shuffle": False, "verbose": 0, **settings})
    return str(caught.value)


def test_a_native_gradient_that_overflows_is_told_with_its_layer() -> None:
    network = Network([Linear(3), Linear(4)], (3,), loss="squared_error", engine="native")
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    spoil_gradient(network, x)
    before = network.flat_parameters.copy()
    for optimizer in (SGD(0.1), SGD(0.1, clip_value=1.0), SGD(0.1, clip_norm=1.0)):
        text = failure(network, x, np.zeros((40, 4)), optimizer=optimizer)
        assert text.startswith("epoch 1, batch 1: the gradient of '0.weight' is not finite. The first gradient to go ")
        assert "from the loss backwards, is that of layer '0', Linear(3). The network is back at" in text
        np.testing.assert_array_equal(network.flat_parameters, before)


def test_native_parameters_that_an_update_blows_up_are_not_kept() -> None:
    x, y = pixels()
    network = make()
    before = network.flat_parameters.copy()
    text = failure(network, x, y, optimizer=SGD(1e300, max_norm=2.0))
    assert text.startswith("epoch 1, batch 1: after the update, the parameter '0.weight' is not finite. The network is")
    np.testing.assert_array_equal(network.flat_parameters, before)


def test_after_a_native_loss_of_nan_the_last_weights_of_a_finite_loss_are_back() -> None:
    class Vandal(Callback):
        def on_batch_end(self, batch: int, logs: Any) -> None:
            if batch == 1:
                self.network.parameters["3.bias"][0] = np.nan

    x, y = pixels()
    spoilt, clean = make(), make()
    text = failure(spoilt, x, y, callbacks=[Vandal()])
    assert text.startswith("epoch 1, batch 3: the loss is nan. The first output to go wrong is that of layer '3'")
    fit(clean, x[:10], y[:10], epochs=1, batch_size=10, shuffle=False, verbose=0)
    assert spoilt.step == clean.step == 1
    np.testing.assert_array_equal(spoilt.flat_parameters, clean.flat_parameters)


def test_ctrl_c_during_the_native_call_takes_the_step_back(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = pixels()
    network, clean = make(), make()
    confirm, calls = LastGood.confirm, []

    def pressed(keeper: LastGood) -> None:
        # Python hears of a Ctrl-C during the call as soon as it is over, before anything else.
        calls.append(network.flat_parameters.copy())
        if len(calls) == 3:
            signal.raise_signal(signal.SIGINT)
        confirm(keeper)

    monkeypatch.setattr(LastGood, "confirm", pressed)
    with pytest.warns(UserWarning, match="training interrupted after 0 of 2 epochs"):
        train(network, x, y, shuffle=False)
    monkeypatch.undo()
    fit(clean, x[:24], y[:24], epochs=1, batch_size=12, shuffle=False, optimizer="momentum", verbose=0)
    assert network.step == clean.step == 2
    np.testing.assert_array_equal(network.flat_parameters, clean.flat_parameters)
    assert (calls[2] != network.flat_parameters).any()


def test_numpy_has_a_part_in_what_is_not_native() -> None:
    x, y = pixels()
    assert isinstance(step_of(make(), x, y), NativeStep)
    assert isinstance(step_of(make(engine="reference"), x, y), NumpyStep)
