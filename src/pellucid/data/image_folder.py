"""Folders of images: a sub-folder for every class, split by folders of their own or by a seed.

::

    PATH/cat/1.jpg            PATH/train/cat/1.jpg
    PATH/cat/2.png            PATH/val/cat/2.png
    PATH/dog/3.jpg            PATH/test/dog/3.jpg
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from pellucid.arrays import Array
from pellucid.data.dataset import Dataset
from pellucid.data.image_file import SUFFIXES, ImageForm, Resize, both_sides
from pellucid.data.image_files import ImageFiles
from pellucid.data.split import held_out
from pellucid.errors import DataError, TooLargeError
from pellucid.machine import memory, readable

#: how the folders of a split are called
SPLITS = {"train": ("train", "training"), "validation": ("val", "valid", "validation"), "test": ("test", "testing")}


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images in files, and the classes they belong to.

    Attributes:
        images: the source, for ``fit(x=...)``.
        labels: class numbers (N,), int64.
    """

    images: ImageFiles
    labels: Array

    def read(self) -> tuple[Array, Array]:
        """Return all images, uint8 (N, C, H, W), and the labels."""
        return self.images.read(np.arange(len(self.images))), self.labels


@dataclass(frozen=True, eq=False)
class ImageFolder:
    """A folder of images that has been looked through, but not read.

    Attributes:
        name: of the folder.
        class_names: the sub-folders' names, sorted; a class's number is its place here.
        train, test: the images. If there is no folder to test with, those of the validation folder; if there is none
            either, a share of each class.
        validation: if there are folders for training, validation and test, those of the second; else None.
    """

    name: str
    class_names: tuple[str, ...]
    train: LabelledImages
    test: LabelledImages
    validation: LabelledImages | None = None

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        image_size: int | tuple[int, int] | None = None,
        grey: bool = False,
        resize: Resize = "crop",
        test_share: float = 0.2,
        seed: int = 0,
    ) -> ImageFolder:
        """Look through a folder: a sub-folder for every class, or folders ``train``, ``val`` and ``test`` of such.

        Files that are not called like images, and hidden ones, are passed over; so are folders within a class's.
        Nothing is decoded here but the first image if ``image_size`` is None, so a file that is damaged is found when
        it is read.

        Args:
            path: the folder.
            image_size: height and width that all images are brought to, or both in one number; None if they agree.
            grey: one channel instead of three.
            resize: ``"crop"``, ``"stretch"`` or ``"pad"``, see :class:`ImageForm <pellucid.data.ImageForm>`.
            test_share: share of each class to test with where no folder says which images are for that.
            seed: chooses them, by the names of the files alone.

        Raises:
            ConfigError: a setting is out of range.
            DataError: no such folder; fewer than two classes; a class without images, or with too few to be split, or
                that not all parts have; a folder or file that cannot be read.
            MissingExtraError: Pillow is not installed.

        Example:
            ``folder = ImageFolder.open("photos", image_size=64)``, then
            ``network.fit(folder.train.images, folder.train.labels)``, or ``folder.load()`` if it fits into memory.
        """
        path = Path(path)
        form = ImageForm(both_sides(image_size), grey, resize)
        parts = _parts(path)
        found = {part: _classes(folder) for part, folder in parts.items()}
        names = tuple(found["train"])
        for part, classes in found.items():
            _same_classes(parts["train"], names, parts[part], classes)
        files = {part: _labelled(classes) for part, classes in found.items()}
        if "test" not in files:
            files["test"] = files.pop("validation", None) or _split_off(path, files, names, test_share, seed)
        shape = ImageFiles(files["train"][0], form).shape[1:]
        opened = {
            part: LabelledImages(ImageFiles(paths, form, shape), labels) for part, (paths, labels) in files.items()
        }
        return cls(path.resolve().name, names, opened["train"], opened["test"], opened.get("validation"))

    def load(self) -> Dataset:
        """Read all images into memory.

        Raises:
            DataError: a file cannot be used; see :meth:`ImageForm.read <pellucid.data.ImageForm.read>`.
            TooLargeError: there is not that much memory.
        """
        parts = [part for part in (self.train, self.test, self.validation) if part is not None]
        needed, there = sum(prod(part.images.shape) for part in parts), memory()
        if there is not None and needed > there:
            raise TooLargeError(
                f"{self.name}: all images of shape {self.train.images.shape[1:]} take {readable(needed)}, and there "
                f"are {readable(there)} of memory; make them smaller, or train on ImageFolder.open(...).train.images, "
                "which are read as they are needed"
            )
        held = (None, None) if self.validation is None else self.validation.read()
        return Dataset(self.name, *self.train.read(), *self.test.read(), self.class_names, *held)


def _parts(path: Path) -> dict[str, Path]:
    """Return the folders that hold classes; only "train" if that is the folder itself.

    A class may be called "train", beside others.
    """
    folders = [name for name, is_folder in _entries(path) if is_folder]
    parts = {part: path / name for part, known in SPLITS.items() for name in folders if name.lower() in known}
    if "train" in parts and (len(parts) > 1 or len(folders) == 1):
        return parts
    return {"train": path}


def _classes(folder: Path) -> dict[str, list[Path]]:
    """Return the images of each class.

    Raises:
        DataError: fewer than two classes, or one without images.
    """
    names = [name for name, is_folder in _entries(folder) if is_folder]
    if len(names) < 2:
        told = f"only one, {names[0]}" if names else "none"
        raise DataError(f"{folder} must hold a folder of images for each of two or more classes; there is {told}")
    classes: dict[str, list[Path]] = {}
    for name in names:
        files = [file for file, is_folder in _entries(folder / name) if not is_folder]
        classes[name] = [folder / name / file for file in files if file.lower().endswith(SUFFIXES)]
        if not classes[name]:
            raise DataError(
                f"{folder / name} holds no images, though {len(files)} other files; fill it or remove it. The names of "
                f"images end in {', '.join(SUFFIXES)}"
            )
    return classes


def _entries(folder: Path) -> list[tuple[str, bool]]:
    """Return the names in a folder, sorted, each with whether it is a folder; hidden ones are left out."""
    try:
        with os.scandir(folder) as entries:
            return sorted((entry.name, entry.is_dir()) for entry in entries if not entry.name.startswith("."))
    except FileNotFoundError:
        raise DataError(f"{folder}: there is no such folder") from None
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror or error}") from error


def _same_classes(training: Path, names: tuple[str, ...], folder: Path, classes: dict[str, list[Path]]) -> None:
    for name in sorted(set(names) ^ set(classes)):
        has, lacks = (training, folder) if name in names else (folder, training)
        raise DataError(f"{lacks} has no class {name!r}, which {has} has; both need images of the same classes")


def _labelled(classes: dict[str, list[Path]]) -> tuple[list[Path], Array]:
    labels = np.repeat(np.arange(len(classes)), [len(paths) for paths in classes.values()])
    return [path for paths in classes.values() for path in paths], labels


def _split_off(
    folder: Path, files: dict[str, tuple[list[Path], Array]], names: tuple[str, ...], share: float, seed: int
) -> tuple[list[Path], Array]:
    """Take a share of each class from the files to train on, and return it."""
    paths, labels = files["train"]
    keys = [os.fsencode(f"{path.parent.name}/{path.name}") for path in paths]
    test = held_out(folder, keys, labels, names, share, seed)
    files["train"] = [path for path, held in zip(paths, test, strict=True) if not held], labels[~test]
    return [path for path, held in zip(paths, test, strict=True) if held], labels[test]
