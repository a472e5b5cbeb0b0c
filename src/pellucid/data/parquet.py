"""Data sets as Hugging Face keeps them: Parquet files with a column of packed images and one of classes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pellucid.arrays import Array
from pellucid.data.dataset import Dataset
from pellucid.data.image_file import ImageForm, Resize, both_sides
from pellucid.data.split import split_rows
from pellucid.errors import DataError
from pellucid.extra import need

#: what the column of classes is called, the first that there is
LABELS = ("label", "labels", "fine_label")


def load_parquet(
    path: str | Path,
    *,
    image_size: int | tuple[int, int] | None = None,
    grey: bool = False,
    resize: Resize = "crop",
    test_share: float = 0.2,
    seed: int = 0,
) -> Dataset:
    """Read images and labels from Parquet files, as a download of a Hugging Face data set holds them.

    The column of images holds structures with a field ``bytes``, an image file each; that of classes is called
    ``label``, ``labels`` or ``fine_label`` and holds numbers from 0. The names of the classes are taken from the file
    if it tells them.

    Args:
        path: a file; or a folder of files, or with a folder ``data`` of them, whose names begin with ``train``,
            ``validation`` and ``test``. Without test files, those for validation are for testing; without either, a
            share of each class.
        image_size, grey, resize, test_share, seed: see :meth:`ImageFolder.open <pellucid.data.ImageFolder.open>`.

    Raises:
        ConfigError: a setting is out of range.
        DataError: a file is missing or damaged, lacks the columns, or holds something else than images and classes.
        MissingExtraError: pyarrow or Pillow is not installed.
    """
    path = Path(path)
    form = ImageForm(both_sides(image_size), grey, resize)
    files = _files(path)
    tables = {part: [_read(file) for file in of_part] for part, of_part in files.items()}
    names = next((told for table in tables["train"] if (told := _told_names(table))), None)
    samples = {part: _samples(files[part], tables[part], form) for part in tables}
    largest = 1 + max(int(labels.max()) for _, labels in samples.values())
    if names is not None and len(names) < largest:
        raise DataError(f"{path}: label {largest - 1} is not one of the {len(names)} classes that the file names")
    names = names or tuple(str(label) for label in range(largest))
    if "test" not in samples and "validation" in samples:
        samples["test"] = samples.pop("validation")
    if "test" not in samples:
        x_train, y_train, x_test, y_test = split_rows(path, *samples["train"], names, test_share, seed)
        return Dataset(path.stem, x_train, y_train, x_test, y_test, names)
    return Dataset(path.stem, *samples["train"], *samples["test"], names, *samples.get("validation", (None, None)))


def _files(path: Path) -> dict[str, list[Path]]:
    """Return the files of each part, sorted."""
    if path.is_file():
        return {"train": [path]}
    found = sorted(path.glob("*.parquet")) or sorted(path.glob("data/*.parquet"))
    parts = {part: [file for file in found if file.name.startswith(part)] for part in ("train", "validation", "test")}
    if not parts["train"]:
        raise DataError(f"{path} holds no file train*.parquet, nor does a folder data in it")
    return {part: files for part, files in parts.items() if files}


def _read(path: Path) -> Any:
    """Return the table of a file."""
    parquet = _pyarrow("pyarrow.parquet")
    arrow = _pyarrow("pyarrow")
    try:
        return parquet.ParquetFile(path).read()
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}") from error


def _told_names(table: Any) -> tuple[str, ...] | None:
    """Return the names of the classes that Hugging Face wrote into the file, if any."""
    metadata: dict[bytes, bytes] = table.schema.metadata or {}
    try:
        written = metadata[b"huggingface"]
        features = json.loads(written)["info"]["features"]
        return tuple(str(name) for name in features[_label_column(table)]["names"])
    except (TypeError, KeyError, ValueError):  # not written, or by another program
        return None


def _label_column(table: Any) -> str | None:
    return next((name for name in LABELS if name in table.column_names), None)


def _samples(paths: Sequence[Path], tables: Sequence[Any], form: ImageForm) -> tuple[Array, Array]:
    """Return the images (N, C, H, W) and labels (N,) of all files of a part."""
    images: list[Array] = []
    labels: list[Array] = []
    for path, table in zip(paths, tables, strict=True):
        images_column = next((f.name for f in table.schema if _holds_bytes(f.type)), None)
        labels_column = _label_column(table)
        if images_column is None or labels_column is None:
            raise DataError(
                f"{path} has the columns {', '.join(table.column_names)}; expected one of images, structures with a "
                f"field 'bytes', and one of classes: {' or '.join(LABELS)}"
            )
        images += _images(path, table[images_column], form, images[0] if images else None)
        labels.append(_labels(path, table[labels_column]))
    if not images:
        raise DataError(f"{paths[0]} holds no rows")
    return np.stack(images), np.concatenate(labels)


def _holds_bytes(kind: Any) -> bool:
    types = _pyarrow("pyarrow.types")
    return types.is_struct(kind) and any(field.name == "bytes" for field in kind)


def _images(path: Path, column: Any, form: ImageForm, first: Array | None) -> list[Array]:
    images: list[Array] = []
    for row, packed in enumerate(column):
        contents = packed.as_py() and packed.as_py()["bytes"]
        if not isinstance(contents, bytes):
            raise DataError(f"{path}: row {row} holds no image")
        images.append(form.decode(contents, f"{path}: the image of row {row}"))
        first = images[0] if first is None else first
        if images[-1].shape != first.shape:
            raise DataError(
                f"{path}: the image of row {row} is {images[-1].shape[1]}×{images[-1].shape[2]} pixels high and wide, "
                f"the first is {first.shape[1]}×{first.shape[2]}; give an image size to bring all to (in Python: "
                "image_size=...)"
            )
    return images


def _labels(path: Path, column: Any) -> Array:
    types = _pyarrow("pyarrow.types")
    if not types.is_integer(column.type) or column.null_count:
        raise DataError(f"{path}: the column of classes holds {column.type}, some missing perhaps; expected integers")
    labels = column.to_numpy().astype(np.int64)
    if len(labels) and labels.min() < 0:
        raise DataError(f"{path}: label {labels.min()} of row {int(labels.argmin())} is less than 0")
    return labels


def _pyarrow(module: str) -> Any:
    return need(module, "Parquet files are read with pyarrow", "pyarrow")
