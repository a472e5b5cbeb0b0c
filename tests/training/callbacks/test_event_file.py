"""TensorBoard's own reader is the oracle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pellucid.training.callbacks import event_file


def read(path: Path, *records: bytes) -> list[Any]:
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_file_loader", exc_type=ImportError)
    path.write_bytes(b"".join(records))
    return list(loader.RawEventFileLoader(str(path)).Load())


def parsed(path: Path, *records: bytes) -> list[Any]:
    raw = read(path, *records)
    proto = pytest.importorskip("tensorboard.compat.proto.event_pb2")
    return [proto.Event.FromString(data) for data in raw]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        # RFC 3720, B.4, and the check value of the catalogue of CRCs
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (b"123456789", 0xE3069283),
        (b"", 0),
    ],
)
def test_the_checksum_is_castagnolis(data: bytes, expected: int):
    assert event_file.crc(data) == expected


def test_scalars_are_read_back(tmp_path: Path):
    values = {"loss": 0.1, "größe": -3.5, "huge": 1e300, "tiny": 1e-300, "none": float("nan")}
    steps = (0, 1, 127, 128, 300, 2**31, 2**62)
    records = [event_file.scalars_record(step + 0.25, step, values) for step in steps]
    first, *events = parsed(tmp_path / "events", event_file.version_record(12.5), *records)
    assert (first.wall_time, first.file_version) == (12.5, "brain.Event:2")
    assert [event.step for event in events] == list(steps)
    for event in events:
        assert event.wall_time == event.step + 0.25
        assert [value.tag for value in event.summary.value] == list(values)
        read_back = [value.simple_value for value in event.summary.value]
        np.testing.assert_array_equal(read_back, np.array([0.1, -3.5, np.inf, 0, np.nan], np.float32))


def test_a_long_record_is_read_back(tmp_path: Path):
    values = {f"figure {i}": float(i) for i in range(2000)}
    (event,) = parsed(tmp_path / "events", event_file.scalars_record(0, 1, values))
    assert {value.tag: value.simple_value for value in event.summary.value} == values


@pytest.mark.parametrize(
    "numbers",
    [
        np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32),
        np.zeros(7),
        np.full(3, 1e30),
        np.array([1.0, np.nextafter(1.0, 2)]),
        np.array([-2.0]),
    ],
)
def test_histograms_are_read_back(tmp_path: Path, numbers: np.ndarray):
    (event,) = parsed(tmp_path / "events", event_file.histograms_record(0, 3, {"0.weight": numbers}))
    (value,) = event.summary.value
    histogram, wide = value.histo, numbers.astype(np.float64)
    assert (value.tag, event.step) == ("0.weight", 3)
    assert (histogram.min, histogram.max, histogram.num) == (wide.min(), wide.max(), wide.size)
    assert histogram.sum == pytest.approx(sum(wide.flat), rel=1e-12)
    assert histogram.sum_squares == pytest.approx(sum(x * x for x in wide.flat), rel=1e-12)
    limits, counts = list(histogram.bucket_limit), list(histogram.bucket)
    assert len(limits) == len(counts) == 31
    assert limits == sorted(set(limits))
    assert limits[0] <= wide.min()
    assert limits[-1] >= wide.max()
    for i in range(1, 31):
        last = i == 30  # np.histogram's last bucket has its upper end, the others their lower
        inside = (wide >= limits[i - 1]) & ((wide <= limits[i]) if last else (wide < limits[i]))
        assert counts[i] == inside.sum()
    assert counts[0] == 0


def test_a_changed_byte_is_noticed_by_the_reader(tmp_path: Path):
    record = event_file.scalars_record(0, 1, {"loss": 1.0})
    assert len(read(tmp_path / "whole", record)) == 1
    for place in range(len(record)):
        spoilt = bytearray(record)
        spoilt[place] ^= 1
        assert read(tmp_path / "spoilt", bytes(spoilt)) == []
