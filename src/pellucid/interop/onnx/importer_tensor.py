"""Tensors of an ONNX file, held against what they claim before any memory is taken for them."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from pellucid.arrays import Array
from pellucid.errors import ModelFileError

#: TensorProto.DataType to NumPy's name and the field that holds such numbers if they are not raw bytes
_TYPES = {
    1: ("float32", "float_data"),
    2: ("uint8", "int32_data"),
    3: ("int8", "int32_data"),
    4: ("uint16", "int32_data"),
    5: ("int16", "int32_data"),
    6: ("int32", "int32_data"),
    7: ("int64", "int64_data"),
    9: ("bool", "int32_data"),
    10: ("float16", "int32_data"),
    11: ("float64", "double_data"),
    12: ("uint32", "uint64_data"),
    13: ("uint64", "uint64_data"),
}
_EXTERNAL = 1


def dtype_name(code: int) -> str | None:
    """Return NumPy's name of an ONNX element type; None for one that is not taken here."""
    return _TYPES[code][0] if code in _TYPES else None


def to_array(tensor: Any, folder: Path | None) -> Array:
    """Return the numbers of a TensorProto.

    Args:
        tensor: the message.
        folder: where files that hold its numbers may lie; None to refuse such.

    Raises:
        ModelFileError: an element type that is not taken, numbers that are not as many as the shape says, or that lie
            in another file.
    """
    if tensor.data_type not in _TYPES:
        raise ModelFileError(
            f"tensor {tensor.name!r} has element type {tensor.data_type}; only plain numbers are taken"
        )
    name, field = _TYPES[tensor.data_type]
    dtype, shape = np.dtype(name), tuple(int(n) for n in tensor.dims)
    if any(n < 0 for n in shape):
        raise ModelFileError(f"tensor {tensor.name!r} claims the shape {list(shape)}, which has a negative length")
    claimed = prod(shape)
    if tensor.data_location == _EXTERNAL or len(tensor.external_data):
        data = _external(tensor, folder, claimed * dtype.itemsize)
    elif tensor.HasField("raw_data"):
        data = tensor.raw_data
    else:
        _require_size(tensor, shape, claimed, len(getattr(tensor, field)), "numbers")
        values = np.array(getattr(tensor, field))
        return _typed(tensor, values, dtype).reshape(shape)
    _require_size(tensor, shape, claimed * dtype.itemsize, len(data), "bytes")
    return np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype, copy=False).reshape(shape)


def _typed(tensor: Any, values: Array, dtype: np.dtype[Any]) -> Array:
    if dtype == np.float16:  # its bits, one number to an int32
        return values.astype(np.uint16).view(np.float16)
    if dtype.kind in "iu" and values.size:
        limits = np.iinfo(dtype)
        if values.min() < limits.min or values.max() > limits.max:
            raise ModelFileError(f"tensor {tensor.name!r} holds numbers that do not fit its type, {dtype}")
    return values.astype(dtype)


def _require_size(tensor: Any, shape: tuple[int, ...], claimed: int, there: int, what: str) -> None:
    if there != claimed:
        raise ModelFileError(
            f"tensor {tensor.name!r} claims the shape {list(shape)}, {claimed:,} {what}, and holds {there:,}: the file "
            "is damaged or cut off"
        )


def _external(tensor: Any, folder: Path | None, claimed: int) -> bytes:
    told = {entry.key: entry.value for entry in tensor.external_data}
    location = told.get("location", "")
    where = f"tensor {tensor.name!r} lies in another file, {location!r}"
    if folder is None:
        raise ModelFileError(
            f"{where} (external data), and no file is read that was not asked for. Give the model's path with "
            "external_data=True to read it from the model's folder, or make it one file: onnx.save(onnx.load(path), "
            "new_path)"
        )
    path = (folder / location).resolve()
    if not location or not path.is_relative_to(folder.resolve()):
        raise ModelFileError(f"{where}, which is not in the model's folder; only files there are read")
    offset, length = (_number(where, told.get(key, default)) for key, default in (("offset", "0"), ("length", None)))
    try:
        there = path.stat().st_size
        if max(offset + claimed, offset + (claimed if length is None else length)) > there or length not in (
            None,
            claimed,
        ):
            raise ModelFileError(
                f"{where}: it should hold {claimed:,} bytes from byte {offset:,} on, "
                f"is announced with {'no length' if length is None else f'{length:,}'}, and ends at byte {there:,}"
            )
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(claimed)
    except OSError as error:
        raise ModelFileError(f"{where}, which cannot be read: {error.strerror or error}") from error


def _number(where: str, text: str | None) -> Any:
    """Return an offset or a length; None if it is left out."""
    if text is not None and not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ModelFileError(f"{where}, at {text!r}, which is not a place in a file")
    return None if text is None else int(text)
