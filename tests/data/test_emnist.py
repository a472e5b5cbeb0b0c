from __future__ import annotations

import contextlib
import gzip
import string
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pellucid.data import load_dataset
from pellucid.errors import DataError, DataNotFoundError


def idx(values: list[int], *shape: int) -> bytes:
    return gzip.compress(struct.pack(f">BBBB{len(shape)}I{len(values)}B", 0, 0, 8, len(shape), *shape, *values))


def contents(part: str, labels: list[int], first: int = 0) -> dict[str, bytes]:
    """Images of 2×3 pixels, as many to train with as labels but one, and one to test with."""
    count = len(labels) - 1
    return {
        f"emnist-{part}-train-images-idx3-ubyte.gz": idx(list(range(first, first + 6 * count)), count, 2, 3),
        f"emnist-{part}-train-labels-idx1-ubyte.gz": idx(labels[:-1], count),
        f"emnist-{part}-test-images-idx3-ubyte.gz": idx([200, 201, 202, 203, 204, 205], 1, 2, 3),
        f"emnist-{part}-test-labels-idx1-ubyte.gz": idx(labels[-1:], 1),
    }


def write_archive(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / "gzip.zip", "w") as archive:
        for name, content in files.items():
            archive.writestr(f"gzip/{name}", content)
    return folder / "gzip.zip"


def error_of(folder: Path, name: str = "emnist") -> str:
    with pytest.raises(DataError) as caught:
        load_dataset(name, folder)
    return str(caught.value)


def test_images_stand_upright_and_every_kind_is_found(tmp_path: Path) -> None:
    write_archive(tmp_path / "emnist", {**contents("balanced", [46, 0, 10]), **contents("letters", [26, 1, 3], 50)})
    balanced, letters = load_dataset("emnist", tmp_path), load_dataset("emnist-letters", tmp_path)
    # Columns of the file become rows.
    assert balanced.x_train.tolist() == [[[[0, 3], [1, 4], [2, 5]]], [[[6, 9], [7, 10], [8, 11]]]]
    assert balanced.x_test.tolist() == [[[[200, 203], [201, 204], [202, 205]]]]
    assert (balanced.x_train.dtype, balanced.y_train.dtype) == (np.uint8, np.int64)
    assert balanced.x_train.flags.c_contiguous
    assert [balanced.class_names[label] for label in (46, 0, 10, 35, 36)] == ["t", "0", "A", "Z", "a"]
    assert letters.x_train[0, 0, 0, 0] == 50
    # The files count letters from 1.
    assert letters.y_train.tolist() == [25, 0]
    assert [letters.class_names[label] for label in (25, 0, 2)] == ["Z", "A", "C"]


def test_class_names_are_those_of_the_paper() -> None:
    from pellucid.data.emnist import EMNIST

    kinds = {kind.name: kind.class_names for kind in EMNIST}
    assert {name: len(names) for name, names in kinds.items()} == {
        "emnist": 47,
        "emnist-bymerge": 47,
        "emnist-byclass": 62,
        "emnist-letters": 26,
        "emnist-digits": 10,
        "emnist-mnist": 10,
    }
    # Small letters that are merged with their capitals: C, I, J, K, L, M, O, P, S, U, V, W, X, Y and Z.
    apart = set(string.ascii_lowercase) - set("cijklmopsuvwxyz")
    assert kinds["emnist"][36:] == tuple(sorted(apart))


@pytest.mark.parametrize("place", ["emnist/gzip", "emnist", "gzip", "."])
def test_unpacked_files(tmp_path: Path, place: str) -> None:
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    for name, content in contents("digits", [9, 4]).items():
        (tmp_path / place / name).write_bytes(content)
    assert load_dataset("emnist-digits", tmp_path).y_train.tolist() == [9]


def test_not_found(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError) as caught:
        load_dataset("emnist-letters", tmp_path)
    message = str(caught.value)
    assert f"\n  {tmp_path}: it lacks gzip.zip\n" in message
    assert "or that holds a folder emnist, with --data-dir" in message


def test_archives_that_cannot_be_used(tmp_path: Path) -> None:
    path = write_archive(tmp_path, contents("balanced", [46, 0, 10]))
    whole = path.read_bytes()
    assert error_of(tmp_path, "emnist-digits") == (
        f"{path} does not hold emnist-digits-train-images-idx3-ubyte.gz; copy or download it again"
    )
    for length in (0, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert error_of(tmp_path).startswith(f"{path} is cut off or damaged: ")
    for place in range(60, len(whole) // 4, 7):  # in the first file: header, gzip stream
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with contextlib.suppress(DataError):  # a bit that says nothing, of the time for instance, may be wrong
            assert load_dataset("emnist", tmp_path).x_train.tolist()[0] == [[[0, 3], [1, 4], [2, 5]]]


def test_labels_out_of_range(tmp_path: Path) -> None:
    path = write_archive(tmp_path, contents("letters", [0, 1, 2]))
    assert error_of(tmp_path, "emnist-letters") == (
        f"{path}/emnist-letters-train-labels-idx1-ubyte.gz: label 0 of sample 0 is not one of 1 to 26"
    )
    write_archive(tmp_path, contents("letters", [27, 1, 2]))
    assert "label 27 of sample 0 is not one of " in error_of(tmp_path, "emnist-letters")


def test_a_folder_instead_of_the_archive(tmp_path: Path) -> None:
    (tmp_path / "gzip.zip").mkdir()
    assert "it lacks gzip.zip" in error_of(tmp_path)


def test_the_archive_is_not_unpacked_to_disk(tmp_path: Path) -> None:
    write_archive(tmp_path, contents("mnist", [3, 5]))
    assert load_dataset("emnist-mnist", tmp_path).y_test.tolist() == [5]
    assert [path.name for path in tmp_path.iterdir()] == ["gzip.zip"]
