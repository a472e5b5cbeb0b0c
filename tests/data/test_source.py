"""A ``.npy`` file as a source, held against the array that was saved; and files that are none."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pellucid.data import NpySource, Source, source
from pellucid.errors import DataError


@pytest.fixture(params=["native", "Python"], autouse=True)
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read by the compiled part, and as without a compiler."""
    if request.param == "Python":
        monkeypatch.setattr(source, "_reader", lambda: source._read_rows)
    else:
        native = pytest.importorskip("pellucid._native", reason="installed without a C++ compiler")
        assert source._reader() is native.read_rows


def saved(path: Path, shape: tuple[int, ...] = (50, 3, 4, 5), dtype: Any = np.uint8) -> np.ndarray:
    x = np.random.default_rng(0).integers(0, 256, shape).astype(dtype)
    np.save(path, x)
    return x


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("shape", [(50, 3, 4, 5), (50, 4, 5), (50, 1), (1, 1, 1, 1)])
def test_rows_are_those_of_the_array(shape: tuple[int, ...], dtype: Any, tmp_path: Path) -> None:
    x = saved(tmp_path / "x.npy", shape, dtype)
    given = NpySource(tmp_path / "x.npy")
    assert (given.shape, given.dtype, len(given)) == (shape, np.dtype(dtype), shape[0])
    assert isinstance(given, Source)
    last = shape[0] - 1
    several = [np.random.default_rng(1).integers(0, last + 1, 200), np.arange(last + 1), np.arange(last, -1, -1)]
    several += [np.array(rows, np.int64) for rows in ([], [last], [0, 0, last, last])]
    several += [np.r_[0 : last + 1, 0:last], np.arange(last + 1).repeat(2)[::2]]
    for rows in several:
        found = given.read(rows)
        np.testing.assert_array_equal(found, x[rows])
        assert found.dtype == dtype
        assert found.flags.owndata
        assert found.flags.writeable


def test_every_reading_is_an_array_of_its_own(tmp_path: Path) -> None:
    x = saved(tmp_path / "x.npy")
    with NpySource(str(tmp_path / "x.npy")) as given:
        first = given.read(np.array([3]))
        first[...] = 0
        np.testing.assert_array_equal(given.read(np.array([3])), x[[3]])


def test_headers_of_every_version_are_read(tmp_path: Path) -> None:
    x = np.arange(24, dtype=np.float32).reshape(4, 6)
    for version in ((1, 0), (2, 0), (3, 0)):
        with (tmp_path / "x.npy").open("wb") as file:
            np.lib.format.write_array(file, x, version)
        np.testing.assert_array_equal(NpySource(tmp_path / "x.npy").read(np.array([2])), x[[2]])


def test_a_file_with_holes_may_be_larger_than_memory(tmp_path: Path) -> None:
    path, sample = tmp_path / "large.npy", (3, 64, 64)
    rows = 2**42 // (3 * 64 * 64)  # 4 TiB
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (rows, *sample)})
        start = file.tell()
        try:
            file.truncate(start + rows * 3 * 64 * 64)
        except OSError as error:
            pytest.skip(f"this file system has no room for a file with a hole: {error}")
        file.seek(start + (rows - 2) * 3 * 64 * 64)
        file.write(bytes([7]))
    found = NpySource(path).read(np.array([rows - 2, 0]))
    assert found[0].ravel()[0] == 7
    assert found.sum() == 7


def test_what_is_closed_reads_no_more_and_lets_go_of_the_file(tmp_path: Path) -> None:
    saved(tmp_path / "x.npy")
    with NpySource(tmp_path / "x.npy") as given:
        number = given._file.number
        held = given._file  # as a reader in the middle of it does
    os.fstat(number)
    del held
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)
    with pytest.raises(DataError, match=r"x\.npy has been closed; open it again with NpySource\("):
        given.read(np.array([0]))
    given.close()  # once more does no harm


def test_it_says_what_it_is(tmp_path: Path) -> None:
    saved(tmp_path / "x.npy")
    assert repr(NpySource(tmp_path / "x.npy")) == f"NpySource({str(tmp_path / 'x.npy')!r}: uint8 (50, 3, 4, 5))"


def write(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def save(array: Any) -> Callable[[Path], object]:
    return lambda path: np.save(path, array, allow_pickle=True)


def cut_off(path: Path) -> None:
    saved(path)
    os.truncate(path, path.stat().st_size - 1)


def claim(shape: str) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
        path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)

    return write


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda path: None, r"x\.npy: there is no such file"),
        (lambda path: path.mkdir(), r"x\.npy cannot be read: Is a directory"),
        (write(b""), r"x\.npy is not a \.npy file as np\.save writes it: "),
        (write(b"PK\x03\x04" + bytes(100)), r"x\.npy is not a \.npy file as np\.save writes it: .*magic"),
        (write(b"\x93NUMPY\x01\x00\x76\x00{'descr': "), r"x\.npy is not a \.npy file"),
        (write(b"\x93NUMPY\x09\x00" + bytes(200)), r"x\.npy is not a \.npy file"),
        (cut_off, r"x\.npy is cut off: its header claims uint8 .*\(50, 3, 4, 5\), 3000 bytes, but there are 2999"),
        (claim("(9223372036854775807, 4294967296)"), r"x\.npy is cut off: its header claims .* but there are 0"),
        (claim("(-5, 3)"), r"x\.npy has shape \(-5, 3\), expected \(N, C, H, W\)"),
        (save(np.zeros((3, 4))), r"x\.npy holds <f8 numbers, expected uint8 or float32"),
        (save(np.zeros((3, 4), ">f4")), r"x\.npy holds >f4 numbers, .* in this machine's byte order"),
        (save(np.array([[{}]])), r"x\.npy holds \|O numbers, expected uint8 or float32"),
        (
            save(np.zeros((3, 4, 5), np.uint8, "F")),
            r"x\.npy is in Fortran order, .* np\.ascontiguousarray",
        ),
        (save(np.zeros(5, np.uint8)), r"x\.npy has shape \(5,\), expected \(N, C, H, W\), \(N, H, W\) or \(N, K\)"),
        (save(np.zeros((0, 5), np.uint8)), r"x\.npy has shape \(0, 5\), .* with samples in it"),
        (save(np.zeros((5, 0), np.uint8)), r"x\.npy has shape \(5, 0\), .* with samples in it"),
    ],
)
def test_files_that_are_none(make: Callable[[Path], object], told: str, tmp_path: Path) -> None:
    make(tmp_path / "x.npy")
    with pytest.raises(DataError, match=told):
        NpySource(tmp_path / "x.npy")


@pytest.mark.parametrize("rows", [[50], [-1], [0, 2**62]])
def test_rows_that_there_are_not(rows: list[int], tmp_path: Path) -> None:
    saved(tmp_path / "x.npy")
    with pytest.raises(DataError, match=rf"x\.npy has rows 0 to 49, asked for {min(rows)} to {max(rows)}"):
        NpySource(tmp_path / "x.npy").read(np.array(rows))


@pytest.mark.parametrize("rows", [[0, 30, 5], [29, 30, 31], [49]])
def test_a_file_that_has_become_shorter(rows: list[int], tmp_path: Path) -> None:
    x = saved(tmp_path / "x.npy")
    given = NpySource(tmp_path / "x.npy")
    os.truncate(tmp_path / "x.npy", (tmp_path / "x.npy").stat().st_size - 19 * 60 - 1)  # into row 30
    with pytest.raises(DataError, match=r"x\.npy has become shorter: it no longer reaches to row (30|31|49)$"):
        given.read(np.array(rows))
    np.testing.assert_array_equal(given.read(np.array([29, 0])), x[[29, 0]])


def test_what_the_system_says_is_told(tmp_path: Path) -> None:
    saved(tmp_path / "x.npy")
    given = NpySource(tmp_path / "x.npy")
    reading, writing = os.pipe()  # that cannot be read by position
    os.dup2(reading, given._file.number)
    with pytest.raises(DataError, match=r"x\.npy cannot be read: Illegal seek"):
        given.read(np.array([0, 1]))
    os.close(reading)
    os.close(writing)
