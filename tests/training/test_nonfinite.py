from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from pellucid import Network
from pellucid.errors import DataError, NonFiniteError
from pellucid.layers import BatchNorm, Layer, Linear, ReLU, Residual, Sequential
from pellucid.optimizers import SGD
from pellucid.regularizers import L2
from pellucid.training import EarlyStopping, fit

#: a feature that spoils the sample's batch, and what is left of it at least behind a linear layer
POISON, TRACE = 1e6, 1e3


@dataclass(frozen=True)
class Poisoned(Layer):
    """Pass everything on, but turn to NaN, forward or backward, when the batch holds POISON."""

    backwards: bool = False

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return input_shape

    def forward(self, params: Any, x: np.ndarray, **_: Any) -> tuple[np.ndarray, bool]:
        spoilt = bool((abs(x) > TRACE).any())
        return (x * np.nan if spoilt and not self.backwards else x), spoilt

    def backward(self, params: Any, saved: bool, dy: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        return (dy * np.nan if saved else dy), {}


def samples(count: int = 12, spoilt: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).normal(size=(count, 3))
    if spoilt is not None:
        x[spoilt, 0] = POISON
    return x, np.arange(count) % 2


def network(*layers: Layer, **settings: Any) -> Network:
    return Network([*layers, Linear(4), BatchNorm(), ReLU(), Linear(2)], (3,), engine="reference", **settings)


def train(network: Network, x: np.ndarray, y: np.ndarray, **settings: Any) -> None:
    given = {"epochs": 3, "batch_size": 3, "shuffle": False, "optimizer": "momentum", "verbose": 0, **settings}
    fit(network, x, y, **given)


def failure(network: Network, x: np.ndarray, y: np.ndarray, **settings: Any) -> str:
    with pytest.raises(NonFiniteError) as caught:
        train(network, x, y, **settings)
    return str(caught.value)


def assert_same(network: Network, other: Network) -> None:
    assert network.step == other.step
    for name, value in network.tensors().items():
        np.testing.assert_array_equal(value, other.tensors()[name])


def test_a_nan_on_the_way_forward_names_the_layer_and_goes_back_to_the_last_finite_loss():
    x, y = samples(spoilt=7)
    spoilt, clean = network(Poisoned(name="bad")), network(Poisoned(name="bad"))
    text = failure(spoilt, x, y, learning_rate=0.05)
    assert text == (
        "epoch 1, batch 3: the loss is nan. The first output to go wrong is that of layer 'bad', "
        "Poisoned(name='bad'). The network is back at its last good weights, those of step 1. Lower the learning rate "
        "(it was 0.05), or bound the gradients with the optimizer's clip_norm, e.g. clip_norm=1.0"
    )
    # The loss of batch 2 was the last finite one; the weights it was taken with are those after batch 1.
    train(clean, x[:3], y[:3], epochs=1, learning_rate=0.05)
    assert_same(spoilt, clean)


def test_a_nan_in_the_gradients_keeps_the_weights_whose_loss_was_finite():
    x, y = samples(spoilt=7)
    spoilt, clean = (network(Linear(3), Poisoned(True), Sequential([Linear(3)], name="top")) for _ in range(2))
    text = failure(spoilt, x, y)
    assert text.startswith("epoch 1, batch 3: the gradient of '0.weight' is not finite. ")
    assert "from the loss backwards, is that of layer '1', Poisoned(backwards=True)." in text
    train(clean, x[:6], y[:6], epochs=1)
    assert_same(spoilt, clean)
    assert spoilt.step == 2


def test_in_a_branch_the_layer_that_spoils_the_gradient_is_named():
    # Both read the same value, so its δ is not finite for either; of the two, only the body is at fault.
    body, shortcut = Sequential([Poisoned(True, name="guilty")]), Linear(3, name="innocent")
    x, y = samples(spoilt=0)
    assert "is that of layer '1.guilty', " in failure(network(Linear(3), Residual(body, shortcut)), x, y)


def test_a_nan_in_a_later_epoch_is_told_with_its_epoch():
    x, y = samples()
    spoilt = network()
    with pytest.raises(NonFiniteError, match=r"epoch 2, batch 1: the loss is nan\."):
        train(spoilt, x, y, callbacks=[Vandal()])
    assert all(np.isfinite(value).all() for value in spoilt.tensors().values())
    assert spoilt.step == 3


class Vandal(EarlyStopping):
    """Write a NaN into the weights after the first epoch."""

    def __init__(self) -> None:
        super().__init__("loss", restore_best_weights=False)

    def on_epoch_end(self, epoch: int, logs: Any) -> None:
        self.network.parameters["0.weight"][0, 0] = np.nan


def test_a_huge_learning_rate_leaves_usable_weights():
    x, y = samples()
    spoilt = Network([Linear(50), ReLU(), Linear(2)], input_shape=(3,))
    text = failure(spoilt, x, y, optimizer="sgd", learning_rate=1e25)
    assert text.startswith("epoch 1, batch 2: the loss is nan. The first output to go wrong is that of layer '2'")
    assert "(it was 1e+25)" in text
    assert_same(spoilt, Network([Linear(50), ReLU(), Linear(2)], input_shape=(3,)))


def test_weights_that_an_update_blows_up_are_not_kept():
    x, y = samples()
    spoilt, clean = network(), network()
    text = failure(spoilt, x, y, optimizer=SGD(1e300))
    assert text.startswith("epoch 1, batch 1: after the update, the parameter '0.weight' is not finite. The network is")
    assert_same(spoilt, clean)


def test_running_statistics_that_overflow_are_told_though_the_loss_is_finite():
    x, y = samples()
    spoilt, clean = (Network([BatchNorm(), Linear(2)], input_shape=(3,), engine="reference") for _ in range(2))
    text = failure(spoilt, np.where(np.arange(12)[:, None] >= 6, x * 1e25, x), y)
    assert text.startswith("epoch 1, batch 3: the running statistic '0.running_var' is not finite. ")
    assert "The first to go wrong are the running statistics of layer '0', BatchNorm()." in text
    train(clean, x[:6], y[:6], epochs=1)
    assert_same(spoilt, clean)


def test_inputs_too_large_for_the_dtype_are_a_fault_of_the_data():
    x, y = samples()
    spoilt = network()
    with pytest.raises(DataError, match="holds numbers too large for float32; scale the data"):
        train(spoilt, x * 1e300, y)
    assert spoilt.step == 0


def test_a_loss_that_overflows_by_itself_is_told():
    x, y = samples()
    # The native engine sums the loss in double precision, which this does not overflow.
    layer = Linear(2, weight_init="zeros")
    spoilt = Network([layer], input_shape=(3,), loss="squared_error", engine="reference")
    spoilt.parameters["0.bias"] = np.full(2, 2e19)
    text = failure(spoilt, x, y)
    assert "Every layer's output is finite (the last reaches 2e+19), SquaredError() is not." in text


def test_penalties_are_suspected_when_no_layer_is_at_fault():
    x, y = samples()
    spoilt = Network([Linear(2)], input_shape=(3,), regularization=[L2(1e40)])
    text = failure(spoilt, x, y)
    assert "When the batch was run again every layer stayed finite: look at the penalties" in text


def test_a_validation_loss_that_overflows_is_told():
    x, y = samples()
    spoilt = Network([Linear(1)], input_shape=(3,), loss="squared_error")
    text = failure(spoilt, x, y, validation_data=(x * 1e25, y), learning_rate=0.01)
    assert text.startswith("epoch 1: the validation loss is inf. The network is back at its last good weights, those")
    assert spoilt.step == 3


def test_early_stopping_then_puts_the_best_weights_back():
    x, y = samples()
    spoilt, clean = network(), network()
    with pytest.raises(NonFiniteError):
        train(spoilt, x, y, epochs=2, callbacks=[EarlyStopping("loss"), Vandal()])
    train(clean, x, y, epochs=1)
    for name, value in clean.tensors().items():
        np.testing.assert_array_equal(spoilt.tensors()[name], value)
