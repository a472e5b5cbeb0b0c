from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from small_training import blobs, softmax_regression

from pellucid import Network
from pellucid.layers import BatchNorm2d, Conv2d, Dropout, Flatten, Layer, Linear, MaxPool2d, ReLU
from pellucid.losses import CrossEntropy
from pellucid.optimizers import SGD
from pellucid.regularizers import L2
from pellucid.schedules import Schedule
from pellucid.training import Callback, fit
from pellucid.training.batches import split


def cross_entropy_by_hand(weight: np.ndarray, bias: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return ℓ of every sample: one loop a sample, one a class."""
    losses = []
    for sample, label in zip(x, y, strict=True):
        a = [sum(weight[k] * sample) + bias[k] for k in range(len(bias))]
        losses.append(np.log(sum(np.exp(value) for value in a)) - a[label])
    return np.array(losses)


def sgd_by_hand(
    weight: np.ndarray, bias: np.ndarray, x: np.ndarray, y: np.ndarray, rate: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return weight and bias after one step of softmax regression."""
    dweight, dbias = np.zeros_like(weight), np.zeros_like(bias)
    for sample, label in zip(x, y, strict=True):
        e = np.exp(weight @ sample + bias)
        for k in range(len(bias)):
            delta = (e[k] / e.sum() - (k == label)) / len(x)
            dweight[k] += delta * sample
            dbias[k] += delta
    return weight - rate * dweight, bias - rate * dbias


def digits() -> tuple[np.ndarray, np.ndarray]:
    load_digits = pytest.importorskip("sklearn.datasets", reason="needs scikit-learn's digits").load_digits
    data = load_digits()
    return (data.images / 16).astype(np.float32), data.target


class Batches(Callback):
    """Keep what every hook was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, dict[str, float]]] = []

    def on_batch_end(self, batch: int, logs: Any) -> None:
        self.told.append(("batch", batch, dict(logs)))

    def on_epoch_end(self, epoch: int, logs: Any) -> None:
        self.told.append(("epoch", epoch, dict(logs)))


@dataclass(frozen=True)
class Recorder(Layer):
    """Pass everything on, and keep the first feature of every training batch: the sample's number."""

    seen: Any = None

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return input_shape

    def forward(self, params: Any, x: np.ndarray, *, training: bool = False, **_: Any) -> tuple[np.ndarray, None]:
        if training:
            self.seen.append(x[:, 0].astype(int).tolist())
        return x, None

    def backward(self, params: Any, saved: None, dy: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        return dy, {}


def batches_seen(fits: int = 1, *, seed: int = 0, samples: int = 10, **settings: Any) -> list[list[int]]:
    """Return the samples of every training batch, by number."""
    seen: list[list[int]] = []
    network = Network([Recorder(seen), Linear(2)], input_shape=(1,), seed=seed, engine="reference")
    for _ in range(fits):
        fit(network, np.arange(samples)[:, None], np.arange(samples) % 2, learning_rate=1e-3, verbose=0, **settings)
    return seen


def test_three_sgd_steps_equal_softmax_regression_by_hand():
    x, y = blobs(10)
    network = softmax_regression()
    weight, bias = network.parameters["0.weight"].copy(), network.parameters["0.bias"].copy()
    order = np.random.default_rng([0, 0]).permutation(10)
    history = fit(network, x, y, epochs=1, batch_size=4, optimizer="sgd", learning_rate=0.3, verbose=0)
    losses = []
    for rows in (order[:4], order[4:8], order[8:]):
        losses.extend(cross_entropy_by_hand(weight, bias, x[rows], y[rows]))
        weight, bias = sgd_by_hand(weight, bias, x[rows], y[rows], 0.3)
    np.testing.assert_allclose(network.parameters["0.weight"], weight, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(network.parameters["0.bias"], bias, rtol=1e-12, atol=1e-15)
    assert network.step == 3
    # The mean over batches, each counting as its samples, is the mean over samples: here 4, 4 and 2 of them.
    assert history["loss"] == pytest.approx([np.mean(losses)], rel=1e-12)


def test_real_digits_are_learnt_in_seconds():
    images, labels = digits()
    network = Network(
        [Conv2d(8, 3), ReLU(), MaxPool2d(2), Flatten(), Linear(10)], input_shape=(1, 8, 8), input_mean="pixel"
    )
    history = network.fit(
        images, labels, epochs=12, batch_size=32, optimizer="adam", learning_rate=0.01, validation_split=0.25, verbose=0
    )
    assert history["val_accuracy"][-1] > 0.96
    assert history["accuracy"][-1] > 0.98
    assert history["loss"][-1] < 0.1 < history["loss"][0]
    assert history.stopped is None
    assert [row["epoch"] for row in history.rows] == list(range(1, 13))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_training_figures_are_weighted_means_over_uneven_batches(reduction: Any):
    x, y = blobs(11)
    weight = np.linspace(0.5, 3, 11)
    loss = CrossEntropy(reduction=reduction, class_weight={1: 2.5})
    network = softmax_regression(loss=loss)
    listener = Batches()
    # With a learning rate of 0 the weights stay, so every batch can be worked out from the start.
    history = fit(
        network, x, y, epochs=1, batch_size=4, learning_rate=0.0, shuffle=False, sample_weight=weight,
        callbacks=[listener], verbose=0,
    )  # fmt: skip
    losses = cross_entropy_by_hand(network.parameters["0.weight"], network.parameters["0.bias"], x, y)
    hits = (x @ network.parameters["0.weight"].T).argmax(axis=1) == y
    w = weight * np.where(y == 1, 2.5, 1)
    for batch, end in enumerate((4, 8, 11)):
        _, number, logs = listener.told[batch]
        assert number == batch
        total = np.sum((w * losses)[:end])
        assert logs["loss"] == pytest.approx(total / w[:end].sum() if reduction == "mean" else total, rel=1e-12)
        assert logs["accuracy"] == pytest.approx(np.sum((w * hits)[:end]) / w[:end].sum(), rel=1e-12)
    assert history["loss"][0] == listener.told[2][2]["loss"]


def test_penalties_count_in_the_training_loss_but_not_in_validation():
    x, y = blobs(8)
    network = softmax_regression(regularization=[L2(0.5)])
    history = fit(network, x, y, epochs=1, learning_rate=0.0, validation_data=(x, y), verbose=0)
    weight, bias = network.parameters["0.weight"], network.parameters["0.bias"]
    mean = cross_entropy_by_hand(weight, bias, x, y).mean()
    assert history["val_loss"] == pytest.approx([mean], rel=1e-12)
    assert history["loss"] == pytest.approx([mean + 0.25 * sum(w * w for w in weight.flat)], rel=1e-12)


def test_values_are_reported_as_mean_absolute_error():
    x, y = blobs(6)
    network = Network([Linear(1, bias=False)], input_shape=(4,), loss="squared_error", dtype="float64")
    history = fit(network, x, y * 1.0, epochs=1, batch_size=4, learning_rate=0.0, validation_data=(x, y), verbose=0)
    gaps = [abs(sum(network.parameters["0.weight"][0] * sample) - value) for sample, value in zip(x, y, strict=True)]
    assert history["mae"] == pytest.approx([np.mean(gaps)])
    assert history["val_mae"] == pytest.approx([np.mean(gaps)])


def test_every_epoch_sees_every_sample_once_in_a_new_order():
    epochs = 3
    seen = batches_seen(epochs=epochs, batch_size=4)
    assert [len(batch) for batch in seen] == [4, 4, 2] * epochs
    orders = [[row for batch in seen[3 * e : 3 * e + 3] for row in batch] for e in range(epochs)]
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert orders == [np.random.default_rng([0, step]).permutation(10).tolist() for step in (0, 3, 6)]
    assert len({tuple(order) for order in orders}) == epochs


def test_the_seed_fixes_the_order_and_another_call_goes_on_with_new_ones():
    assert batches_seen(seed=1) == batches_seen(seed=1)
    assert batches_seen(seed=1) != batches_seen(seed=2)
    assert batches_seen(fits=2, epochs=2, batch_size=3) == batches_seen(epochs=4, batch_size=3)


def test_without_shuffling_samples_come_as_they_are():
    assert batches_seen(epochs=2, batch_size=6, shuffle=False) == 2 * [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9]]


def test_validation_split_holds_out_a_stratified_share():
    seen = batches_seen(samples=20, epochs=1, batch_size=20, validation_split=0.3)
    held = set(range(20)) - set(seen[0])
    assert len(seen[0]) == 14
    assert sorted(number % 2 for number in held) == [0, 0, 0, 1, 1, 1]


def test_validation_figures_are_those_of_the_weights_the_epoch_ends_with():
    x, y = blobs(20)
    held_x, held_y = blobs(7, seed=1)
    weight = np.array([1, 0, 2, 1, 1, 0.5, 3])
    network = softmax_regression()
    history = fit(network, x, y, epochs=2, validation_data=(held_x, held_y, weight), verbose=0)
    losses = cross_entropy_by_hand(network.parameters["0.weight"], network.parameters["0.bias"], held_x, held_y)
    assert history["val_loss"][-1] == pytest.approx(weight @ losses / weight.sum(), rel=1e-12)
    assert history["val_loss"][0] > history["val_loss"][1]


def test_weights_of_the_held_out_samples_count_in_validation():
    x, y = blobs(12)
    weight = np.arange(1.0, 13.0)
    seen: list[list[int]] = []
    x[:, 0] = np.arange(12)
    network = Network([Recorder(seen), Linear(3)], input_shape=(4,), dtype="float64")
    history = fit(
        network, x, y, epochs=1, learning_rate=0.0, validation_split=0.5, sample_weight=weight, verbose=0
    )  # fmt: skip
    held = [row for row in range(12) if row not in seen[0]]
    losses = cross_entropy_by_hand(network.parameters["1.weight"], network.parameters["1.bias"], x[held], y[held])
    assert history["val_loss"] == pytest.approx([weight[held] @ losses / weight[held].sum()], rel=1e-12)


def test_sample_weights_equal_repeated_samples():
    x, y = blobs(6)
    counts = np.array([1, 3, 0, 2, 1, 4])
    weighted, repeated = softmax_regression(), softmax_regression()
    fit(weighted, x, y, epochs=3, shuffle=False, sample_weight=counts, verbose=0)
    fit(repeated, x.repeat(counts, axis=0), y.repeat(counts), epochs=3, shuffle=False, verbose=0)
    np.testing.assert_allclose(weighted.parameters["0.weight"], repeated.parameters["0.weight"], rtol=1e-12)
    assert not np.allclose(weighted.parameters["0.weight"], softmax_regression().parameters["0.weight"])


def test_samples_of_weight_zero_are_left_out():
    weight = np.repeat([0, 1], 5)
    seen = batches_seen(epochs=1, batch_size=2, shuffle=False, sample_weight=weight)
    assert seen == [[5, 6], [7, 8, 9]]


def test_the_input_mean_is_taken_from_the_training_share():
    x = np.random.default_rng(0).integers(0, 255, (40, 1, 2, 2), dtype=np.uint8)
    y = np.arange(40) % 2
    network = Network([Flatten(), Linear(2)], input_shape=(1, 2, 2), input_mean="pixel", dtype="float64")
    fit(network, x, y, epochs=1, validation_split=0.25, verbose=0)
    rows, _ = split(np.eye(2)[y], 0.25, 0)
    assert network.input_mean is not None
    np.testing.assert_allclose(network.input_mean, sum(x[row] / 255 for row in rows) / 30, rtol=1e-12)


def trained(callbacks: Any = (), **settings: Any) -> Network:
    x, y = np.random.default_rng(0).normal(size=(50, 1, 6, 6)), np.arange(50) % 3
    network = Network(
        [Conv2d(4, 3), BatchNorm2d(), ReLU(), Flatten(), Dropout(0.3), Linear(3)], (1, 6, 6), seed=7, engine="reference"
    )
    fit(network, x, y, epochs=2, batch_size=16, optimizer="adam", callbacks=callbacks, **settings)
    return network


def test_the_same_call_gives_the_same_bits_whatever_listens_or_is_shown():
    networks = [trained(verbose=0), trained(verbose=1), trained([Batches()], verbose=1)]
    for other in networks[1:]:
        for name, value in networks[0].tensors().items():
            np.testing.assert_array_equal(other.tensors()[name], value)
    assert networks[0].step == 8


@dataclass(frozen=True)
class Clock(Schedule):
    """A rate of 1 that notes when it is asked."""

    asked: Any = None

    def __call__(self, epoch: float, epochs: float) -> float:
        self.asked.append((epoch, epochs))
        return 1.0 / (1 + epoch)


def test_the_schedule_is_asked_before_every_batch():
    x, y = blobs(11)
    asked: list[tuple[float, float]] = []
    history = fit(softmax_regression(), x, y, epochs=2, batch_size=3, learning_rate=Clock(asked), verbose=0)
    assert asked == [(e + b / 4, 2) for e in (0, 1) for b in range(4)]
    assert history["learning_rate"] == [1 / 1.75, 1 / 2.75]


def test_max_norm_bounds_weights_but_not_biases():
    x, y = blobs(30)
    network = softmax_regression()
    network.parameters["0.bias"] = np.full(3, 9.0)
    fit(network, x, y, epochs=1, optimizer=SGD(0.5, max_norm=0.1), verbose=0)
    assert [sum(w * w for w in row) ** 0.5 for row in network.parameters["0.weight"]] == pytest.approx([0.1] * 3)
    assert abs(network.parameters["0.bias"] - 9).max() < 1


def test_what_a_callback_raises_reaches_the_caller():
    class Failing(Callback):
        ended = False

        def on_batch_end(self, batch: int, logs: Any) -> None:
            if batch == 1:
                raise RuntimeError("disk full")

        def on_train_end(self, logs: Any) -> None:
            self.ended = True

    x, y = blobs(10)
    network, callback = softmax_regression(), Failing()
    with pytest.raises(RuntimeError, match="disk full"):
        fit(network, x, y, batch_size=2, callbacks=[callback], verbose=0)
    assert callback.ended
    assert network.step == 2


def test_an_error_in_the_middle_of_an_update_leaves_no_half_step():
    @dataclass(frozen=True)
    class Broken(SGD):
        def update(self, param: np.ndarray, grad: np.ndarray, slots: Any, learning_rate: float, step: int) -> None:
            if step == 3 and param.ndim == 1:
                raise RuntimeError("half way")
            super().update(param, grad, slots, learning_rate, step)

    x, y = blobs(10)
    network, whole = softmax_regression(), softmax_regression()
    with pytest.raises(RuntimeError, match="half way"):
        fit(network, x, y, batch_size=2, shuffle=False, optimizer=Broken(), verbose=0)
    fit(whole, x[:4], y[:4], epochs=1, batch_size=2, shuffle=False, verbose=0)
    assert network.step == whole.step == 2
    for name in whole.parameters:
        np.testing.assert_array_equal(network.parameters[name], whole.parameters[name])
