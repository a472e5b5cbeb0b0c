"""The images that both sides train on: MNIST if it is there, else noise; in colour always noise.

MNIST gets a grey level of noise: on plain black all pixels of a map are equal, each side's max pools choose among them
as they please, and the gradients, though right, differ.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from pellucid.arrays import Array, Shape
from pellucid.data import load_dataset
from pellucid.errors import DataError

SHARED = Path(__file__).parents[1] / "../shared/data"


#: images in colour and their classes, as many bytes as MNIST has: what is loaded hides what loading takes
COLOURED = {(3, 32, 32): (12_800, 10), (3, 224, 224): (256, 1000)}


def write(folder: Path, shapes: Collection[Shape]) -> None:
    """Write images of these shapes and their labels as ``.npy`` files, and what they are as ``told``.

    The files are read back without a detour, so that loading leaves no trace in a process's peak memory.
    """
    coloured = [shape for shape in shapes if shape in COLOURED]
    told: list[str] = []
    if len(coloured) < len(shapes):
        images, labels, what = _load()
        told.append(what)
        _save(folder, images, labels)
        _save(folder, np.pad(images, ((0, 0), (0, 0), (2, 2), (2, 2))), labels)
    for shape in coloured:
        images, labels = _noise(shape, *COLOURED[shape])
        _save(folder, images, labels)
    if coloured:
        told.append("random images in colour")
    (folder / "told").write_text("; ".join(told))


def read(folder: Path, shape: Shape) -> tuple[Array, Array]:
    """Return images (N, *shape), uint8, and labels (N,), int64."""
    return np.load(folder / f"{_name(shape)}.npy"), np.load(folder / f"{_name(shape)}-labels.npy")


def count(folder: Path, shape: Shape) -> int:
    """Return N."""
    return len(np.load(folder / f"{_name(shape)}-labels.npy", mmap_mode="r"))


def _name(shape: Shape) -> str:
    return "x".join(str(size) for size in shape)


def _save(folder: Path, images: Array, labels: Array) -> None:
    np.save(folder / f"{_name(images.shape[1:])}.npy", images)
    np.save(folder / f"{_name(images.shape[1:])}-labels.npy", labels)


def _noise(shape: Shape, count: int, classes: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    return rng.integers(256, size=(count, *shape), dtype=np.uint8), rng.integers(classes, size=count)


def _load() -> tuple[Array, Array, str]:
    try:
        data = load_dataset("mnist", SHARED if SHARED.is_dir() else None, download=False)
    except DataError:
        return *_noise((1, 28, 28), 60_000, 10), "random images and labels: MNIST was not found"
    noise = np.random.default_rng(0).integers(2, size=data.x_train.shape, dtype=np.uint8)
    return np.where(data.x_train > 0, data.x_train - noise, noise), data.y_train, "MNIST"
