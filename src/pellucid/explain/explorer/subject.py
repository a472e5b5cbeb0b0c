"""What is explored: a network, and the data set that samples of it come from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np

from pellucid.arrays import Array
from pellucid.data import Dataset
from pellucid.errors import DataError
from pellucid.explain.explorer.ink import Ink
from pellucid.layers import BatchNorm, BatchNorm2d
from pellucid.network import Network

#: values of one batch that is traced, at most, where batch normalization asks for several samples
_ROOM = 4_000_000
#: samples to look at while training, and the multiply-adds that this may take
_HELD, _EFFORT = 256, 2_000_000_000


@dataclass(frozen=True, eq=False)
class Subject:
    """A network and its data; every session begins with a copy of it.

    Attributes:
        name: what the network is called.
        network: with the parameters that every session begins with.
        data: images and labels in the network's shape, or None.
        class_names: what the outputs stand for, in their order; those of the data if there are none.
        first: number of the test sample that sessions begin with.

    Raises:
        ShapeError: the network gives no vector, so that it has no loss to begin at.
        DataError: the data does not fit the network, or has no such sample.
    """

    name: str
    network: Network
    data: Dataset | None = None
    class_names: tuple[str, ...] = ()
    first: int = 0

    def __post_init__(self) -> None:
        # What the loss cannot be had of, is told now and not by every request.
        self.network.loss.encode([0], self.network.output_shape, self.network.dtype)
        if self.data is None:
            return
        if not self.class_names:
            object.__setattr__(self, "class_names", self.data.class_names)
        if self.data.input_shape != self.network.input_shape:
            raise DataError(
                f"{self.data.name} has images of shape {self.data.input_shape}, the network takes "
                f"{self.network.input_shape}; give --data of that shape"
            )
        if self.data.classes != self.network.output_shape[0]:
            raise DataError(
                f"{self.data.name} has {self.data.classes} classes, the network has {self.network.output_shape[0]} "
                "outputs; give the data that it was made for"
            )
        if self.first >= len(self.data.x_test):
            raise DataError(
                f"{self.data.name} has no test image {self.first}; they run from 0 to {len(self.data.x_test) - 1}"
            )
        self.network.centre_on(self.network.check_images(self.data.x_train))

    @property
    def normalizes(self) -> bool:
        """Whether the network has batch normalization, which is more than a scale only in a batch of several."""
        return any(isinstance(node.layer, (BatchNorm, BatchNorm2d)) for node in self.network.graph.nodes)

    @property
    def companions(self) -> int:
        """Samples to trace at once while training is looked at: eight, or as many as there is room for."""
        if self.data is None or not self.normalizes:
            return 1
        return max(1, min(8, _ROOM // self._values_of_one, len(self.data.x_train)))

    @property
    def session_bytes(self) -> int:
        """About what a session takes: parameters, gradients and their float64 copies, and a batch there and back."""
        return 32 * self.network.flat_parameters.size + 32 * self._values_of_one * self.companions

    @cached_property
    def _values_of_one(self) -> int:
        """Numbers that the layers give for one sample."""
        return sum(prod(node.shape) for node in self.network.graph.nodes)

    def split(self, name: str) -> tuple[Array, Array]:
        """Return the images and labels of ``"train"`` or ``"test"``.

        Raises:
            DataError: there is no data set.
        """
        data = self.require_data()
        return (data.x_train, data.y_train) if name == "train" else (data.x_test, data.y_test)

    def require_data(self) -> Dataset:
        """Return the data set.

        Raises:
            DataError: there is none.
        """
        if self.data is None:
            raise DataError("there is no data set; start pellucid explore with --data")
        return self.data

    @cached_property
    def ink(self) -> Ink | None:
        """Where the drawings of the data set lie; None if it has none."""
        return None if self.data is None or len(self.data.input_shape) != 3 else Ink.of(self.data.x_train)

    def held(self) -> tuple[Array, Array]:
        """Return test samples to measure a training with: few where the network is deep."""
        data = self.require_data()
        one = sum(node.multiply_adds for node in self.network.graph.nodes)
        count = max(8, min(_HELD, _EFFORT // max(one, 1)))
        return data.x_test[:count], data.y_test[:count]

    def made_up(self) -> Array:
        """Return a sample for a network without data: soft spots, always the same."""
        shape = self.network.input_shape
        rng = np.random.default_rng(0)
        if len(shape) == 1:
            return rng.random(shape).astype(np.float32)
        rows, columns = np.mgrid[0 : shape[1], 0 : shape[2]] / max(shape[1:])
        image = np.zeros(shape, np.float32)
        for channel, row, column, width in zip(
            rng.integers(shape[0], size=12), *rng.random((2, 12)), rng.uniform(0.04, 0.2, 12), strict=True
        ):
            image[channel] += np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * width**2))
        return np.minimum(image, 1)
