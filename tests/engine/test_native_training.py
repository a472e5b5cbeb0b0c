"""The compiled part's Training, called as nobody should: it raises, and never reads or writes where it must not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from native_nets import build

from pellucid.layers import Linear

native = pytest.importorskip("pellucid._native", reason="installed without a C++ compiler")


def update(**changed: Any) -> dict[str, Any]:
    """Return plain SGD's."""
    nothing = dict.fromkeys(("first", "second", "eps", "decay", "l1", "l2"), 0.0)
    limits = dict.fromkeys(("clip_value", "clip_norm", "max_norm"), np.inf)
    return {"rule": 0, **nothing, **limits, **changed}


def arguments(**changed: Any) -> dict[str, Any]:
    """Return what a network (4,) → (2,) with 10 parameters passes for a data set of 3 samples."""
    return {
        "images": np.ones((3, 4), np.float32),
        "target": np.zeros((3, 2), np.float32),
        "weight": np.ones(3),
        "weighted_mean": False,
        "params": np.ones(10, np.float32),
        "gradients": np.full(10, 7, np.float32),
        "slots": [],
        "outputs": np.full((4, 2), 7, np.float32),
        "regularized": [(0, 2, 4)],
        "update": update(),
        **changed,
    }


def runner() -> Any:
    return build([Linear(2)], (4,), loss="squared_error")._native._runner


def test_called_right() -> None:
    given = arguments(update=update(l2=0.5))
    training = native.Training(**given)
    # y = 5 for both outputs of both samples: ℓ = 25 each, and the penalty is ½·½·8.
    assert training.step(runner(), np.array([2, 0]), place=1, rate=0.25, step=1, threads=1) == (52.0, True, True, True)
    assert given["outputs"].tolist() == [[7, 7], [5, 5], [5, 5], [7, 7]]
    assert given["params"].tolist() == [1 - 0.25 * 10.5] * 8 + [1 - 0.25 * 10.0] * 2
    assert given["gradients"].tolist() == [1] * 10  # the parameters as they were


def test_the_arrays_stay_alive_as_long_as_they_are_in_use() -> None:
    given = arguments()
    params = given["params"]
    training = native.Training(**given)
    del given
    _ = [np.full((3, 4), np.nan, np.float32) for _ in range(100)]  # would come to lie where freed arrays lay
    assert training.step(runner(), np.array([0]), 0, 0.0, 1, 1) == (25.0, True, True, True)
    assert params.tolist() == [1] * 10


def read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"images": np.ones((3, 4))}, ValueError, "images must be uint8 or float32"),
        ({"target": np.zeros((0, 2), np.float32)}, ValueError, "there are no images"),
        ({"images": np.float32(1)}, ValueError, "there are no images"),
        ({"images": np.ones((3, 8), np.float32)[:, ::2]}, TypeError, "incompatible function arguments"),
        ({"mean": np.zeros(3, np.float32)}, ValueError, "the mean does not fit the images"),
        ({"target": np.zeros((2, 2), np.float32)}, ValueError, "one target and one weight an image"),
        ({"target": np.zeros((3, 3), np.float32)}, ValueError, "outputs and targets differ in their classes"),
        ({"target": np.zeros((3, 2))}, TypeError, "incompatible function arguments"),
        ({"weight": np.ones(2)}, ValueError, "one target and one weight an image"),
        ({"weight": np.ones(3, np.float32)}, TypeError, "incompatible function arguments"),
        ({"gradients": np.ones(11, np.float32)}, ValueError, "gradients must be as many as parameters"),
        ({"params": read_only(np.ones(10, np.float32))}, TypeError, "incompatible function arguments"),
        ({"params": np.ones(20, np.float32)[::2]}, TypeError, "incompatible function arguments"),
        ({"outputs": read_only(np.ones((4, 2), np.float32))}, TypeError, "incompatible function arguments"),
        ({"slots": [np.ones(10, np.float32)]}, ValueError, "the rule remembers other slots"),
        ({"update": update(rule=1)}, ValueError, "the rule remembers other slots"),
        (
            {"update": update(rule=1), "slots": [np.ones(9, np.float32)]},
            ValueError,
            "a slot must be as long as the parameters",
        ),
        ({"update": update(rule=1), "slots": [np.ones(10)]}, TypeError, "incompatible function arguments"),
        ({"update": update(rule=8)}, ValueError, "there is no such rule"),
        ({"update": update(rule=-1)}, ValueError, "there is no such rule"),
        ({"regularized": [(0, 2)]}, ValueError, r"weights are \(first, units, incoming\)"),
        ({"regularized": [(3, 2, 4)]}, ValueError, "weights lie outside the parameters"),
        ({"regularized": [(-1, 2, 4)]}, ValueError, "weights lie outside the parameters"),
        ({"regularized": [(0, 2**62, 2**62)]}, ValueError, "weights lie outside the parameters"),
        ({"regularized": [(0, 0, 4)]}, ValueError, "weights lie outside the parameters"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_made_wrong_it_raises(changed: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        native.Training(**arguments(**changed))


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"rows": np.array([0, 3])}, ValueError, "a row number is out of range"),
        ({"rows": np.array([-1])}, ValueError, "a row number is out of range"),
        ({"rows": np.array([2**62])}, ValueError, "a row number is out of range"),
        ({"rows": np.zeros(0, np.int64)}, ValueError, "threads, count and step must be at least 1"),
        ({"rows": np.zeros(1, np.int32)}, TypeError, "incompatible function arguments"),
        ({"rows": np.zeros(5, np.int64)}, ValueError, "the outputs have no room for the batch"),
        ({"place": 4}, ValueError, "the outputs have no room for the batch"),
        ({"place": -1}, TypeError, "incompatible function arguments"),
        ({"place": 2**63}, ValueError, "the outputs have no room for the batch"),
        ({"threads": 0}, ValueError, "threads, count and step must be at least 1"),
        ({"step": 0}, ValueError, "threads, count and step must be at least 1"),
        ({"runner": None}, TypeError, "incompatible function arguments"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_stepped_wrong_it_raises(changed: dict[str, Any], error: type[Exception], message: str) -> None:
    given = arguments()
    training = native.Training(**given)
    step = {"runner": runner(), "rows": np.array([0]), "place": 0, "rate": 0.1, "step": 1, "threads": 1, **changed}
    with pytest.raises(error, match=message):
        training.step(**step)
    assert given["params"].tolist() == [1] * 10
    assert given["gradients"].tolist() == [7] * 10


def test_images_may_come_with_every_step() -> None:
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    whole, apart = arguments(images=x), arguments(images=np.empty((0, 4), np.float32))
    rows = np.array([2, 0, 2])
    told = native.Training(**whole).step(runner(), rows, place=1, rate=0.25, step=1, threads=1)
    found = native.Training(**apart).step(runner(), rows, 1, 0.25, 1, 1, images=x[rows])
    assert found == told
    for name in ("params", "gradients", "outputs"):
        np.testing.assert_array_equal(apart[name], whole[name])
    with pytest.raises(ValueError, match="a row number is out of range"):
        native.Training(**apart).step(runner(), np.array([3]), 1, 0.25, 1, 1, images=x[:1])


@pytest.mark.parametrize(
    ("own", "images", "error", "message"),
    [
        (0, None, ValueError, "images come with the data set, or with every step"),
        (3, np.ones((1, 4), np.float32), ValueError, "images come with the data set, or with every step"),
        (0, np.ones((2, 4), np.float32), ValueError, "one image a row, and of its size"),
        (0, np.ones((0, 4), np.float32), ValueError, "one image a row, and of its size"),
        (0, np.ones((1, 3), np.float32), ValueError, "one image a row, and of its size"),
        (0, np.ones(4, np.float32), ValueError, "the batch's images are of another kind than the data set's"),
        (0, np.ones((1, 4), np.uint8), ValueError, "the batch's images are of another kind than the data set's"),
        (0, np.ones((1, 8), np.float32)[:, ::2], TypeError, "incompatible function arguments"),
    ],
)
def test_images_that_come_wrong_are_refused(own: int, images: Any, error: type[Exception], message: str) -> None:
    given = arguments(images=np.ones((own, 4), np.float32))
    training = native.Training(**given)
    with pytest.raises(error, match=message):
        training.step(runner(), np.array([2]), 0, 0.1, 1, 1, images=images)
    assert given["params"].tolist() == [1] * 10


def test_the_runner_of_another_network_is_refused() -> None:
    other = build([Linear(2)], (5,))._native._runner
    with pytest.raises(ValueError, match="the runner is that of another network"):
        native.Training(**arguments()).step(other, np.array([0]), 0, 0.1, 1, 1)
