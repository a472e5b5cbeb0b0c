"""IDX files, the format MNIST came in: a big-endian header, then the numbers; plain or gzip-compressed.

::

    00 00 | type | D | size₁ … size_D (4 bytes each) | the numbers, last dimension fastest
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from pellucid.arrays import Array
from pellucid.errors import DataError

#: type byte of the header to the NumPy type of the numbers
TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP = b"\x1f\x8b"
CHUNK = 1 << 20


def read_idx(path: str | Path) -> Array:
    """Read an IDX file into an array of its own shape and type, in this machine's byte order.

    Whether the file is compressed is told by its first bytes, not by its name.

    Args:
        path: the file; 1 to 4 dimensions.

    Raises:
        DataError: the file is missing, cannot be read, is no IDX file, or does not hold the numbers its header claims.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            return parse_idx(file, path)
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def parse_idx(file: IO[bytes], path: Path) -> Array:
    """Read what :func:`read_idx` reads from an open file; ``path`` stands in the errors.

    Raises:
        DataError: it is no IDX file, or damaged.
        OSError: it cannot be read.
    """
    packed = file.read(2) == _GZIP
    file.seek(0)
    try:
        return _parse(gzip.GzipFile(fileobj=file) if packed else file, path)
    except EOFError:
        raise DataError(f"{path} is cut off: its gzip stream does not end; copy or download it again") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is damaged: gzip says {error}; copy or download it again") from error


def _parse(stream: IO[bytes] | gzip.GzipFile, path: Path) -> Array:
    magic = stream.read(4)
    if not magic:
        raise DataError(f"{path} is empty")
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in TYPES or not 1 <= magic[3] <= 4:
        raise DataError(
            f"{path} is not an IDX file: it begins with {magic.hex(' ')}, expected 00 00, a type "
            f"({', '.join(f'{code:02x}' for code in TYPES)}) and 01 to 04 dimensions"
        )
    sizes = stream.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise DataError(f"{path} is cut off inside its header; copy or download it again")
    shape = tuple(int.from_bytes(sizes[i : i + 4], "big") for i in range(0, len(sizes), 4))
    dtype = np.dtype(TYPES[magic[2]])
    claimed = math.prod(shape) * dtype.itemsize
    if not claimed:
        raise DataError(f"{path} holds no numbers: its header claims shape {shape}")
    numbers = read_at_most(stream, claimed + 1)
    if len(numbers) != claimed:
        fault = "bytes are left over" if len(numbers) > claimed else f"there are {len(numbers)}: the file is cut off"
        raise DataError(
            f"{path}: its header claims {dtype.name} numbers of shape {shape}, {claimed} bytes, but {fault}; "
            "copy or download it again"
        )
    return np.frombuffer(numbers, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def read_at_most(stream: IO[bytes] | gzip.GzipFile, limit: int) -> bytearray:
    """Read up to ``limit`` bytes; a header that claims more than there is costs no memory."""
    data = bytearray()
    while len(data) < limit and (chunk := stream.read(min(CHUNK, limit - len(data)))):
        data += chunk
    return data
