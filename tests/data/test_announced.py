"""What a file is told before it is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pellucid.data import NpySource
from pellucid.data.announced import Announced
from pellucid.data.stream import Stream
from pellucid.errors import DataError


@pytest.mark.parametrize("ahead", [1, 3, 50])
def test_batches_are_told_in_order_and_not_too_early(ahead: int) -> None:
    batches = [np.arange(4) + 4 * i for i in range(9)]
    diary: list[tuple[str, int]] = []

    def read(rows: np.ndarray) -> np.ndarray:
        diary.append(("read", int(rows[0]) // 4))
        return -rows

    with Announced(lambda rows: diary.append(("told", int(rows[0]) // 4)), read, batches, ahead) as reading:
        for rows in batches:
            assert reading.is_next(rows)
            assert not reading.is_next(rows.copy())
            np.testing.assert_array_equal(reading.take(), -rows)
        assert not reading.is_next(batches[-1])
    told, taken = ([number for what, number in diary if what == kind] for kind in ("told", "read"))
    assert told == taken == list(range(9))
    for number in range(9):
        before = [n for what, n in diary[: diary.index(("read", number))] if what == "told"]
        assert len(before) == min(number + 1 + ahead, 9)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_a_file_is_read_by_several_threads_as_by_one(threads: int, tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, (300, 2, 3, 4)).astype(np.uint8)
    np.save(tmp_path / "x.npy", x)
    order = np.random.default_rng(1).permutation(300)
    batches = [order[i : i + 7] for i in range(0, 300, 7)]
    with NpySource(tmp_path / "x.npy") as source:
        stream = Stream(source, (2, 3, 4), threads=threads)
        with stream.ahead(batches):
            for rows in batches:
                np.testing.assert_array_equal(stream[rows], x[rows])
        few = np.array([5])
        np.testing.assert_array_equal(source.read(few, threads), x[few])
        source.announce(few, threads)
    with pytest.raises(DataError, match=r"x\.npy has been closed"):
        source.announce(few)


@pytest.mark.parametrize("threads", [1, 3])
def test_where_a_file_ends_too_early_is_told_whoever_finds_it(threads: int, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((100, 50), np.uint8))
    source = NpySource(tmp_path / "x.npy")
    with (tmp_path / "x.npy").open("r+b") as file:
        file.truncate((tmp_path / "x.npy").stat().st_size - 30 * 50)
    with pytest.raises(DataError, match=r"x\.npy has become shorter: it no longer reaches to row 99"):
        source.read(np.arange(100), threads)


def test_threads_that_are_none() -> None:
    native = pytest.importorskip("pellucid._native", reason="installed without a C++ compiler")
    with pytest.raises(ValueError, match="threads must be at least 1"):
        native.read_rows(0, 0, np.arange(1), np.zeros((1, 1), np.uint8), 0)
    with pytest.raises(ValueError, match="threads must be at least 1"):
        native.announce_rows(0, 0, np.arange(1), 1, 0)
