from math import exp, log

import numpy as np
import pytest
from scipy.special import expit, log_softmax, softmax
from sklearn.metrics import log_loss as sklearn_log_loss

from pellucid.errors import ConfigError, DataError, ShapeError
from pellucid.losses import LOSSES, CrossEntropy, LogLoss, SquaredError, resolve_loss

RNG = np.random.default_rng
KINDS = [CrossEntropy, LogLoss, SquaredError]


def value_by_loops(kind, a, y, weight):
    """Return Σ_t w_t ℓ_t, ℓ written out term by term, for moderate outputs."""
    total = 0.0
    for t in range(len(a)):
        for k in range(a.shape[1]):
            if kind is CrossEntropy:
                term = -y[t, k] * log(exp(a[t, k]) / sum(exp(value) for value in a[t]))
            elif kind is LogLoss:
                p = 1 / (1 + exp(-a[t, k]))
                term = -(y[t, k] * log(p) + (1 - y[t, k]) * log(1 - p))
            else:
                term = 0.5 * (a[t, k] - y[t, k]) ** 2
            total += weight[t] * term
    return total


def random_targets(kind, rng, samples, classes):
    if kind is CrossEntropy:
        return rng.dirichlet(np.ones(classes), samples)
    return rng.random((samples, classes)) if kind is LogLoss else rng.normal(size=(samples, classes))


def test_nguyens_delta_by_hand():
    # O = softmax(ln 1, ln 2, ln 5) = (1, 2, 5)/8; L = −ln O_label, dLS = O − onehot(label).
    loss = CrossEntropy(reduction="sum")
    a = np.log([[1.0, 2.0, 5.0]])
    np.testing.assert_allclose(loss.activation(a), [[1 / 8, 2 / 8, 5 / 8]], rtol=1e-15)  # (5), (12)
    for label, expected in enumerate([[-7 / 8, 2 / 8, 5 / 8], [1 / 8, -6 / 8, 5 / 8], [1 / 8, 2 / 8, -3 / 8]]):
        value, delta = loss.value_and_delta(a, loss.encode([label], (3,), np.float64))
        assert value == pytest.approx(-log([1, 2, 5][label] / 8), rel=1e-15)  # (6)
        np.testing.assert_allclose(delta, [expected], rtol=1e-14)  # (23), (26)
        # (22): ∂O_label/∂S_i = (1 − O_label)O_label or −O_label O_i, times (11): −1/O_label.
        o = np.array([1, 2, 5]) / 8
        slope = [(1 - o[i]) * o[i] if i == label else -o[label] * o[i] for i in range(3)]
        np.testing.assert_allclose(delta[0], [-s / o[label] for s in slope], rtol=1e-14)


def test_grishins_t_by_hand():
    # a⁽⁸⁾ = g(z) = (1/4, 1/2, 4/5) at z = (−ln 3, 0, ln 4); t = a − y.
    loss = LogLoss(reduction="sum")
    z, y = np.array([[-log(3), 0, log(4)]]), np.array([[1.0, 0, 1]])
    np.testing.assert_allclose(loss.activation(z), [[1 / 4, 1 / 2, 4 / 5]], rtol=1e-15)
    value, t = loss.value_and_delta(z, y)
    assert value == pytest.approx(log(4) + log(2) + log(5 / 4), rel=1e-14)
    np.testing.assert_allclose(t, [[-3 / 4, 1 / 2, -1 / 5]], rtol=1e-14)


def test_bindings_error_by_hand():
    loss = SquaredError(reduction="sum")
    y, t = np.array([[1.0, 3.0], [0.0, -2.0]]), np.array([[0.0, 1.0], [0.0, 2.0]])
    value, delta = loss.value_and_delta(y, t)
    assert value == 0.5 * (1 + 4 + 0 + 16)  # (1.5)
    assert delta.tolist() == [[1.0, 2.0], [0.0, -4.0]]  # (2.10)
    assert loss.per_sample(y, t).tolist() == [2.5, 8.0]  # (1.6)
    assert loss.activation(y).tolist() == y.tolist()
    mean, delta = SquaredError().value_and_delta(y, t)
    assert mean == 5.25
    assert delta.tolist() == [[0.5, 1.0], [0.0, -2.0]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 2), (1, 10), (7, 3), (33, 12)])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_values_against_loops(kind, shape, reduction):
    rng = RNG(0)
    a, y, weight = 2 * rng.normal(size=shape), random_targets(kind, rng, *shape), 0.1 + rng.random(shape[0])
    loss = kind(reduction=reduction)
    divisor = {"mean": (shape[0], weight.sum()), "sum": (1, 1)}[reduction]
    assert loss.value_and_delta(a, y)[0] == pytest.approx(
        value_by_loops(kind, a, y, np.ones(shape[0])) / divisor[0], rel=1e-12
    )
    assert loss.value_and_delta(a, y, weight)[0] == pytest.approx(
        value_by_loops(kind, a, y, weight) / divisor[1], rel=1e-12
    )


def test_values_and_predictions_against_scipy_and_scikit_learn():
    rng = RNG(1)
    a, labels, weight = 5 * rng.normal(size=(50, 7)), rng.integers(7, size=50), rng.random(50)
    loss = CrossEntropy()
    y = loss.encode(labels, (7,), np.float64)
    p = loss.activation(a)
    np.testing.assert_allclose(p, softmax(a, axis=1), rtol=1e-13)
    np.testing.assert_allclose(loss.per_sample(a, y), -log_softmax(a, axis=1)[np.arange(50), labels], rtol=1e-12)
    expected = sklearn_log_loss(labels, softmax(a, axis=1), sample_weight=weight, labels=range(7))
    assert loss.value_and_delta(a, y, weight)[0] == pytest.approx(expected, rel=1e-12)

    yes = rng.integers(2, size=(50, 1))
    binary = LogLoss()
    np.testing.assert_allclose(binary.activation(a), expit(a), rtol=1e-13)
    expected = sklearn_log_loss(yes, expit(a[:, :1]), sample_weight=weight)
    assert binary.value_and_delta(a[:, :1], yes, weight)[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_delta_is_the_central_difference_on_random_shapes(kind):
    rng = RNG(2)
    for trial in range(110):
        samples, classes = int(rng.integers(1, 6)), int(rng.integers(2, 9))
        loss = kind(reduction=("mean", "sum")[trial % 2])
        a, y = rng.normal(size=(samples, classes)), random_targets(kind, rng, samples, classes)
        weight = None if trial % 3 else 0.1 + rng.random(samples)
        _, delta = loss.value_and_delta(a, y, weight)
        assert delta.shape == a.shape
        for at in np.ndindex(a.shape):
            step = np.zeros_like(a)
            step[at] = 1e-4
            numeric = (
                loss.value_and_delta(a + step, y, weight)[0] - loss.value_and_delta(a - step, y, weight)[0]
            ) / 2e-4
            assert delta[at] == pytest.approx(numeric, rel=1e-6, abs=1e-8), (trial, at)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_huge_outputs_stay_finite_and_right(dtype):
    a = np.array([[1e4, -1e4, 0], [-1e4, 1e4, 1e4]], dtype)
    first, second = np.eye(3, dtype=dtype)[[0, 1]], np.eye(3, dtype=dtype)[[1, 0]]
    cross = CrossEntropy(reduction="sum")
    np.testing.assert_allclose(cross.activation(a), [[1, 0, 0], [0, 0.5, 0.5]])
    np.testing.assert_allclose(cross.per_sample(a, first), [0, log(2)], rtol=1e-6)
    np.testing.assert_allclose(cross.per_sample(a, second), [2e4, 2e4], rtol=1e-4)
    value, delta = cross.value_and_delta(a, second)
    assert value == pytest.approx(4e4 + log(2), rel=1e-6)
    assert delta.dtype == dtype
    np.testing.assert_allclose(delta, [[1, -1, 0], [-1, 0.5, 0.5]])

    logistic = LogLoss(reduction="sum")
    np.testing.assert_allclose(logistic.activation(a), [[1, 0, 0.5], [0, 1, 1]])
    np.testing.assert_allclose(logistic.per_sample(a, first), [log(2), 1e4], rtol=1e-6)
    np.testing.assert_allclose(logistic.per_sample(a, second), [2e4 + log(2), 3e4], rtol=1e-6)
    value, delta = logistic.value_and_delta(a, second)
    assert value == pytest.approx(5e4 + log(2), rel=1e-6)
    assert delta.dtype == dtype
    np.testing.assert_allclose(delta, [[1, -1, 0.5], [-1, 1, 1]])

    value, delta = SquaredError(reduction="sum").value_and_delta(a, second)
    assert value == pytest.approx(0.5 * (1e8 + 10001**2 + 10001**2 + 1e8 + 1e8), rel=1e-6)
    np.testing.assert_allclose(delta, [[1e4, -10001, 0], [-10001, 1e4, 1e4]], rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_small_losses_of_confident_outputs_keep_their_digits(dtype):
    a, y = np.array([[12.0]], dtype), np.ones((1, 1), dtype)
    assert LogLoss().per_sample(a, y)[0] == pytest.approx(np.log1p(exp(-12)), rel=1e-6)
    assert LogLoss().activation(-a)[0, 0] == pytest.approx(1 / (1 + exp(12)), rel=1e-6)


def test_tiny_weights_average_as_their_ratios_do():
    a, y = np.array([[1.0, 0.0], [0.0, 3.0]], np.float32), np.eye(2, dtype=np.float32)
    value, delta = SquaredError().value_and_delta(a, y, np.array([1e-60, 3e-60]))
    assert value == pytest.approx((0 + 3 * 2) / 4, rel=1e-6)
    np.testing.assert_allclose(delta, [[0, 0], [0, 1.5]], rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_weights_of_classes_multiply_those_of_samples(kind, reduction):
    rng = RNG(3)
    a, labels, weight = rng.normal(size=(6, 3)), np.array([0, 2, 1, 1, 0, 2]), np.array([1, 2, 0, 4, 5, 6.0])
    y = np.eye(3)[labels]
    loss = kind(reduction=reduction, class_weight={0: 0.5, 2: 3})
    factor = weight * [0.5, 3, 1, 1, 0.5, 3]
    assert loss.weights(y, weight).tolist() == factor.tolist()
    assert loss.weights(y, None).tolist() == [0.5, 3, 1, 1, 0.5, 3]
    divisor = factor.sum() if reduction == "mean" else 1
    value, delta = loss.value_and_delta(a, y, weight)
    assert value == pytest.approx(value_by_loops(kind, a, y, factor) / divisor, rel=1e-12)
    p = {CrossEntropy: softmax(a, axis=1), LogLoss: expit(a), SquaredError: a}[kind]
    np.testing.assert_allclose(delta, factor[:, None] / divisor * (p - y), rtol=1e-13, atol=1e-15)


def test_labels_become_one_hot_rows():
    for kind in KINDS:
        for labels in ([2, 0], (2, 0), np.array([2, 0], np.uint8)):
            assert kind().encode(labels, (3,), np.float32).tolist() == [[0, 0, 1], [1, 0, 0]]
    assert CrossEntropy().encode([2.0, 0.0], (3,), np.float64).tolist() == [[0, 0, 1], [1, 0, 0]]
    assert CrossEntropy().encode([1], (2,), np.float32).dtype == np.float32


def test_values_are_taken_as_they_are():
    assert SquaredError().encode([[0.5, -7], [3, 4]], (2,), np.float64).tolist() == [[0.5, -7], [3, 4]]
    assert SquaredError().encode([5, -3], (1,), np.float64).tolist() == [[5], [-3]]
    assert LogLoss().encode([1, 0, 1], (1,), np.float64).tolist() == [[1], [0], [1]]
    assert LogLoss().encode([[1, 1], [0, 0]], (2,), np.float64).tolist() == [[1, 1], [0, 0]]
    assert CrossEntropy().encode([[0.25, 0.75]], (2,), np.float64).tolist() == [[0.25, 0.75]]


def test_the_metric_follows_from_the_targets():
    one_hot, several = np.eye(3)[[0, 1, 2]], np.array([[1.0, 1, 0], [0, 0, 0]])
    assert [kind().metric_name(one_hot) for kind in KINDS] == ["accuracy"] * 3
    assert LogLoss().metric_name(several) == "binary_accuracy"
    assert LogLoss().metric_name(np.ones((2, 1))) == "binary_accuracy"
    assert SquaredError().metric_name(np.array([[2.5, 0.0], [1.0, 1.0]])) == "mae"
    assert SquaredError().metric_name(np.ones((2, 1))) == "mae"


def test_scores_by_hand():
    a, several = np.array([[0.4, -0.1, -2.0], [-3.0, 0.2, 0.3]]), np.array([[1, 0, 0], [0, 1, 1]])
    one_hot = np.eye(3)[[0, 1]]
    assert [kind().scores("accuracy", a, one_hot).tolist() for kind in KINDS] == [[1, 0]] * 3
    # 0.2 to 0.4 are less than a half, and more than that as probabilities.
    assert LogLoss().scores("binary_accuracy", a, several).tolist() == [1, 1]
    expected = abs(softmax(a, axis=1) - one_hot).mean(axis=1)
    np.testing.assert_allclose(CrossEntropy().scores("mae", a, one_hot), expected, rtol=1e-15)


def test_losses_are_found_by_name():
    assert {name: type(resolve_loss(name)) for name in LOSSES} == {
        "cross_entropy": CrossEntropy,
        "log_loss": LogLoss,
        "squared_error": SquaredError,
    }
    mine = LogLoss(reduction="sum")
    assert resolve_loss(mine) is mine
    with pytest.raises(ConfigError) as error:
        resolve_loss("mse")
    assert str(error.value) == "no loss called 'mse'; there are cross_entropy, log_loss, squared_error"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"reduction": "none"}, "LogLoss: reduction must be 'mean' or 'sum', got 'none'"),
        ({"class_weight": {0: -1.0}}, "LogLoss: class weights must be finite and not negative: {0: -1.0}"),
        ({"class_weight": {1: np.inf}}, "LogLoss: class weights must be finite and not negative: {1: inf}"),
        ({"class_weight": [1, 2]}, "LogLoss: class_weight must map class numbers to weights, got [1, 2]"),
        ({"class_weight": {"a": 1}}, "LogLoss: class_weight must map class numbers to weights, got {'a': 1}"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ConfigError) as error:
        LogLoss(**settings)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("loss", "target", "weight", "kind", "message"),
    [
        (LogLoss(), np.eye(2), [1.0], DataError, "sample_weight has shape (1,), expected (2,): one weight a sample"),
        (LogLoss(), np.eye(2), 3.0, DataError, "sample_weight has shape (), expected (2,): one weight a sample"),
        (LogLoss(), np.eye(2), [1, -1], DataError, "sample weights must be finite and not negative"),
        (LogLoss(), np.eye(2), [1, np.nan], DataError, "sample weights must be finite and not negative"),
        (
            LogLoss(),
            np.eye(2),
            [0, 0],
            DataError,
            "the weights of a batch are all zero, so its mean loss is not defined",
        ),
        (
            LogLoss(class_weight={2: 1}),
            np.eye(2),
            None,
            ConfigError,
            "class_weight names class 2, but there are 2 classes",
        ),
        (
            LogLoss(class_weight={-1: 1}),
            np.eye(2),
            None,
            ConfigError,
            "class_weight names class -1, but there are 2 classes",
        ),
        (
            LogLoss(class_weight={1: 2}),
            np.ones((2, 2)),
            None,
            DataError,
            "class_weight needs targets that name one class a sample",
        ),
        (
            SquaredError(class_weight={0: 2}),
            np.ones((2, 1)),
            None,
            DataError,
            "class_weight needs targets that name one class a sample",
        ),
    ],
)
def test_weights_that_cannot_be_used(loss, target, weight, kind, message):
    with pytest.raises(kind) as error:
        loss.value_and_delta(np.zeros(target.shape), target, weight)
    assert str(error.value) == message


def test_weights_of_zero_may_be_summed():
    value, delta = LogLoss(reduction="sum").value_and_delta(np.ones((2, 2)), np.eye(2), [0, 0])
    assert value == 0
    assert delta.tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize(
    ("loss", "y", "outputs", "message"),
    [
        ("cross_entropy", ["cat"], 3, "labels must be numbers, got dtype <U3; map class names to 0 … 2"),
        ("cross_entropy", [None], 3, "labels must be numbers, got dtype object; map class names to 0 … 2"),
        ("cross_entropy", [0, np.nan], 3, "the targets contain NaN or infinity"),
        ("squared_error", [[0, np.inf]], 2, "the targets contain NaN or infinity"),
        ("cross_entropy", [0, 1.5], 3, "class labels must be whole numbers, got e.g. 1.5"),
        (
            "cross_entropy",
            [0, 1, 3],
            3,
            "label 3 of sample 2 is out of range: the network has 3 outputs, so labels run from 0 to 2",
        ),
        (
            "log_loss",
            [0, -1],
            3,
            "label -1 of sample 1 is out of range: the network has 3 outputs, so labels run from 0 to 2",
        ),
        (
            "squared_error",
            [9],
            3,
            "label 9 of sample 0 is out of range: the network has 3 outputs, so labels run from 0 to 2",
        ),
        (
            "cross_entropy",
            [1e300],
            3,
            "label 1e+300 of sample 0 is out of range: the network has 3 outputs, so labels run from 0 to 2",
        ),
        (
            "squared_error",
            [0.5, 1.5],
            3,
            "targets have shape (2,), but the network gives 3 outputs: expected class numbers of shape (N,), "
            "or an array of shape (N, 3)",
        ),
        (
            "cross_entropy",
            [[0, 1]],
            3,
            "targets have shape (1, 2), but the network gives 3 outputs: expected class numbers of shape (N,), "
            "or an array of shape (N, 3)",
        ),
        (
            "cross_entropy",
            1,
            3,
            "targets have shape (), but the network gives 3 outputs: expected class numbers of shape (N,), "
            "or an array of shape (N, 3)",
        ),
        ("log_loss", [[0, 2]], 2, "LogLoss: targets must lie between 0 and 1"),
        ("log_loss", [2], 1, "LogLoss: targets must lie between 0 and 1"),
        ("cross_entropy", [[-0.5, 1.5]], 2, "CrossEntropy: targets must lie between 0 and 1"),
        (
            "cross_entropy",
            [[1, 1]],
            2,
            "CrossEntropy: the targets of a sample must sum to 1; use LogLoss for several labels a sample",
        ),
        (
            "cross_entropy",
            [0, 1],
            1,
            "CrossEntropy needs two outputs or more; use LogLoss for a single yes-or-no output",
        ),
    ],
)
def test_targets_that_do_not_fit(loss, y, outputs, message):
    with pytest.raises(DataError) as error:
        resolve_loss(loss).encode(y, (outputs,), np.float32)
    assert str(error.value) == message


def test_a_loss_needs_vectors():
    with pytest.raises(ShapeError) as error:
        CrossEntropy().encode([0], (3, 2, 2), np.float32)
    assert str(error.value) == (
        "a loss needs a vector for every sample, but the network gives (3, 2, 2); end it with Flatten() and "
        "Linear(classes), or GlobalAvgPool2d()"
    )


def test_soft_targets_are_brought_to_a_sum_of_exactly_one():
    target = CrossEntropy().encode([[0.30003, 0.7]], (2,), np.float64)
    np.testing.assert_allclose(target, [[0.30003 / 1.00003, 0.7 / 1.00003]], rtol=1e-15)


def test_ragged_and_overflowing_targets_are_refused():
    with pytest.raises(DataError, match="the labels cannot be made into one array"):
        CrossEntropy().encode([[1, 2], [3]], (2,), np.float32)
    with pytest.raises(DataError, match="the targets hold numbers too large for float32"):
        SquaredError().encode([[1e300]], (1,), np.float32)
