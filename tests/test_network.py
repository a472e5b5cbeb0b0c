from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from harness import awkward
from written_out import LABELS, mean_cross_entropy, pixels, run, slopes, small, softmax

from pellucid import Input, Network
from pellucid.errors import ConfigError, DataError, ShapeError
from pellucid.layers import BatchNorm2d, Conv2d, Dropout, Flatten, Linear, MaxPool2d, ReLU
from pellucid.losses import CrossEntropy
from pellucid.regularizers import L1, L2

# Forward, predict, evaluate.


@pytest.mark.parametrize("batch_size", [1, 2, 256])
def test_forward_and_predict_match_the_network_written_out(batch_size: int) -> None:
    network, x = small(), pixels(5)
    expected = run(network, x)[-1]
    np.testing.assert_allclose(network.forward(x, batch_size=batch_size), expected, rtol=1e-12)
    np.testing.assert_allclose(network.predict(x, batch_size=batch_size), softmax(expected), rtol=1e-12)


def test_float32_stays_float32_and_close() -> None:
    network = small(dtype="float32")
    given = network.forward(pixels(5))
    assert given.dtype == np.float32
    np.testing.assert_allclose(given, run(network, pixels(5))[-1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("loss", "activation"),
    [("cross_entropy", softmax), ("log_loss", lambda a: 1 / (1 + np.exp(-a))), ("squared_error", lambda a: a)],
)
def test_predict_goes_through_the_activation_of_the_loss(loss: str, activation: Callable[..., np.ndarray]) -> None:
    network = small(loss=loss)
    np.testing.assert_allclose(network.predict(pixels()), activation(run(network, pixels())[-1]), rtol=1e-12)


def test_bytes_are_pixels_and_divided_by_255() -> None:
    network = small()
    raw = np.random.default_rng(5).integers(0, 256, (4, 1, 6, 6))
    scaled, unscaled = run(network, raw / 255)[-1], run(network, raw.astype(float))[-1]
    np.testing.assert_allclose(network.forward(raw.astype(np.uint8)), scaled, rtol=1e-12)
    for dtype in (np.int64, np.uint16, np.float32):
        np.testing.assert_allclose(network.forward(raw.astype(dtype)), unscaled, rtol=1e-12)


def test_one_channel_may_be_left_out() -> None:
    network, x = small(), pixels(4)
    np.testing.assert_allclose(network.forward(x[:, 0]), run(network, x)[-1], rtol=1e-12)
    np.testing.assert_allclose(network.forward(x[:, 0].tolist()), run(network, x)[-1], rtol=1e-12)


def test_strided_read_only_input_is_read_right_and_left_alone() -> None:
    network, x = small(), pixels(4)
    view = awkward(x)
    np.testing.assert_allclose(network.forward(view), run(network, x)[-1], rtol=1e-12)
    network.loss_and_gradients(view, [0, 1, 2, 0])
    np.testing.assert_array_equal(view, x)


def test_evaluate_is_mean_loss_and_accuracy() -> None:
    network, x = small(), pixels(7, seed=2)
    labels = [0, 1, 2, 0, 1, 2, 0]
    a = run(network, x)[-1]
    result = network.evaluate(x, labels, batch_size=3)
    assert result.keys() == {"loss", "accuracy"}
    assert result["loss"] == pytest.approx(mean_cross_entropy(a, labels), rel=1e-12)
    assert a.argmax(axis=1).tolist() == [0, 1, 2, 2, 0, 2, 2]
    assert result["accuracy"] == 4 / 7


def test_evaluate_with_weights_of_samples_and_classes() -> None:
    x, labels, weight = pixels(3), [2, 1, 0], np.array([1.0, 2.0, 0.5])
    network = small(loss=CrossEntropy(class_weight={1: 4.0}))
    total = weight * [1, 4, 1]
    p = softmax(run(network, x)[-1])
    expected = sum(w * -np.log(p[t, labels[t]]) for t, w in enumerate(total)) / total.sum()
    hits = sum(w * (p[t].argmax() == labels[t]) for t, w in enumerate(total)) / total.sum()
    result = network.evaluate(x, labels, sample_weight=weight)
    assert 0 < hits < 1
    assert result == pytest.approx({"loss": expected, "accuracy": hits}, rel=1e-12)


def test_evaluate_sums_if_the_loss_does() -> None:
    network = small(loss=CrossEntropy("sum"))
    expected = 3 * mean_cross_entropy(run(network, pixels())[-1], LABELS)
    assert network.evaluate(pixels(), LABELS)["loss"] == pytest.approx(expected, rel=1e-12)


def test_evaluate_of_values_is_half_the_squared_distance_and_the_absolute_error() -> None:
    network, target = small(loss="squared_error"), np.random.default_rng(1).normal(size=(3, 3))
    a = run(network, pixels())[-1]
    assert network.evaluate(pixels(), target) == pytest.approx(
        {"loss": ((a - target) ** 2).sum() / 6, "mae": abs(a - target).mean()}, rel=1e-12
    )


def test_penalties_are_in_the_training_loss_and_not_in_evaluate() -> None:
    network = small(regularization=[L2(0.1), L1(0.03)])
    data = mean_cross_entropy(run(network, pixels())[-1], LABELS)
    weights = [network.parameters[name] for name in ("conv.weight", "out.weight")]
    penalty = sum(0.05 * (w**2).sum() + 0.03 * abs(w).sum() for w in weights)
    assert network.regularized == ("conv.weight", "out.weight")
    assert network.evaluate(pixels(), LABELS)["loss"] == pytest.approx(data, rel=1e-12)
    assert network.loss_and_gradients(pixels(), LABELS)[0] == pytest.approx(data + penalty, rel=1e-12)


@pytest.mark.parametrize("regularization", [[], [L2(0.1), L1(0.03)]], ids=["bare", "penalties"])
def test_gradients_are_the_slopes_of_the_loss_written_out(regularization: list[Any]) -> None:
    network, x = small(regularization=regularization), pixels()

    def loss() -> float:
        weights = [network.parameters[name] for name in ("conv.weight", "out.weight")]
        penalty = sum(0.05 * (w**2).sum() + 0.03 * abs(w).sum() for w in weights) if regularization else 0.0
        return mean_cross_entropy(run(network, x)[-1], LABELS) + penalty

    value, gradients = network.loss_and_gradients(x, LABELS)
    assert value == pytest.approx(loss(), rel=1e-12)
    assert list(gradients) == list(network.parameters)
    for name, parameter in network.parameters.items():
        np.testing.assert_allclose(gradients[name], slopes(loss, parameter), rtol=1e-6, atol=1e-8)


def test_sample_weights_in_the_gradient() -> None:
    network, x = small(), pixels()
    # Twice the weight is the sample twice; no weight is no sample.
    value, gradients = network.loss_and_gradients(x, LABELS, sample_weight=[2, 0, 1])
    expected, by_hand = network.loss_and_gradients(x[[0, 0, 2]], [LABELS[t] for t in (0, 0, 2)])
    assert value == pytest.approx(expected, rel=1e-12)
    for name in gradients:
        np.testing.assert_allclose(gradients[name], by_hand[name], rtol=1e-10, atol=1e-14)


# Bad input.


@pytest.mark.parametrize("method", ["forward", "predict"])
@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.zeros((0, 1, 6, 6)), DataError, "there are no samples"),
        (np.zeros((2, 1, 6, 5)), ShapeError, r"inputs have shape \(2, 1, 6, 5\), the network takes \(N, 1, 6, 6\)$"),
        (np.zeros((6, 6)), ShapeError, r"inputs have shape \(6, 6\), the network takes \(N, 1, 6, 6\)"),
        (np.zeros((2, 36)), ShapeError, r"inputs have shape \(2, 36\), the network takes \(N, 1, 6, 6\)"),
        (np.zeros((2, 1, 6, 6, 1)), ShapeError, r"inputs have shape \(2, 1, 6, 6, 1\)"),
        (np.float64(3), ShapeError, r"inputs have shape \(\), the network takes"),
        (np.zeros((2, 1, 6, 6), complex), DataError, "images must be real numbers, got dtype complex128"),
        (np.full((2, 1, 6, 6), "a"), DataError, "images must be real numbers, got dtype <U1"),
        (np.full((2, 1, 6, 6), None), DataError, "images must be real numbers, got dtype object"),
        (object(), DataError, "images must be real numbers, got one object$"),
        (np.zeros((2, 1, 6, 6), "datetime64[s]"), DataError, "images must be real numbers, got dtype datetime64"),
    ],
)
def test_images_that_do_not_fit(method: str, x: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        getattr(small(), method)(x)


def test_a_single_sample_gets_a_hint() -> None:
    network = Network([Flatten(), Linear(2)], (3, 4, 4))
    with pytest.raises(ShapeError, match=r"takes \(N, 3, 4, 4\); for a single sample pass x\[None\]$"):
        network.forward(np.zeros((3, 4, 4)))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_first_sample_with_a_nan_or_an_infinity_is_named(bad: float) -> None:
    x = pixels(5)
    x[3, 0, 2, 2] = bad
    x[4] = bad
    for use in (small().forward, small().predict, lambda x: small().evaluate(x, [0] * 5)):
        with pytest.raises(DataError, match="sample 3 contains NaN or infinity; clean the data first"):
            use(x)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0, 1, 3], "label 3 of sample 2 is out of range: the network has 3 outputs, so labels run from 0 to 2"),
        ([0, -1, 2], "label -1 of sample 1 is out of range"),
        ([0, 0.5, 1], "class labels must be whole numbers, got e.g. 0.5"),
        ([0, np.nan, 1], "the targets contain NaN or infinity"),
        (["a", "b", "c"], "labels must be numbers, got dtype <U1; map class names to 0 … 2"),
        ([0, 1], "there are 3 inputs but 2 targets"),
        (np.zeros((3, 2)), r"targets have shape \(3, 2\), but the network gives 3 outputs"),
        (np.full((3, 3), 0.5), "the targets of a sample must sum to 1"),
        (np.array([0, 1, 2]) * 1j, "labels must be numbers, got dtype complex128"),
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["evaluate", "loss_and_gradients", "trace"])
def test_labels_that_do_not_fit(method: str, y: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        getattr(small(), method)(pixels(), y)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ([1, 2], r"sample_weight has shape \(2,\), expected \(3,\): one weight a sample"),
        ([1, -1, 1], "sample weights must be finite and not negative"),
        ([1, np.nan, 1], "sample weights must be finite and not negative"),
        ([0, 0, 0], "the weights of a batch are all zero"),
    ],
)
def test_sample_weights_that_do_not_fit(weight: list[float], message: str) -> None:
    for use in (small().evaluate, small().loss_and_gradients):
        with pytest.raises(DataError, match=message):
            use(pixels(), LABELS, sample_weight=weight)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"dtype": "float16"}, ConfigError, "dtype must be 'float32' or 'float64', got 'float16'"),
        ({"seed": -1}, ConfigError, "seed must be a whole number and not negative, got -1"),
        ({"loss": "hinge"}, ConfigError, "no loss called 'hinge'; there are cross_entropy, log_loss, squared_error"),
        ({"engine": "cuda"}, ConfigError, "no engine called 'cuda'; there are auto, reference, native"),
        ({"input_mean": "median"}, ConfigError, "input_mean must be 'channel', 'pixel' or an array, got 'median'"),
        ({"input_mean": np.zeros(3)}, ShapeError, r"input_mean has shape \(3,\), expected \(1,\) or \(1, 6, 6\)"),
        ({"input_mean": [np.nan]}, DataError, "input_mean contains NaN or infinity"),
    ],
    ids=str,
)
def test_settings_that_are_out_of_range(settings: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        small(**settings)


def test_a_batch_size_of_nothing() -> None:
    with pytest.raises(ConfigError, match="batch_size must be a whole number of at least 1, got 0"):
        small().forward(pixels(), batch_size=0)


def test_a_loss_on_feature_maps() -> None:
    network = Network([Conv2d(2, 3)], (1, 6, 6), engine="reference")
    assert network.forward(pixels()).shape == (3, 2, 4, 4)
    with pytest.raises(ShapeError, match=r"a loss needs a vector for every sample, but the network gives \(2, 4, 4\)"):
        network.evaluate(pixels(), LABELS)


# The three ways to write a network, copies, and seeds.


def test_the_functional_form_is_the_list_form() -> None:
    x = Input((1, 6, 6))
    h = MaxPool2d(2)(ReLU()(Conv2d(2, 3, name="conv")(x)))
    functional = Network(Linear(3, name="out")(Flatten()(h)), dtype="float64", seed=2)
    functional.parameters = {"conv.bias": [1.3, 0.9], "out.bias": [0.1, 0.2, -0.4]}
    listed = small()
    assert [(n.name, repr(n.layer), n.inputs, n.shape) for n in functional.graph.nodes] == [
        (n.name, repr(n.layer), n.inputs, n.shape) for n in listed.graph.nodes
    ]
    np.testing.assert_allclose(functional.forward(pixels()), run(listed, pixels())[-1], rtol=1e-12)
    for name, value in functional.parameters.items():
        np.testing.assert_array_equal(value, listed.parameters[name])
    for name, value in functional.loss_and_gradients(pixels(), LABELS)[1].items():
        np.testing.assert_array_equal(value, listed.loss_and_gradients(pixels(), LABELS)[1][name])


def test_a_copy_is_equal_and_independent() -> None:
    network = small(input_mean=[0.5])
    network.step = 9
    copied = network.copy()
    expected = run(network, pixels() - 0.5)[-1]
    network.parameters["out.weight"] = np.zeros((3, 8))
    np.testing.assert_allclose(copied.forward(pixels()), expected, rtol=1e-12)
    assert (copied.step, copied.seed, copied.dtype) == (9, 2, np.float64)
    assert network.forward(pixels()).tolist() == [[0.1, 0.2, -0.4]] * 3


def test_a_copy_in_another_dtype_rounds_the_numbers() -> None:
    network = Network(
        [BatchNorm2d(), Flatten(), Linear(3)], (1, 6, 6), dtype="float64", input_mean=[1 / 3], engine="reference"
    )
    network.loss_and_gradients(pixels(), LABELS)
    single = network.copy(dtype="float32")
    assert single.dtype == np.float32
    assert single.forward(pixels()).dtype == np.float32
    assert list(single.tensors()) == list(network.tensors())
    for name, value in network.tensors().items():
        assert single.tensors()[name].dtype == np.float32
        np.testing.assert_array_equal(single.tensors()[name], np.float32(value))
    np.testing.assert_allclose(single.forward(pixels()), network.forward(pixels()), rtol=1e-4, atol=1e-5)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others() -> None:
    def bits(seed: int) -> list[bytes]:
        network = Network([Conv2d(2, 3), Dropout(0.5), Flatten(), Linear(3)], (1, 6, 6), seed=seed)
        value, gradients = network.loss_and_gradients(pixels(), LABELS)
        parts = [*network.parameters.values(), *gradients.values(), np.float64(value), network.predict(pixels())]
        return [part.tobytes() for part in parts]

    assert bits(1) == bits(1)
    assert bits(1)[0] != bits(2)[0]


def test_dropout_draws_anew_at_every_step() -> None:
    network = Network([Flatten(), Dropout(0.5), Linear(3)], (1, 6, 6), seed=0)
    masks = []
    for network.step in range(3):
        masks.append((network.trace(pixels(), LABELS)["1"].output != 0).tobytes())
    assert len(set(masks)) == 3


def test_starting_weights_follow_the_seed_and_not_the_dtype() -> None:
    single, double = small(dtype="float32"), small(dtype="float64")
    np.testing.assert_array_equal(single.parameters["conv.weight"], np.float32(double.parameters["conv.weight"]))


def test_a_wrong_name_among_parameters_changes_none_of_them():
    net = Network([Linear(2)], (3,))
    with pytest.raises(KeyError, match="no tensor called 'bias'"):
        net.parameters = {"0.bias": [5.0, 5.0], "bias": [1.0, 1.0]}
    np.testing.assert_array_equal(net.parameters["0.bias"], [0, 0])


def test_evaluating_samples_that_all_weigh_nothing():
    net = Network([Linear(2)], (3,), loss=CrossEntropy(reduction="sum"))
    with pytest.raises(DataError, match="all samples weigh 0"):
        net.evaluate(np.ones((2, 3)), [0, 1], sample_weight=[0, 0])


def test_a_seed_is_a_whole_number():
    assert Network([Linear(2)], (3,), seed=np.int64(3)).seed == 3
    with pytest.raises(ConfigError, match=r"seed must be a whole number and not negative, got 1\.5"):
        Network([Linear(2)], (3,), seed=1.5)
    with pytest.raises(ConfigError, match="dtype must be 'float32' or 'float64', got 'foo'"):
        Network([Linear(2)], (3,)).copy(dtype="foo")


def test_a_trace_has_the_penalties_in_it():
    net = Network([Linear(2)], (3,), regularization=[L2(0.5)])
    x, y = np.ones((2, 3)), [0, 1]
    traced = net.trace(x, y)
    weight = net.parameters["0.weight"].astype(float)
    outputs = x @ weight.T + net.parameters["0.bias"]
    log_p = outputs - np.log(np.exp(outputs).sum(axis=1, keepdims=True))
    assert traced.loss == pytest.approx(-(log_p[0, 0] + log_p[1, 1]) / 2 + 0.25 * (weight**2).sum(), rel=1e-5)
    p = np.exp(log_p) - np.eye(2)
    np.testing.assert_allclose(traced["0"].gradients["weight"], p.T @ x / 2 + 0.5 * weight, rtol=1e-4)
