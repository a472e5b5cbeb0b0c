import numpy as np
import pytest

from pellucid.errors import ConfigError, DataError
from pellucid.metrics import METRICS, confusion_matrix, higher_is_better


@pytest.mark.parametrize(("samples", "classes"), [(1, 5), (7, 2), (1000, 10), (5000, 37)])
def test_against_scikit_learn(samples, classes):
    sklearn_metrics = pytest.importorskip("sklearn.metrics", reason="compares with scikit-learn")
    rng = np.random.default_rng(samples)
    labels, predicted = rng.integers(classes, size=(2, samples))
    expected = sklearn_metrics.confusion_matrix(labels, predicted, labels=np.arange(classes))
    np.testing.assert_array_equal(confusion_matrix(labels, predicted, classes), expected)


def test_by_hand():
    counts = confusion_matrix([0, 0, 0, 2, 2, 1], [0, 2, 2, 2, 0, 1], 3)
    assert counts.dtype == np.int64
    assert counts.tolist() == [[1, 0, 2], [0, 1, 0], [1, 0, 1]]


def test_awkward_input():
    labels = np.repeat(np.arange(4, dtype=np.uint8), 2)[::2]
    labels.flags.writeable = False
    predicted = np.array([3.0, 2.0, 1.0, 0.0])[::-1]
    np.testing.assert_array_equal(confusion_matrix(labels, predicted, 4), np.eye(4))
    assert confusion_matrix([], [], 2).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize(
    ("labels", "predicted", "message"),
    [
        ([0, 1], [0], "there are 2 labels but 1 predictions"),
        ([0, 3], [0, 1], "labels runs from 0 to 3, expected class numbers from 0 to 2"),
        ([0, 1], [-1, 1], "predicted runs from -1 to 1, expected class numbers from 0 to 2"),
        ([0, 1.5], [0, 1], "labels must be whole numbers, got e.g. 1.5"),
        ([0, np.nan], [0, 1], "labels must be whole numbers, got e.g. nan"),
        ([0, 1], [0, np.inf], "predicted runs from 0 to inf, expected"),
        (["a"], [0], "labels has dtype <U1, expected whole numbers"),
        ([[0, 1]], [[0, 1]], r"labels has shape \(1, 2\), expected \(N,\)"),
    ],
)
def test_bad_input(labels, predicted, message):
    with pytest.raises(DataError, match=message):
        confusion_matrix(labels, predicted, 3)


def test_no_classes():
    with pytest.raises(ConfigError, match="classes must be at least 1, got 0"):
        confusion_matrix([], [], 0)


def test_accuracy_by_hand() -> None:
    p = np.array([[0.6, 0.3, 0.1], [0.2, 0.3, 0.5], [0.1, 0.2, 0.7]])
    assert METRICS["accuracy"](p, np.eye(3)).tolist() == [1, 0, 1]


def test_binary_accuracy_by_hand() -> None:
    several = np.array([[1.0, 1, 0], [0, 0, 0]])
    p = np.array([[0.9, 0.4, 0.1], [0.5, 0.2, 0.3]])
    assert METRICS["binary_accuracy"](p, several).tolist() == [2 / 3, 2 / 3]
    assert METRICS["binary_accuracy"](np.array([[0.7], [0.2]]), np.ones((2, 1))).tolist() == [1, 0]


def test_mean_absolute_error_by_hand() -> None:
    assert METRICS["mae"](np.zeros((2, 2)), np.array([[2.5, 0.0], [1.0, -1.0]])).tolist() == [1.25, 1.0]


def test_which_figures_are_the_better_the_higher_they_are() -> None:
    columns = ("accuracy", "val_accuracy", "val_binary_accuracy", "loss", "val_loss", "mae", "val_mae", "seconds")
    assert [higher_is_better(column) for column in columns] == [True] * 3 + [False] * 5
