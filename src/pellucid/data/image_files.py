"""Images that lie in files of their own and are decoded when they are asked for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from pellucid.arrays import Array, Shape
from pellucid.data.image_file import ImageForm
from pellucid.errors import DataError
from pellucid.machine import processors_worth


class ImageFiles:
    """A source of samples for ``fit``, ``evaluate`` and ``predict``: as many images as files, none kept in memory.

    Args:
        paths: the files, at least one.
        form: what every image is made into.
        image_shape: (C, H, W) that all must have if the form leaves sizes as they are; None for that of the first.

    Attributes:
        paths: the files.
        shape: (N, C, H, W).
        dtype: uint8.

    Raises:
        DataError: there are no files, or the first has to tell the size, and cannot be read.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, paths: Sequence[str | Path], form: ImageForm, image_shape: Shape | None = None) -> None:
        self.paths = tuple(map(Path, paths))
        if not self.paths:
            raise DataError("there are no image files")
        self.form = form
        self.shape: Shape = (len(self.paths), *(form.shape or image_shape or form.read(self.paths[0]).shape))

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.paths)

    def read(self, rows: Array) -> Array:
        """Return the images of those numbers, uint8 (len(rows), C, H, W), in that order.

        Several are decoded at once, one on each processor.

        Raises:
            DataError: a file cannot be used, see :meth:`ImageForm.read <pellucid.data.ImageForm.read>`, or has another
                size.
        """
        images = np.empty((len(rows), *self.shape[1:]), np.uint8)

        def put(place: int) -> None:
            images[place] = self._image(self.paths[int(rows[place])])

        with ThreadPoolExecutor(processors_worth() or os.cpu_count()) as pool:
            work = [pool.submit(put, place) for place in range(len(rows))]
            try:
                for image in work:
                    image.result()
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)  # the first error ends it, and so does Ctrl-C
                raise
        return images

    def _image(self, path: Path) -> Array:
        image = self.form.read(path)
        if image.shape != self.shape[1:]:
            raise DataError(
                f"{path} is {image.shape[1]}×{image.shape[2]} pixels high and wide, others are "
                f"{self.shape[2]}×{self.shape[3]}; give an image size to bring all to (in Python: image_size=...)"
            )
        return image
