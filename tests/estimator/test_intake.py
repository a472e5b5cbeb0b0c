from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pellucid.data import NpySource
from pellucid.errors import ConfigError, DataError, ShapeError
from pellucid.estimator.intake import flatten, merge_equal, resolve_shape


def test_images_become_rows() -> None:
    x = np.arange(24.0).reshape(2, 3, 4)
    for form in (x, x.tolist(), np.asfortranarray(x)):
        rows, shape = flatten(form)
        assert shape == (1, 3, 4)
        np.testing.assert_array_equal(rows, [range(12), range(12, 24)])
    assert flatten(np.zeros((0, 2, 3, 4)))[0].shape == (0, 24)
    assert flatten(np.zeros((5, 2, 3, 4)))[1] == (2, 3, 4)
    for flat in (np.zeros((5, 3)), [[1, 2]], [1, 2]):
        assert flatten(flat)[0] is flat
        assert flatten(flat)[1] is None
    with pytest.raises(ShapeError, match=r"X has shape \(2, 1, 1, 3, 4\); give images as"):
        flatten(x[:, None, None])


def test_sources_are_for_networks(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((4, 3, 3), np.float32))
    with NpySource(tmp_path / "x.npy") as source, pytest.raises(DataError) as caught:
        flatten(source)
    assert str(caught.value).startswith(
        f"X is a source, NpySource('{tmp_path}/x.npy': float32 (4, 3, 3)); estimators take"
    )


@pytest.mark.parametrize(
    ("input_shape", "given", "features", "expected"),
    [
        (None, None, 7, (7,)),
        (None, (1, 3, 4), 12, (1, 3, 4)),
        (None, (3, 32, 32), 3072, (3, 32, 32)),
        (None, (8, 8, 8), 512, (8, 8, 8)),
        (None, (4, 8, 3), 96, (4, 8, 3)),
        ((3, 4), None, 12, (1, 3, 4)),
        ([3, 2, 2], None, 12, (3, 2, 2)),
        ((np.int64(12),), None, 12, (12,)),
        ((32, 32, 3), (32, 32, 3), 3072, (32, 32, 3)),
    ],
    ids=str,
)
def test_the_shape_of_a_sample(input_shape: Any, given: Any, features: int, expected: tuple[int, ...]) -> None:
    shape = resolve_shape(input_shape, given, features)
    assert shape == expected
    assert all(type(side) is int for side in shape)


@pytest.mark.parametrize(
    ("input_shape", "given", "features", "told"),
    [
        ((3, 5), None, 12, r"X has 12 features, but input_shape=\(3, 5\) means 15 features as \(1, 3, 5\)"),
        ((4, 3), (1, 3, 4), 12, r"X has samples of shape \(1, 3, 4\), but input_shape=\(4, 3\) means 12 features"),
        (None, (32, 32, 3), 3072, r"looks as if the channels came last; give np.moveaxis\(X, -1, 1\)"),
    ],
    ids=str,
)
def test_contradictions(input_shape: Any, given: Any, features: int, told: str) -> None:
    with pytest.raises(ShapeError, match=told):
        resolve_shape(input_shape, given, features)


@pytest.mark.parametrize("input_shape", [5, (), (1, 2, 3, 4), (0, 3), (2.0, 3), "88"], ids=repr)
def test_what_is_no_shape(input_shape: Any) -> None:
    with pytest.raises(ConfigError, match=r"input_shape must be \(H, W\), \(C, H, W\) or \(features,\), got"):
        resolve_shape(input_shape, None, 12)


def test_equal_samples_are_merged() -> None:
    x = np.array([[[2]], [[1]], [[2]], [[2]], [[1]]], dtype=np.uint8)
    target = np.array([[1.0], [0.0], [1.0], [0.0], [0.0]])
    merged_x, merged_target, weight = merge_equal(x, target, np.array([1, 2, 4, 8, 16.0]))
    assert merged_x.dtype == np.uint8
    np.testing.assert_array_equal(merged_x, [[[1]], [[2]], [[2]]])
    np.testing.assert_array_equal(merged_target, [[0], [0], [1]])
    np.testing.assert_array_equal(weight, [18, 8, 5])
