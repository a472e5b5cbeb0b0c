"""Samples that have passed the checks, with what each of them weighs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from pellucid.arrays import Array
from pellucid.augmentation import Augmentation
from pellucid.data.stream import Images, Stream
from pellucid.errors import ConfigError, DataError, ShapeError
from pellucid.network import Network
from pellucid.training import batches


@dataclass(frozen=True)
class Samples:
    """Inputs and targets.

    Attributes:
        images: (N, ...), not yet scaled; or a stream of them.
        target: (N, K).
        given: the caller's weights, (N,), or None.
        weight: w, (N,): the caller's weights times those of the classes, 1 where there are none.
        augment: what happens to the images while training; None for nothing.
    """

    images: Images
    target: Array
    given: Array | None
    weight: Array
    augment: Augmentation | None = None

    def __len__(self) -> int:
        """Return N."""
        return len(self.images)

    def part(self, rows: Array) -> Samples:
        """Return some of the samples, to be taken as they are: copies, but for the images of a stream."""
        images = self.images.part(rows) if isinstance(self.images, Stream) else self.images[rows]
        return Samples(images, *self.wanted(rows), self.weight[rows])

    def wanted(self, rows: Array) -> tuple[Array, Array | None]:
        """Return targets, and the weights that the caller gave, of some of the samples."""
        return self.target[rows], None if self.given is None else self.given[rows]

    def ahead(self, batches: Sequence[Array]) -> AbstractContextManager[None]:
        """Return a context in which the images of a stream are read ahead, for batches of these rows in this order."""
        return self.images.ahead(batches) if isinstance(self.images, Stream) else nullcontext()

    def inputs(self, network: Network, images: Array, rows: Array) -> Array:
        """Return what a network takes in when it trains on these of the samples in its present step."""
        x = network.prepare(images)
        return x if self.augment is None else self.augment.apply(x, rows, network.seed, network.step)


def check(network: Network, x: Any, y: Any, sample_weight: Any) -> Samples:
    """Return the samples if the network can train on them.

    Raises:
        DataError, ShapeError: as :meth:`Network.evaluate`, or all weights are zero.
    """
    images, target = network.check_set(x, y)
    try:
        given = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"sample_weight must be one number a sample, got {sample_weight!r}") from error
    weight = network.loss.weights(target, given)
    if not weight.any():
        raise DataError("all samples weigh 0; give at least one of them a positive weight")
    return Samples(images, target, given, weight)


def hold_out(
    network: Network, samples: Samples, validation_data: Any, validation_split: float
) -> tuple[Array, Samples | None]:
    """Return the rows to train on, and the samples to validate with, if any.

    Samples of weight 0 count as absent: they would make a batch of nothing else undefined.

    Raises:
        ConfigError, DataError, ShapeError: see :func:`pellucid.training.fit`.
    """
    if not 0 <= validation_split < 1:
        raise ConfigError(f"validation_split must be at least 0 and less than 1, got {validation_split!r}")
    if validation_data is not None:
        if validation_split:
            raise ConfigError("give validation_data or validation_split, not both")
        return np.flatnonzero(samples.weight), _check_validation(network, validation_data)
    if not validation_split:
        return np.flatnonzero(samples.weight), None
    training, held = batches.split(samples.target, validation_split, network.seed)
    training = training[samples.weight[training] > 0]
    validation = samples.part(held)
    if not len(training) or not validation.weight.any():
        raise ConfigError(
            f"validation_split={validation_split} of {len(samples)} samples leaves {len(training)} to train on and "
            f"{np.count_nonzero(validation.weight)} to validate with (samples of weight 0 do not count); each needs at "
            "least one"
        )
    return training, validation


def _check_validation(network: Network, data: Any) -> Samples:
    parts = list(cast("Sequence[Any]", data)) if isinstance(data, (tuple, list)) else []
    if len(parts) not in (2, 3):
        told = f"{len(parts)} parts" if parts else type(cast("object", data)).__name__
        raise ConfigError(f"validation_data must be (x, y) or (x, y, sample_weight), got {told}")
    x, y, weight = parts if len(parts) == 3 else (*parts, None)
    try:
        return check(network, x, y, weight)
    except (DataError, ShapeError) as error:
        raise type(error)(f"validation_data: {error}") from error
