from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pellucid.data import Dataset
from pellucid.errors import ConfigError


@pytest.fixture
def dataset() -> Dataset:
    images = np.arange(7 * 2 * 3 * 4, dtype=np.uint8).reshape(7, 2, 3, 4)
    labels = np.array([0, 1, 2, 0, 1, 2, 0])
    return Dataset("toy", images[:5], labels[:5], images[5:], labels[5:], ("cat", "dog", "fox"))


def test_shape_and_classes(dataset: Dataset) -> None:
    assert dataset.input_shape == (2, 3, 4)
    assert dataset.classes == 3


def test_take_keeps_the_first_training_samples_and_the_whole_test_set(dataset: Dataset) -> None:
    few = dataset.take(2)
    assert few.x_train[:, 0, 0, 0].tolist() == [0, 24]
    assert few.y_train.tolist() == [0, 1]
    assert few.x_test[:, 0, 0, 0].tolist() == [120, 144]
    assert few.y_test.tolist() == [2, 0]
    assert (few.name, few.class_names) == ("toy", ("cat", "dog", "fox"))
    assert len(dataset.x_train) == 5


def test_take_of_more_than_there_is(dataset: Dataset) -> None:
    assert dataset.take(100).y_train.tolist() == [0, 1, 2, 0, 1]


@pytest.mark.parametrize("limit", [0, -3])
def test_take_of_nothing(dataset: Dataset, limit: int) -> None:
    with pytest.raises(ConfigError, match=f"limit must be at least 1, got {limit}"):
        dataset.take(limit)


def test_repr_is_one_short_line(dataset: Dataset) -> None:
    assert repr(dataset) == "Dataset('toy': 5 training and 2 test images of uint8[2, 3, 4], 3 classes)"


def test_frozen(dataset: Dataset) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'name'"):
        dataset.name = "other"  # type: ignore[misc]
