from __future__ import annotations

import bz2
from pathlib import Path

import pytest

from pellucid.data import load_dataset
from pellucid.errors import DataError


def line(label: int, pixels: dict[int, float], rest: float = -1) -> str:
    return f"{label} " + " ".join(f"{i}:{pixels.get(i, rest):g}" for i in range(1, 257)) + " \n"


def write(folder: Path, train: str, test: str) -> None:
    (folder / "usps.bz2").write_bytes(bz2.compress(train.encode()))
    (folder / "usps.t.bz2").write_bytes(bz2.compress(test.encode()))


def error_of(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        load_dataset("usps", folder)
    return str(caught.value)


def test_lines_become_images(tmp_path: Path) -> None:
    write(tmp_path, line(7, {1: 1, 2: 0.5, 17: -0.998, 256: 0}) + line(10, {}), line(1, {}, rest=1))
    data = load_dataset("usps", tmp_path)
    # The files count classes from 1, which stands for the digit 0.
    assert (data.y_train.tolist(), data.y_test.tolist()) == ([6, 9], [0])
    assert data.x_train.shape == (2, 1, 16, 16)
    first = data.x_train[0, 0]
    # −1 … 1 becomes 0 … 255: 1.5·127.5 = 191.25, 0.002·127.5 = 0.255, 127.5 is rounded to even
    assert (first[0, 0], first[0, 1], first[1, 0], first[15, 15]) == (255, 191, 0, 128)
    assert first.sum() == 255 + 191 + 128
    assert (data.x_train[1].max(), data.x_test.min()) == (0, 255)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "does not hold lines of a class and 256 numbered pixels from -1 to 1"),
        ("7 1:0.5\n", "does not hold lines of a class and 256 numbered pixels: "),
        ("<!DOCTYPE html>\n", "does not hold lines of a class and 256 numbered pixels: "),
        (line(1, {3: 1.5}), "numbered pixels from -1 to 1"),
        (line(1, {3: float("nan")}), "numbered pixels from -1 to 1"),
        (line(1, {}).replace(" 7:", " 8:"), "numbered pixels from -1 to 1"),
        (line(11, {}), "holds classes other than 1 to 10"),
        (line(0, {}), "holds classes other than 1 to 10"),
    ],
)
def test_other_text_is_refused(tmp_path: Path, text: str, told: str) -> None:
    write(tmp_path, text, line(1, {}))
    assert error_of(tmp_path).startswith(f"{tmp_path}/usps.bz2 ")
    assert told in error_of(tmp_path)


def test_files_cut_off_or_damaged(tmp_path: Path) -> None:
    write(tmp_path, line(1, {}), line(2, {}))
    path = tmp_path / "usps.t.bz2"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert error_of(tmp_path) == (f"{path} is cut off: its bzip2 stream does not end; copy or download it again")
    for place in range(0, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        assert error_of(tmp_path).startswith(f"{path} "), place
