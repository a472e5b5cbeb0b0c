"""What a network reads of a source: checked, in order, and not too far ahead."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest
from sources import Rows, no_readers

from pellucid.data import stream
from pellucid.data.stream import Stream
from pellucid.errors import DataError, ShapeError
from pellucid.inputs import check_inputs, in_pieces, training_mean

X = np.random.default_rng(0).integers(0, 256, (40, 2, 3, 4), np.uint8)


def cut(size: int = 7) -> list[np.ndarray]:
    order = np.random.default_rng(1).permutation(len(X))
    return [order[i : i + size] for i in range(0, len(X), size)]


@pytest.mark.parametrize("threads", [1, 4])
def test_batches_come_in_order_whichever_is_read_first(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MOST_THREADS", threads)
    monkeypatch.setattr(stream.machine, "processors_worth", lambda: threads)
    waits = iter([0.02, 0, 0.01, 0, 0.005, 0])
    source = Rows(X, before=lambda rows: time.sleep(next(waits)))
    given, batches = Stream(source, (2, 3, 4)), cut()
    with given.ahead(batches):
        for rows in batches:
            np.testing.assert_array_equal(given[rows], X[rows])
    assert sorted(np.concatenate(source.asked)) == list(range(40))  # each of them once
    assert {thread.startswith("pellucid-read") for thread in source.threads} == {True}
    assert no_readers()


def test_what_was_not_announced_is_read_at_once() -> None:
    source = Rows(X)
    given, batches = Stream(source, (2, 3, 4)), cut()
    with given.ahead(batches):
        np.testing.assert_array_equal(given[batches[3]], X[batches[3]])
        np.testing.assert_array_equal(given[batches[0]], X[batches[0]])
        np.testing.assert_array_equal(given[batches[0]], X[batches[0]])  # again
        np.testing.assert_array_equal(given[batches[1]], X[batches[1]])
    np.testing.assert_array_equal(given[batches[2]], X[batches[2]])
    assert source.threads.count(threading.current_thread().name) == 3


@pytest.mark.parametrize(("room", "most", "expected"), [(10**9, 3, 3), (10**9, 64, 20), (5 * 48, 64, 5), (1, 64, 2)])
def test_so_many_are_read_ahead(room: int, most: int, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "AHEAD", room)
    monkeypatch.setattr(stream, "MOST_AHEAD", most)
    monkeypatch.setattr(stream, "MOST_THREADS", 1)
    source = Rows(X)
    given, batches = Stream(source, (2, 3, 4)), cut(2)
    with given.ahead(batches):
        for taken, rows in enumerate(batches):
            end = time.perf_counter() + 10
            while len(source.asked) < min(taken + expected, 20) and time.perf_counter() < end:
                time.sleep(1e-3)
            time.sleep(2e-3)
            assert len(source.asked) == min(taken + expected, 20)
            given[rows]


def test_a_part_is_read_by_its_own_rows() -> None:
    part = Stream(Rows(X), (2, 3, 4)).part(np.array([5, 0, 39, 7]))
    assert (part.shape, len(part), part.dtype) == ((4, 2, 3, 4), 4, np.dtype(np.uint8))
    np.testing.assert_array_equal(part[np.array([2, 0])], X[[39, 5]])
    np.testing.assert_array_equal(part.part(np.array([3, 2]))[np.array([1])], X[[39]])
    assert part.none().shape == (0, 2, 3, 4)


def test_one_channel_may_go_without_saying() -> None:
    given = check_inputs(Rows(X[:, 0]), (1, 3, 4))
    np.testing.assert_array_equal(given[np.array([4, 1])], X[[4, 1], :1])


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("per", ["channel", "pixel"])
def test_means(per: str, dtype: Any) -> None:
    rng = np.random.default_rng(3)
    x = (rng.integers(0, 256, (700, 2, 3, 4)) / (1 if dtype is np.uint8 else 7)).astype(dtype)
    rows = np.flatnonzero(rng.integers(0, 3, 700))
    over = (0, 2, 3) if per == "channel" else 0
    scale = 255 if dtype is np.uint8 else 1
    for some in (None, rows):
        chosen = x if some is None else x[some]
        expected = chosen.astype(np.longdouble).mean(over) / scale
        for given in (Stream(Rows(x), (2, 3, 4)), x):
            found = training_mean(given, per, some)
            assert found.shape == ((2, 1, 1) if per == "channel" else (2, 3, 4))
            np.testing.assert_allclose(found.reshape(expected.shape), expected.astype(float), rtol=1e-14)


def test_pieces() -> None:
    rows = np.array([9, 3, 4, 8, 1])
    for given in (X, Stream(Rows(X), (2, 3, 4))):
        for some, count in ((None, 40), (rows, 5)):
            pieces = list(in_pieces(given, 3, some))
            assert [len(piece) for piece in pieces] == [3] * (count // 3) + [count % 3]
            np.testing.assert_array_equal(np.concatenate(pieces), X if some is None else X[some])


@pytest.mark.parametrize(
    ("source", "error", "told"),
    [
        (Rows(X[:, :1]), ShapeError, r"inputs have shape \(40, 1, 3, 4\), the network takes \(N, 2, 3, 4\)"),
        (Rows(X[:0]), DataError, "there are no samples"),
        (Rows(X.astype(float)), DataError, r"a source must hold uint8 or float32 numbers, Rows\(\) has <f8"),
        (Rows(X.astype(">f4")), DataError, r"a source must hold uint8 or float32 numbers, Rows\(\) has >f4"),
    ],
)
def test_sources_that_do_not_fit(source: Rows, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        check_inputs(source, (2, 3, 4))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (X[:2], r"Rows\(\) gave uint8 \(2, 2, 3, 4\) for rows 4, 1, 7, expected uint8 \(3, 2, 3, 4\)"),
        (X[:3].astype(np.float32), r"Rows\(\) gave float32 \(3, 2, 3, 4\) for rows 4, 1, 7, expected uint8"),
        (X[:3].reshape(3, 24), r"Rows\(\) gave uint8 \(3, 24\) for rows 4, 1, 7, expected uint8 \(3, 2, 3, 4\)"),
        (X[:3].tolist(), r"Rows\(\) gave list for rows 4, 1, 7, expected"),
        (None, r"Rows\(\) gave NoneType for rows 4, 1, 7, expected"),
    ],
)
@pytest.mark.parametrize("ahead", [False, True])
def test_sources_that_give_something_else(given: Any, told: str, ahead: bool) -> None:
    stream, rows = Stream(Rows(X, gives=lambda rows: given), (2, 3, 4)), np.array([4, 1, 7])
    with stream.ahead([rows] if ahead else []), pytest.raises(DataError, match=told):
        stream[rows]
    assert no_readers()


@pytest.mark.parametrize("ahead", [False, True])
def test_what_is_not_finite_is_named(ahead: bool) -> None:
    x = X.astype(np.float32)
    x[7, 1, 2, 3] = np.inf
    stream, rows = Stream(Rows(x), (2, 3, 4)).part(np.arange(5, 15)), np.array([3, 5, 2])  # that is 8, 10 and 7
    with (
        stream.ahead([rows] if ahead else []),
        pytest.raises(DataError, match="sample 7 contains NaN or inf"),
    ):
        stream[rows]


@pytest.mark.parametrize("ahead", [False, True])
def test_why_a_source_fails_is_told(ahead: bool) -> None:
    cause = OSError(5, "Input/output error")

    def fail(rows: np.ndarray) -> None:
        raise cause

    stream, rows = Stream(Rows(X, before=fail), (2, 3, 4)), np.arange(4, 9)
    told = r"Rows\(\) failed to read rows 4, 5, 6, …: OSError: \[Errno 5\] Input/output error"
    with stream.ahead([rows] if ahead else []), pytest.raises(DataError, match=told) as caught:
        stream[rows]
    assert caught.value.__cause__ is cause


@pytest.mark.parametrize("error", [ShapeError("of our own"), MemoryError("no room")])
def test_errors_that_say_enough_stay_as_they_are(error: Exception) -> None:
    def fail(rows: np.ndarray) -> None:
        raise error

    with pytest.raises(type(error), match=str(error)) as caught:
        Stream(Rows(X, before=fail), (2, 3, 4))[np.arange(2)]
    assert caught.value is error
