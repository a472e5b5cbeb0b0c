from __future__ import annotations

import gzip
import hashlib
import math
import os
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest

from pellucid.data import read_idx
from pellucid.errors import DataError

SHARED = Path(__file__).parents[2] / "../shared/data"

# code, struct format, NumPy type
TYPES = [(0x08, "B", "uint8"), (0x09, "b", "int8"), (0x0B, "h", "int16"), (0x0C, "i", "int32"), (0x0D, "f", "float32"),
         (0x0E, "d", "float64")]  # fmt: skip


def pack(code: int, letter: str, shape: tuple[int, ...], numbers: list[float]) -> bytes:
    """Write an IDX file with nothing but struct."""
    return struct.pack(f">BBBB{len(shape)}I{len(numbers)}{letter}", 0, 0, code, len(shape), *shape, *numbers)


def says(data: bytes) -> tuple[tuple[int, ...], list[float]] | None:
    """Return the shape and the numbers that plain IDX bytes spell, or None if they are not a whole IDX file."""
    letters = {code: letter for code, letter, _ in TYPES}
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in letters or not 1 <= data[3] <= 4:
        return None
    body = 4 + 4 * data[3]
    if len(data) < body:
        return None
    shape = struct.unpack_from(f">{data[3]}I", data, 4)
    count = math.prod(shape)
    letter = letters[data[2]]
    if count == 0 or len(data) - body != count * struct.calcsize(letter):
        return None
    return shape, list(struct.unpack_from(f">{count}{letter}", data, body))


def error_of(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_idx(path)
    message = str(caught.value)
    assert str(path) in message
    return message


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("shape", [(6,), (3, 2), (1, 3, 2), (2, 1, 3, 1)], ids=str)
@pytest.mark.parametrize(("code", "letter", "name"), TYPES, ids=[name for *_, name in TYPES])
def test_every_type_and_dimension_is_read(
    tmp_path: Path, code: int, letter: str, name: str, shape: tuple[int, ...], packed: bool
) -> None:
    least, most = {"B": (0, 255), "b": (-128, 127), "h": (-32768, 32767), "i": (-(2**31), 2**31 - 1)}.get(
        letter, (-0.125, 65536.5)
    )
    numbers = [least, most, 1, 2, 3, 100]
    path = tmp_path / "numbers"
    data = pack(code, letter, shape, numbers)
    path.write_bytes(gzip.compress(data) if packed else data)

    array = read_idx(path)

    assert array.shape == shape
    assert array.dtype == np.dtype(name)
    assert array.dtype.isnative
    assert array.flags.writeable
    assert array.ravel().tolist() == numbers


def test_the_first_dimension_is_the_slowest(tmp_path: Path) -> None:
    path = tmp_path / "maps"
    path.write_bytes(pack(0x0B, "h", (2, 2, 3), list(range(12))))
    assert read_idx(path).tolist() == [[[0, 1, 2], [3, 4, 5]], [[6, 7, 8], [9, 10, 11]]]


def test_compression_is_told_by_content_not_by_name(tmp_path: Path) -> None:
    data = pack(0x08, "B", (3,), [7, 8, 9])
    (tmp_path / "plain.gz").write_bytes(data)
    (tmp_path / "packed.idx").write_bytes(gzip.compress(data))
    assert read_idx(tmp_path / "plain.gz").tolist() == [7, 8, 9]
    assert read_idx(str(tmp_path / "packed.idx")).tolist() == [7, 8, 9]


def test_a_gzip_file_of_several_members_is_one_stream(tmp_path: Path) -> None:
    data = pack(0x08, "B", (4,), [1, 2, 3, 4])
    path = tmp_path / "two.gz"
    path.write_bytes(gzip.compress(data[:9]) + gzip.compress(data[9:]))
    assert read_idx(path).tolist() == [1, 2, 3, 4]


def test_missing_file(tmp_path: Path) -> None:
    assert "there is no such file" in error_of(tmp_path / "nowhere")


def test_folder(tmp_path: Path) -> None:
    assert "cannot be read: Is a directory" in error_of(tmp_path)


@pytest.mark.parametrize("data", [b"", gzip.compress(b"")], ids=["plain", "gzip"])
def test_empty_file(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "empty"
    path.write_bytes(data)
    assert error_of(path) == f"{path} is empty"


@pytest.mark.parametrize(
    "magic", [b"\x89PNG\r\n\x1a\n", b"\0", b"\0\0\x0a\1", b"\1\0\x08\1", b"\0\0\x08\0", b"\0\0\x08\5"], ids=repr
)
def test_wrong_magic(tmp_path: Path, magic: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(magic)
    message = error_of(path)
    assert f"is not an IDX file: it begins with {magic[:4].hex(' ')}," in message
    assert "expected 00 00, a type (08, 09, 0b, 0c, 0d, 0e) and 01 to 04 dimensions" in message


def test_cut_inside_the_header(tmp_path: Path) -> None:
    path = tmp_path / "cut"
    path.write_bytes(pack(0x08, "B", (2, 2), [1, 2, 3, 4])[:11])
    assert "is cut off inside its header" in error_of(path)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_fewer_and_more_numbers_than_claimed(tmp_path: Path, packed: bool) -> None:
    data = pack(0x0C, "i", (2, 2), [1, 2, 3, 4])
    wrap = gzip.compress if packed else bytes
    path = tmp_path / "wrong"
    path.write_bytes(wrap(data[:-1]))
    assert "claims int32 numbers of shape (2, 2), 16 bytes, but there are 15: the file is cut off" in error_of(path)
    path.write_bytes(wrap(data + b"\0"))
    assert "claims int32 numbers of shape (2, 2), 16 bytes, but bytes are left over" in error_of(path)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_lying_header_allocates_nothing(tmp_path: Path, packed: bool) -> None:
    # 4 × (2³² − 1)⁴ numbers of 8 bytes: an array of this size cannot even be described.
    path = tmp_path / "huge"
    data = pack(0x0E, "d", (2**32 - 1,) * 4, [1.0])
    path.write_bytes(gzip.compress(data) if packed else data)
    assert "but there are 8: the file is cut off" in error_of(path)


def test_a_dimension_of_nothing(tmp_path: Path) -> None:
    path = tmp_path / "none"
    path.write_bytes(pack(0x08, "B", (0, 28, 28), []))
    assert "holds no numbers: its header claims shape (0, 28, 28)" in error_of(path)


def test_a_bomb_is_not_unpacked_beyond_what_the_header_claims(tmp_path: Path) -> None:
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(pack(0x08, "B", (4,), [1, 2, 3, 4]) + bytes(200_000_000), compresslevel=1))
    tracemalloc.start()
    try:
        assert "bytes are left over" in error_of(path)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_damaged_gzip(tmp_path: Path) -> None:
    good = bytearray(gzip.compress(pack(0x08, "B", (50,), list(range(50)))))
    path = tmp_path / "damaged.gz"
    path.write_bytes(good[:-9])
    assert "is cut off: its gzip stream does not end" in error_of(path)
    path.write_bytes(good + b"more")
    assert "is damaged: gzip says" in error_of(path)
    good[-5] ^= 1
    path.write_bytes(good)
    assert "is damaged: gzip says CRC check failed" in error_of(path)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may read any file")
def test_unreadable_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"\0")
    path.chmod(0)
    assert "cannot be read: Permission denied" in error_of(path)


def is_read_as(path: Path, said: tuple[tuple[int, ...], list[float]] | None) -> bool:
    """Assert that reading gives what the bytes say, or a DataError that names the file; tell which."""
    try:
        array = read_idx(path)
    except DataError as error:
        message = str(error)
        array = None
    if array is None:
        assert said is None
        assert str(path) in message
        return False
    assert said is not None
    shape, numbers = said
    assert array.shape == shape
    np.testing.assert_array_equal(array.ravel(), numbers)
    return True


def flips(data: bytes, rng: np.random.Generator, tries: int) -> list[bytes]:
    """Return copies of ``data`` with one byte changed: every byte, to a few small and a few random values."""
    return [
        data[:place] + bytes([value]) + data[place + 1 :]
        for place in range(len(data))
        for value in {0, 1, 2, 3, 4, 255, *rng.integers(0, 256, tries).tolist()} - {data[place]}
    ]


def test_no_damage_to_a_plain_file_gives_anything_but_its_numbers_or_a_data_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    path = tmp_path / "fuzz"
    read: list[bool] = []
    for code, letter, shape in [(0x08, "B", (3, 4)), (0x0B, "h", (2, 2, 3)), (0x0D, "f", (1, 2, 1, 2))]:
        good = pack(code, letter, shape, rng.integers(0, 100, int(np.prod(shape))).tolist())
        for data in [good[:length] for length in range(len(good))] + flips(good, rng, 12):
            path.write_bytes(data)
            read.append(is_read_as(path, says(data)))
    assert read.count(True) > 300
    assert read.count(False) > 600


def test_no_damage_to_a_gzip_file_gives_anything_but_its_numbers_or_a_data_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    plain = pack(0x08, "B", (5, 8), rng.integers(0, 256, 40).tolist())
    good = gzip.compress(plain, mtime=0)
    path = tmp_path / "fuzz.gz"
    for length in range(len(good)):
        path.write_bytes(good[:length])
        assert not is_read_as(path, None)
    read = 0
    for data in flips(good, rng, 12):
        path.write_bytes(data)
        try:
            whole = gzip.decompress(data)
        except (OSError, EOFError, zlib.error):
            whole = b""
        # The numbers lie under gzip's checksum: only what it says of time, level and system may change unnoticed.
        assert whole in (b"", plain)
        read += is_read_as(path, says(whole))
    assert 0 < read < 200


# SHA-256 of the published files, uncompressed
MNIST = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


@pytest.mark.parametrize("folder", ["mnist", "fashion-mnist", "usps"])
def test_real_files_are_read_byte_for_byte(folder: str) -> None:
    if not (SHARED / folder).is_dir():
        pytest.skip("needs the shared data folder beside the project")
    for line in (SHARED / folder / "SHA256SUMS").read_text().splitlines():
        checksum, name = line.split()
        path = SHARED / folder / name
        packed = path.read_bytes()
        assert hashlib.sha256(packed).hexdigest() == checksum

        array = read_idx(path)

        spelt = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()
        assert spelt == zlib.decompress(packed, wbits=31)
        if folder == "mnist":
            assert hashlib.sha256(spelt).hexdigest() == MNIST[path.stem]
