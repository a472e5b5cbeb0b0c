"""Intake: the forms in which X comes, and the one in which a network takes it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, cast

import numpy as np

from pellucid.arrays import Array, Shape
from pellucid.data.source import Source
from pellucid.errors import ConfigError, DataError, ShapeError

#: channels that an image has if they come last
_COLOURS = (1, 3, 4)


def flatten(X: Any) -> tuple[Any, Shape | None]:
    """Return X with one row a sample, and the shape (C, H, W) that its samples had; None if they were flat already.

    What is flat is returned untouched, data frames included, for scikit-learn to validate.

    Raises:
        ShapeError: samples of one or of more than three dimensions.
        DataError: a source, which is not in memory.
    """
    if isinstance(X, Source):
        raise DataError(
            f"X is a source, {X!r}; estimators take arrays, such as X.read(rows) gives. A Network's fit, evaluate and "
            "predict take sources"
        )
    images = X if hasattr(X, "ndim") else np.asarray(X)
    if images.ndim <= 2:
        return X, None
    images = np.asarray(images)
    shape = images.shape[1:]
    if len(shape) > 3:
        raise ShapeError(
            f"X has shape {images.shape}; give images as (N, H, W) or (N, C, H, W), or flat as (N, features)"
        )
    return images.reshape(len(images), prod(shape)), shape if len(shape) == 3 else (1, *shape)


def resolve_shape(input_shape: Any, given: Shape | None, features: int) -> Shape:
    """Return the shape of a sample: (C, H, W), or (K,) for flat X without an ``input_shape``.

    Args:
        input_shape: the estimator's parameter.
        given: the shape that the samples of X have; None if X is flat.
        features: numbers in a sample.

    Raises:
        ConfigError: ``input_shape`` is no shape.
        ShapeError: it contradicts X, or X seems to have its channels last.
    """
    if input_shape is None:
        if given is None:
            return (features,)
        channels, height, width = given
        if width in _COLOURS and height > 4 and channels > 4:
            raise ShapeError(
                f"the samples of X have shape {given}, which looks as if the channels came last; give "
                f"np.moveaxis(X, -1, 1), or input_shape={given} if they do come first"
            )
        return given
    sides = tuple(cast("Sequence[Any]", input_shape)) if isinstance(input_shape, (tuple, list)) else ()
    if not (1 <= len(sides) <= 3 and all(isinstance(side, (int, np.integer)) and side >= 1 for side in sides)):
        raise ConfigError(f"input_shape must be (H, W), (C, H, W) or (features,), got {input_shape!r}")
    wanted = tuple(map(int, sides))
    shape = (1, *wanted) if len(wanted) == 2 else wanted
    if prod(shape) != features or (given is not None and given != shape):
        told = f"{features} features" if given is None else f"samples of shape {given}"
        raise ShapeError(f"X has {told}, but input_shape={input_shape!r} means {prod(shape)} features as {shape}")
    return shape


def merge_equal(x: Array, target: Array, weight: Array) -> tuple[Array, Array, Array]:
    """Return every different pair of sample and target once, with the sum of its weights, in an order of their own.

    As one batch they have the same mean loss. What comes out does not depend on the order of the samples, nor on
    whether one comes three times or weighs three times as much: so, to the last bit, neither does what is learnt.
    """
    table = np.column_stack([x.reshape(len(x), -1).astype(np.float64), target.reshape(len(target), -1)])
    _, first, which = np.unique(table, axis=0, return_index=True, return_inverse=True)
    return x[first], target[first], np.bincount(which.reshape(-1), weights=weight)
