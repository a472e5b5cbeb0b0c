"""The model file, and the checkpoint: safetensors, with a description as JSON in their metadata.

::

    N (8 bytes, little-endian) | header: N bytes of JSON | the tensors' bytes

    header = {"__metadata__": {"format": "pellucid", "description": "{…}", "sha256": "…"},
              "0.weight": {"dtype": "F32", "shape": [6, 1, 5, 5], "data_offsets": [0, 600]}, …}

``format`` is ``"pellucid-checkpoint"`` in a checkpoint. ``sha256`` is the checksum of the whole file with 64 zeros in
its own place, so that any changed byte shows. Nothing in the file is ever run: there is no pickle.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from pellucid.arrays import Array, Tensors
from pellucid.errors import ModelFileError
from pellucid.interop.atomic import write_atomically

#: what the metadata call a network, and a training that can go on
MODEL, CHECKPOINT = "pellucid", "pellucid-checkpoint"

_BLANK = "0" * 64
# Inside the description, itself a JSON string, the quotes are escaped: this matches the checksum's own place only.
_CHECKSUM = re.compile(rb'"sha256":"[0-9a-f]{64}"')
_AGAIN = "copy or download it again, or save the network again"


def write(path: Path, description: Mapping[str, Any], tensors: Mapping[str, Array], kind: str = MODEL) -> None:
    """Write a file, whole or not at all; :func:`to_bytes` tells what is in it.

    Args:
        path: the file; replaced if it is there.
        description, tensors: as there.
        kind: :data:`MODEL` or :data:`CHECKPOINT`.

    Raises:
        FileWriteError: the file cannot be written.
    """
    write_atomically(path, *_laid_out(description, tensors, kind))


def to_bytes(description: Mapping[str, Any], tensors: Mapping[str, Array]) -> bytes:
    """Return the bytes of a model file; the same description and tensors give the same bytes.

    Args:
        description: plain JSON types.
        tensors: arrays of floats, integers or booleans by name.
    """
    return b"".join(_laid_out(description, tensors, MODEL))


def _laid_out(description: Mapping[str, Any], tensors: Mapping[str, Array], kind: str) -> list[bytes | memoryview]:
    """Return a file's bytes, the tensors' where they lie if their order allows."""
    # Laid out here because safetensors' own writer orders the metadata differently from one run to the next.
    metadata = {"format": kind, "description": json.dumps(description), "sha256": _BLANK}
    header: dict[str, Any] = {"__metadata__": metadata}
    parts: list[memoryview] = []
    start = 0
    # Wide numbers first, so that every tensor starts at a multiple of its own width.
    for name, tensor in sorted(tensors.items(), key=lambda item: (-item[1].itemsize, item[0])):
        part = np.ascontiguousarray(tensor, tensor.dtype.newbyteorder("<")).reshape(-1).view(np.uint8)
        header[name] = {"dtype": _dtype_name(tensor), "shape": tensor.shape, "data_offsets": (start, start + len(part))}
        parts.append(part.data)
        start += len(part)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    head = len(text).to_bytes(8, "little") + text
    return [_with_checksum(head, _checksum(head, *parts)), *parts]


def read(path: Path, kind: str = MODEL) -> tuple[dict[str, Any], Tensors]:
    """Return the description and the tensors of a file.

    Raises:
        ModelFileError: the file is missing, cut, damaged, or not one that :func:`write` wrote as this kind.
    """
    return from_bytes(_contents(path), path, kind)


def from_bytes(data: bytes, path: Path | str, kind: str = MODEL) -> tuple[dict[str, Any], Tensors]:
    """Return the description and the tensors that a file's bytes hold.

    Args:
        data: what :func:`to_bytes` gave.
        path: what to call them in an error.
        kind: :data:`MODEL` or :data:`CHECKPOINT`.

    Raises:
        ModelFileError: they are cut, damaged, or not what :func:`to_bytes` gave.
    """
    head, header = _header(path, data)
    match header:
        case {"__metadata__": {"format": str(own), "description": str(text), "sha256": str(checksum)}} if own == kind:
            pass
        case _ if kind == CHECKPOINT:
            raise ModelFileError(f"{path} is a safetensors file, but its metadata tell of no training")
        case {"__metadata__": {"format": "pellucid-checkpoint"}}:
            raise ModelFileError(
                f"{path} is a checkpoint, not a model: fit(..., checkpoints=Checkpoints(folder, resume=True)) goes on "
                "from it"
            )
        case _:
            raise ModelFileError(
                f"{path} is a safetensors file, but not a Pellucid model: its metadata describe no network. To take "
                "weights from it, build the network and call pellucid.interop.torch.load_state_dict(net, path)"
            )
    if checksum != _checksum(head, memoryview(data)[len(head) :]):
        raise ModelFileError(f"{path} is damaged: its bytes do not match their checksum; {_AGAIN}")
    try:
        description = _json_object(text)
    except ValueError as error:
        raise ModelFileError(f"{path}: the description of the network is {error}; save the network again") from error
    return description, _tensors(path, data)


def read_tensors(path: Path) -> Tensors:
    """Return the tensors of any safetensors file.

    Raises:
        ModelFileError: the file is missing, cut, damaged, or not safetensors.
    """
    data = _contents(path)
    _header(path, data)
    return _tensors(path, data)


def fill(own: Mapping[str, Array], given: Mapping[str, Array]) -> None:
    """Copy the tensors of a file into those of the network that it describes.

    Raises:
        ModelFileError: some are missing, unknown, or of another shape or dtype.
    """
    differences = (("lacks", own.keys() - given.keys()), ("has unknown", given.keys() - own.keys()))
    told = [f"{what} {', '.join(sorted(names))}" for what, names in differences if names]
    if told:
        raise ModelFileError(f"the file {' and '.join(told)}: its tensors are not those of the network it describes")
    for name, value in given.items():
        if value.shape != own[name].shape or value.dtype != own[name].dtype:
            raise ModelFileError(
                f"tensor {name!r} is {value.dtype}{list(value.shape)}, the network needs "
                f"{own[name].dtype}{list(own[name].shape)}"
            )
        own[name][...] = value


def _contents(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ModelFileError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise ModelFileError(
            f"{path} is a folder; give the model file in it, which of a run is {path / 'model.safetensors'}"
        ) from None
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror or error}") from error
    if not data:
        raise ModelFileError(f"{path} is empty; {_AGAIN}")
    return data


def _header(path: Path | str, data: bytes) -> tuple[bytes, dict[str, Any]]:
    """Return the bytes before the tensors, and the JSON in them."""
    length, rest = int.from_bytes(data[:8], "little"), len(data) - 8
    if length > rest or rest < 2:
        raise ModelFileError(
            f"{path} is cut off, or is not a model file: it announces a header of {length} bytes, and {max(rest, 0)} "
            f"follow; {_AGAIN}"
        )
    head = data[: 8 + length]
    try:
        header = _json_object(head[8:])
    except ValueError as error:
        raise ModelFileError(f"{path} is damaged, or is not a model file: its header is {error}; {_AGAIN}") from error
    return head, header


def _json_object(text: str | bytes) -> dict[str, Any]:
    """Return the object that UTF-8 JSON spells, or raise ValueError saying why there is none."""
    try:
        value = json.loads(text if isinstance(text, str) else text.decode())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON ({error})") from error
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return cast("dict[str, Any]", value)


def _tensors(path: Path | str, data: bytes) -> Tensors:
    import safetensors.numpy

    try:
        return safetensors.numpy.load(data)
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise ModelFileError(f"{path} is not well formed: {error}; save the network again") from error


def _dtype_name(tensor: Array) -> str:
    """Return safetensors' name of a NumPy type: ``"F32"``, ``"I64"``, ``"BOOL"``."""
    dtype = tensor.dtype
    return "BOOL" if dtype.kind == "b" else f"{dtype.kind.upper()}{8 * dtype.itemsize}"


def _checksum(head: bytes, *body: memoryview) -> str:
    digest = hashlib.sha256(_with_checksum(head, _BLANK))
    for part in body:
        digest.update(part)
    return digest.hexdigest()


def _with_checksum(head: bytes, checksum: str) -> bytes:
    return _CHECKSUM.sub(f'"sha256":"{checksum}"'.encode(), head)
