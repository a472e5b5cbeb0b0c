"""TensorBoard's event files, written without TensorFlow.

A file is a row of records, a record is an ``Event`` of Protocol Buffers::

    record = length (8 bytes) | masked CRC of the length (4) | event | masked CRC of the event (4)      little-endian

    Event   = 1: wall_time double | 2: step int64 | 3: file_version string | 5: Summary
    Summary = 1: Value, repeated
    Value   = 1: tag string | 2: simple_value float | 5: HistogramProto
    HistogramProto = 1: min | 2: max | 3: num | 4: sum | 5: sum_squares | 6: bucket_limit, packed | 7: bucket, packed

The CRC is Castagnoli's; masked, it is turned right by 15 bits and 0xA282EAD8 is added, so that the checksum of data
that hold checksums keeps its strength.

Source: TensorFlow, core/util/event.proto, core/framework/summary.proto and core/lib/io/record_writer.cc; Castagnoli,
Bräuer & Herrmann 1993 (the polynomial).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

import numpy as np

from pellucid.arrays import Array

#: Castagnoli's polynomial, lowest power in the highest bit
_POLYNOMIAL = 0x82F63B78
_BUCKETS = 30
_VARINT, _DOUBLE, _BYTES, _FLOAT = 0, 1, 2, 5  # wire types


def version_record(wall_time: float) -> bytes:
    """Return the record that every file begins with."""
    return record(_double(1, wall_time) + _bytes(3, b"brain.Event:2"))


def scalars_record(wall_time: float, step: int, values: Mapping[str, float]) -> bytes:
    """Return a record of figures by tag."""
    summary = [_bytes(1, _bytes(1, tag.encode()) + _float(2, value)) for tag, value in values.items()]
    return _event(wall_time, step, summary)


def histograms_record(wall_time: float, step: int, arrays: Mapping[str, Array]) -> bytes:
    """Return a record of how the numbers of arrays are spread, by tag."""
    return _event(wall_time, step, [_bytes(1, _bytes(1, tag.encode()) + _histogram(x)) for tag, x in arrays.items()])


def _event(wall_time: float, step: int, values: list[bytes]) -> bytes:
    return record(_double(1, wall_time) + _key(2, _VARINT) + _varint(step) + _bytes(5, b"".join(values)))


def record(event: bytes) -> bytes:
    """Frame an event with its length and checksums."""
    length = struct.pack("<Q", len(event))
    return length + struct.pack("<I", masked(crc(length))) + event + struct.pack("<I", masked(crc(event)))


def crc(data: bytes) -> int:
    """Return Castagnoli's 32-bit cyclic redundancy check."""
    value = 0xFFFFFFFF
    for byte in data:
        value = _TABLE[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFF


def masked(checksum: int) -> int:
    """Return the checksum as it stands in the file."""
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _table_entry(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
    return byte


_TABLE = [_table_entry(byte) for byte in range(256)]


def _key(field: int, wire_type: int) -> bytes:
    return _varint(field << 3 | wire_type)


def _varint(value: int) -> bytes:
    """Return a number that is not negative, seven bits a byte, the lowest first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _histogram(array: Array) -> bytes:
    values = array.astype(np.float64).ravel()
    low, high = values.min(), values.max()
    slack = 1e-9 * max(abs(low), abs(high))  # numbers that all but agree leave no room for the buckets
    spread = (low, high) if high - low > slack else (low - slack, high + slack)
    counts, edges = np.histogram(values, bins=_BUCKETS, range=spread)
    sums = low, high, values.size, values.sum(), (values**2).sum()
    # A bucket reaches from the limit before it to its own: an empty one gives the first its lower end.
    limits, buckets = edges.astype("<f8"), np.concatenate([[0], counts]).astype("<f8")
    figures = b"".join(_double(field, value) for field, value in enumerate(sums, start=1))
    return _bytes(5, figures + _bytes(6, limits.tobytes()) + _bytes(7, buckets.tobytes()))


def _double(field: int, value: float) -> bytes:
    return _key(field, _DOUBLE) + struct.pack("<d", value)


def _float(field: int, value: float) -> bytes:
    with np.errstate(over="ignore"):
        return _key(field, _FLOAT) + np.array(value, np.float64).astype("<f4").tobytes()


def _bytes(field: int, value: bytes) -> bytes:
    return _key(field, _BYTES) + _varint(len(value)) + value
