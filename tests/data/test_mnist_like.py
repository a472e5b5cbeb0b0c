from __future__ import annotations

import gzip
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from pellucid.data import load_dataset
from pellucid.errors import DataError

MNIST_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def write_idx(path: Path, values: list[int], *shape: int, code: int = 8, packed: bool = False) -> None:
    data = struct.pack(f">BBBB{len(shape)}I{len(values)}B", 0, 0, code, len(shape), *shape, *values)
    path.parent.mkdir(exist_ok=True)
    if packed:
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(data))
    else:
        path.write_bytes(data)


def write_small_set(folder: Path, test: str = "t10k", first: int = 0, packed: bool = False) -> None:
    """Two training images and one test image of 2×3 pixels."""
    write_idx(folder / "train-images-idx3-ubyte", list(range(first, first + 12)), 2, 2, 3, packed=packed)
    write_idx(folder / "train-labels-idx1-ubyte", [9, 0], 2, packed=packed)
    write_idx(folder / f"{test}-images-idx3-ubyte", [250, 251, 252, 253, 254, 255], 1, 2, 3, packed=packed)
    write_idx(folder / f"{test}-labels-idx1-ubyte", [4], 1, packed=packed)


@pytest.fixture(autouse=True)
def _no_folder_from_outside(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PELLUCID_DATA_DIR", raising=False)
    monkeypatch.setattr("pooch.os_cache", lambda _: tmp_path_factory.getbasetemp() / "no cache")


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    ("name", "test"), [("mnist", "t10k"), ("fashion-mnist", "t10k"), ("kmnist", "t10k"), ("usps", "test")]
)
def test_four_files_become_images_and_labels(tmp_path: Path, name: str, test: str, packed: bool) -> None:
    write_small_set(tmp_path, test, packed=packed)

    data = load_dataset(name, tmp_path)

    assert data.name == name
    assert data.x_train.tolist() == [[[[0, 1, 2], [3, 4, 5]]], [[[6, 7, 8], [9, 10, 11]]]]
    assert data.x_test.tolist() == [[[[250, 251, 252], [253, 254, 255]]]]
    assert (data.y_train.tolist(), data.y_test.tolist()) == ([9, 0], [4])
    assert (data.x_train.dtype, data.x_test.dtype) == (np.uint8, np.uint8)
    assert (data.y_train.dtype, data.y_test.dtype) == (np.int64, np.int64)
    assert data.classes == 10


def test_plain_and_compressed_files_may_be_mixed(tmp_path: Path) -> None:
    write_small_set(tmp_path)
    write_idx(tmp_path / "train-labels-idx1-ubyte", [9, 0], 2, packed=True)
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    assert load_dataset("mnist", str(tmp_path)).y_train.tolist() == [9, 0]


def test_the_folder_of_that_name_comes_first(tmp_path: Path) -> None:
    # MNIST and Fashion-MNIST use the same file names.
    write_small_set(tmp_path, first=0)
    write_small_set(tmp_path / "fashion-mnist", first=100)
    assert load_dataset("mnist", tmp_path).x_train[0, 0, 0, 0] == 0
    assert load_dataset("fashion-mnist", tmp_path).x_train[0, 0, 0, 0] == 100


def test_an_incomplete_folder_is_passed_over(tmp_path: Path) -> None:
    write_small_set(tmp_path)
    write_small_set(tmp_path / "mnist", first=100)
    (tmp_path / "mnist/t10k-labels-idx1-ubyte").unlink()
    assert load_dataset("mnist", tmp_path).x_train[0, 0, 0, 0] == 0


def test_the_environment_names_the_folder_unless_the_caller_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_small_set(tmp_path / "a", first=10)
    write_small_set(tmp_path / "b", first=20)
    monkeypatch.setenv("PELLUCID_DATA_DIR", str(tmp_path / "a"))
    assert load_dataset("mnist").x_train[0, 0, 0, 0] == 10
    assert load_dataset("mnist", tmp_path / "b").x_train[0, 0, 0, 0] == 20


def error_of(name: str, folder: Path | None) -> str:
    with pytest.raises(DataError) as caught:
        load_dataset(name, folder, download=False)
    return str(caught.value)


def test_no_folder_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    assert error_of("usps", None) == (
        "the data set 'usps' was not found. Looked in\n"
        "  nowhere: no folder was given\n"
        "for train-images-idx3-ubyte, train-labels-idx1-ubyte, test-images-idx3-ubyte, test-labels-idx1-ubyte, each as "
        "it is or with .gz; or for usps.bz2 and usps.t.bz2.\n"
        "Give the folder that holds them, or that holds a folder usps, with --data-dir (in Python: data_dir=...) or in "
        "the environment variable PELLUCID_DATA_DIR; where neither is given, they are downloaded."
    )


def test_files_missing(tmp_path: Path) -> None:
    write_small_set(tmp_path)
    (tmp_path / "train-images-idx3-ubyte").unlink()
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    message = error_of("mnist", tmp_path)
    assert f"\n  {tmp_path / 'mnist'}: there is no such folder\n" in message
    assert f"\n  {tmp_path}: it lacks train-images-idx3-ubyte, t10k-labels-idx1-ubyte\n" in message
    assert f"for {', '.join(MNIST_FILES)}, each" in message


def test_images_and_labels_of_different_number(tmp_path: Path) -> None:
    write_small_set(tmp_path)
    write_idx(tmp_path / "train-labels-idx1-ubyte", [1, 2, 3], 3)
    message = error_of("mnist", tmp_path)
    assert message == (
        f"{tmp_path}/train-images-idx3-ubyte holds 2 images, but {tmp_path}/train-labels-idx1-ubyte 3 labels: "
        "they do not belong together"
    )


def test_label_out_of_range(tmp_path: Path) -> None:
    write_small_set(tmp_path)
    write_idx(tmp_path / "train-labels-idx1-ubyte", [3, 10], 2)
    assert "train-labels-idx1-ubyte: label 10 of sample 1 is not one of 0 to 9" in error_of("mnist", tmp_path)


def test_images_and_labels_swapped(tmp_path: Path) -> None:
    write_small_set(tmp_path)
    write_idx(tmp_path / "t10k-images-idx3-ubyte", [4], 1)
    assert "holds uint8[1], expected images as uint8 (N, H, W)" in error_of("mnist", tmp_path)
    write_small_set(tmp_path)
    write_idx(tmp_path / "t10k-labels-idx1-ubyte", [1, 2], 1, 2)
    assert "holds uint8[1, 2], expected labels as uint8 (N,)" in error_of("mnist", tmp_path)


def test_signed_numbers_are_no_pixels_and_no_labels(tmp_path: Path) -> None:
    write_small_set(tmp_path)
    write_idx(tmp_path / "train-images-idx3-ubyte", [0] * 12, 2, 2, 3, code=9)
    assert "holds int8[2, 2, 3], expected images as uint8 (N, H, W)" in error_of("mnist", tmp_path)
    write_small_set(tmp_path)
    write_idx(tmp_path / "train-labels-idx1-ubyte", [255, 0], 2, code=9)
    assert "holds int8[2], expected labels as uint8 (N,)" in error_of("mnist", tmp_path)


def test_training_and_test_images_of_different_size(tmp_path: Path) -> None:
    write_small_set(tmp_path)
    write_idx(tmp_path / "t10k-images-idx3-ubyte", [1, 2, 3, 4], 1, 2, 2)
    message = error_of("mnist", tmp_path)
    assert "has images of (2, 3) pixels" in message
    assert "of (2, 2): they are not of one data set" in message


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    write_small_set(tmp_path)
    path = tmp_path / "t10k-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1])
    assert f"{path}: its header claims uint8 numbers of shape (1, 2, 3), 6 bytes, but there are 5" in error_of(
        "mnist", tmp_path
    )
