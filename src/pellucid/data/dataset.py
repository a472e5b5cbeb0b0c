"""What every data set gives: training and test images with their labels, and the names of the classes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pellucid.arrays import Array, Shape
from pellucid.errors import ConfigError

#: the class names of handwritten digits
DIGITS = tuple(str(digit) for digit in range(10))


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Images and labels, split into training and test samples.

    Attributes:
        name: what :func:`pellucid.data.load_dataset` calls it.
        x_train, x_test: images (N, C, H, W); ``uint8`` pixels, or ``float32``.
        y_train, y_test: class numbers (N,), ``int64``, from 0.
        class_names: the name of every class, in the order of the numbers.
        x_validation, y_validation: likewise, if the data set tells with which to validate while training; else None.
    """

    name: str
    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array
    class_names: tuple[str, ...]
    x_validation: Array | None = None
    y_validation: Array | None = None

    @property
    def input_shape(self) -> Shape:
        """Shape of one image, (C, H, W)."""
        return self.x_train.shape[1:]

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def take(self, limit: int) -> Dataset:
        """Return the same data with the first ``limit`` training samples; the test samples stay whole.

        Raises:
            ConfigError: ``limit`` is less than 1.
        """
        if limit < 1:
            raise ConfigError(f"limit must be at least 1, got {limit}")
        return replace(self, x_train=self.x_train[:limit], y_train=self.y_train[:limit])

    def __repr__(self) -> str:
        """Name the data and say how much of it there is."""
        return (
            f"Dataset({self.name!r}: {len(self.x_train)} training and {len(self.x_test)} test images of "
            f"{self.x_train.dtype}{list(self.input_shape)}, {self.classes} classes)"
        )
