from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pellucid.data import load_parquet
from pellucid.errors import DataError, MissingExtraError

Image = pytest.importorskip("PIL.Image", reason="image files are read with Pillow")
pyarrow = pytest.importorskip("pyarrow", reason="Parquet files are read with pyarrow")
parquet = pytest.importorskip("pyarrow.parquet", reason="Parquet files are read with pyarrow")


def png(shade: int, size: tuple[int, int] = (3, 2)) -> bytes:
    stream = io.BytesIO()
    Image.new("L", size, shade).save(stream, "PNG")
    return stream.getvalue()


def write(
    path: Path,
    shades: list[int],
    labels: list[Any],
    names: list[str] | None = None,
    columns: tuple[str, str] = ("image", "label"),
    images: list[Any] | None = None,
) -> Path:
    """Write a file as Hugging Face's ``datasets`` does, its classes' names among the schema's metadata."""
    path.parent.mkdir(exist_ok=True, parents=True)
    packed = images or [{"bytes": png(shade), "path": f"{shade}.png"} for shade in shades]
    table = pyarrow.table({columns[0]: packed, columns[1]: labels})
    if names is not None:
        features = {columns[0]: {"_type": "Image"}, columns[1]: {"names": names, "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    parquet.write_table(table, path)
    return path


def shades(images: Any) -> list[int]:
    return images[:, 0, 0, 0].tolist()


def error_of(path: Path, **settings: Any) -> str:
    with pytest.raises(DataError) as caught:
        load_parquet(path, **settings)
    return str(caught.value)


@pytest.mark.parametrize("folder", [".", "data"])
def test_files_in_parts(tmp_path: Path, folder: str) -> None:
    write(tmp_path / folder / "train-00000-of-00002.parquet", [1, 2], [0, 1], ["cat", "dog"])
    write(tmp_path / folder / "train-00001-of-00002.parquet", [3], [1], ["cat", "dog"])
    write(tmp_path / folder / "validation-00000-of-00001.parquet", [4], [1])
    write(tmp_path / folder / "test-00000-of-00001.parquet", [5, 6], [1, 0])
    data = load_parquet(tmp_path, grey=True)
    assert (data.class_names, data.input_shape, data.x_train.dtype) == (("cat", "dog"), (1, 2, 3), np.uint8)
    assert (shades(data.x_train), data.y_train.tolist()) == ([1, 2, 3], [0, 1, 1])
    assert (shades(data.x_test), data.y_test.tolist()) == ([5, 6], [1, 0])
    assert (shades(data.x_validation), data.y_validation) == ([4], [1])


def test_validation_files_serve_for_testing_if_there_are_no_others(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", [1, 2], [0, 1])
    write(tmp_path / "validation.parquet", [9], [0])
    data = load_parquet(tmp_path)
    assert (shades(data.x_test), data.x_validation, data.class_names) == ([9], None, ("0", "1"))


@pytest.mark.parametrize("columns", [("img", "label"), ("picture", "labels"), ("img", "fine_label")])
def test_one_file_is_split_and_its_columns_found(tmp_path: Path, columns: tuple[str, str]) -> None:
    path = write(tmp_path / "d.parquet", list(range(20)), [0, 1] * 10, columns=columns)
    data = load_parquet(path, image_size=4, test_share=0.3)
    assert (data.input_shape, len(data.x_train), len(data.x_test)) == ((3, 4, 4), 14, 6)
    assert np.bincount(data.y_test).tolist() == [3, 3]
    assert [shade % 2 for shade in shades(data.x_test)] == data.y_test.tolist()
    assert sorted(shades(data.x_train) + shades(data.x_test)) == list(range(20))


def test_rows_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "d.parquet"
    good = {"bytes": png(1), "path": None}
    large = {"bytes": png(1, (5, 5)), "path": ""}
    for bad, told in (
        ({"bytes": b"not an image", "path": ""}, f"{path}: the image of row 1 is not an image, or cut off"),
        ({"bytes": png(1)[:40], "path": ""}, f"{path}: the image of row 1 "),
        ({"bytes": None, "path": "elsewhere.png"}, f"{path}: row 1 holds no image"),
        (None, f"{path}: row 1 holds no image"),
        (large, f"{path}: the image of row 1 is 5×5 pixels high and wide, the first is 2×3"),
    ):
        write(path, [], [0, 0, 1, 1], images=[good, bad, good, good])
        assert error_of(path).startswith(told)
    write(path, [1, 2], [0, -1])
    assert error_of(path) == f"{path}: label -1 of row 1 is less than 0"
    write(path, [1, 2], [0, None])
    assert "the column of classes holds int64, some missing perhaps; expected integers" in error_of(path)
    write(path, [1, 2], ["cat", "dog"])
    assert "the column of classes holds string" in error_of(path)
    write(path, [1, 2, 3, 4], [0, 0, 2, 2], ["cat", "dog"])
    assert error_of(path) == f"{path}: label 2 is not one of the 2 classes that the file names"
    write(path, [1, 2], [0, 1])
    assert error_of(path) == (
        f"{path}: class '0' has 1 sample; with a test_share of 0.2 none would be left to train on"
    )


def test_columns_that_are_missing(tmp_path: Path) -> None:
    path = write(tmp_path / "d.parquet", [1], [0], columns=("image", "class"))
    assert error_of(path) == (
        f"{path} has the columns image, class; expected one of images, structures with a field 'bytes', and one of "
        "classes: label or labels or fine_label"
    )
    parquet.write_table(pyarrow.table({"image": [b"bytes alone"], "label": [0]}), path)
    assert "has the columns image, label; expected one of images" in error_of(path)
    empty = pyarrow.table({"image": [{"bytes": b"", "path": ""}], "label": [0]}).slice(0, 0)
    parquet.write_table(empty, path)
    assert error_of(path) == f"{path} holds no rows"


def test_files_missing_cut_off_or_damaged(tmp_path: Path) -> None:
    assert error_of(tmp_path) == f"{tmp_path} holds no file train*.parquet, nor does a folder data in it"
    path = write(tmp_path / "d.parquet", [1, 2, 3], [0, 1, 1])
    whole = path.read_bytes()
    for length in range(0, len(whole), 61):
        path.write_bytes(whole[:length])
        assert error_of(path).startswith(f"cannot read {path}: "), length


def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "d.parquet", [1], [0])
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtraError, match=r'Parquet files are read with pyarrow, .*: pip install "pyarrow"'):
        load_parquet(path)
