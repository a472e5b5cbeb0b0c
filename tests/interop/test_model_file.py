from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy

from pellucid import Network
from pellucid.errors import ModelFileError
from pellucid.interop import model_file
from pellucid.layers import Flatten, Linear


def test_other_programs_can_read_the_file(tmp_path: Path) -> None:
    tensors = {
        "b": np.arange(6.0).reshape(2, 3)[:, ::-1].T,
        "a": np.array([1, 2, 3], np.uint8),
        "c": np.array(-7, ">i4"),
        "d": np.array([True, False, True]),
        "e": np.zeros((0, 3), np.float16),
        'quote " and \\ and ü': np.array([1.5], np.float32),
    }
    model_file.write(tmp_path / "model", {"note": 'sha256":"' + "0" * 64 + '"'}, tensors)

    theirs = safetensors.numpy.load_file(tmp_path / "model")
    with safetensors.safe_open(tmp_path / "model", framework="np") as file:
        metadata = file.metadata()
    description, ours = model_file.read(tmp_path / "model")

    assert metadata["format"] == "pellucid"
    assert json.loads(metadata["description"]) == description == {"note": 'sha256":"' + "0" * 64 + '"'}
    assert theirs.keys() == ours.keys() == tensors.keys()
    for name, tensor in tensors.items():
        for read in (theirs[name], ours[name]):
            assert (read.dtype, read.shape) == (tensor.dtype.newbyteorder("="), tensor.shape)
            np.testing.assert_array_equal(read, tensor)


def test_tensors_start_at_multiples_of_their_width(tmp_path: Path) -> None:
    tensors = {"a": np.ones(3, np.uint8), "b": np.ones(3, np.float32), "c": np.ones(1), "d": np.ones(1, np.float16)}
    model_file.write(tmp_path / "model", {}, tensors)
    data = (tmp_path / "model").read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    assert length % 8 == 0
    assert {name: header[name]["data_offsets"] for name in "abcd"} == {
        "c": [0, 8],
        "b": [8, 20],
        "d": [20, 22],
        "a": [22, 25],
    }


def small(path: Path) -> bytes:
    """Save a small model and return its bytes."""
    Network([Flatten(), Linear(2)], (1, 2, 2), seed=1).save(path)
    return path.read_bytes()


def error_of(path: Path) -> str:
    with pytest.raises(ModelFileError) as caught:
        Network.load(path)
    assert str(caught.value).startswith(str(path))
    return str(caught.value).removeprefix(str(path)).lstrip(": ")


AGAIN = "copy or download it again, or save the network again"


def test_missing_file(tmp_path: Path) -> None:
    assert error_of(tmp_path / "nowhere") == "there is no such file"


def test_folder(tmp_path: Path) -> None:
    text = f"is a folder; give the model file in it, which of a run is {tmp_path}/model.safetensors"
    assert error_of(tmp_path) == text


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(b"")
    assert error_of(tmp_path / "m") == f"is empty; {AGAIN}"


@pytest.mark.parametrize("size", [1, 7, 8, 9])
def test_file_too_short_for_a_header(tmp_path: Path, size: int) -> None:
    (tmp_path / "m").write_bytes(bytes(size))
    assert error_of(tmp_path / "m") == (
        f"is cut off, or is not a model file: it announces a header of 0 bytes, and {max(size - 8, 0)} follow; {AGAIN}"
    )


@pytest.mark.parametrize("length", [2**64 - 1, 2**40])
def test_a_huge_header_is_not_believed(tmp_path: Path, length: int) -> None:
    data = small(tmp_path / "m")
    (tmp_path / "m").write_bytes(length.to_bytes(8, "little") + data[8:])
    assert error_of(tmp_path / "m") == (
        f"is cut off, or is not a model file: it announces a header of {length} bytes, and {len(data) - 8} follow; "
        + AGAIN
    )


@pytest.mark.parametrize("change", [-1, 1, -40, 8])
def test_a_wrong_header_length(tmp_path: Path, change: int) -> None:
    data = small(tmp_path / "m")
    length = int.from_bytes(data[:8], "little")
    (tmp_path / "m").write_bytes((length + change).to_bytes(8, "little") + data[8:])
    assert "is damaged" in error_of(tmp_path / "m")


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"not JSON at all", "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[1, 2, 3]", "not a JSON object"),
    ],
    ids=["text", "bytes", "deep", "list"],
)
def test_a_header_that_is_no_json_object(tmp_path: Path, header: bytes, reason: str) -> None:
    (tmp_path / "m").write_bytes(len(header).to_bytes(8, "little") + header)
    message = error_of(tmp_path / "m")
    assert message.startswith(f"is damaged, or is not a model file: its header is {reason}")
    assert message.endswith(AGAIN)


def test_a_file_that_torch_pickled_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(b"\x80\x04\x95" + b"cos\nsystem\n(S'touch pickled'\ntR." * 4)
    assert "is not a model file" in error_of(tmp_path / "m")


@pytest.mark.parametrize(
    "metadata",
    [None, {}, {"format": "pt"}, {"format": "pellucid"}, {"format": "pellucid", "description": "{}"}],
    ids=str,
)
def test_safetensors_of_another_program(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    safetensors.numpy.save_file({"1.weight": np.zeros((2, 4), np.float32)}, tmp_path / "m", metadata)
    assert error_of(tmp_path / "m") == (
        "is a safetensors file, but not a Pellucid model: its metadata describe no network. To take weights from it, "
        "build the network and call pellucid.interop.torch.load_state_dict(net, path)"
    )


@pytest.mark.parametrize(
    ("description", "reason"), [("[]", "not a JSON object"), ("{", "not JSON"), ("", "not JSON")], ids=repr
)
def test_a_description_that_is_no_json_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, description: str, reason: str
) -> None:
    dumps = json.dumps
    with monkeypatch.context() as patch:
        # The checksum is right; only the description is not.
        patch.setattr(json, "dumps", lambda x, **options: description if x == {"x": 1} else dumps(x, **options))
        model_file.write(tmp_path / "m", {"x": 1}, {})
    message = error_of(tmp_path / "m")
    assert message.startswith(f"the description of the network is {reason}")
    assert message.endswith("; save the network again")


def test_a_flipped_byte_of_a_weight(tmp_path: Path) -> None:
    data = bytearray(small(tmp_path / "m"))
    data[-3] ^= 0x10
    (tmp_path / "m").write_bytes(data)
    assert error_of(tmp_path / "m") == f"is damaged: its bytes do not match their checksum; {AGAIN}"


@pytest.mark.parametrize("extra", [b"\0", b"more", bytes(4096)], ids=len)
def test_bytes_left_over(tmp_path: Path, extra: bytes) -> None:
    (tmp_path / "m").write_bytes(small(tmp_path / "m") + extra)
    assert error_of(tmp_path / "m") == f"is damaged: its bytes do not match their checksum; {AGAIN}"


def test_no_cut_and_no_flipped_byte_goes_unnoticed(tmp_path: Path) -> None:
    data = small(tmp_path / "m")
    rng = np.random.default_rng(0)
    damaged = [data[:length] for length in range(len(data))]
    for place in range(len(data)):
        for value in {data[place] ^ 1 << int(rng.integers(8)), ord(" "), ord("\n")} - {data[place]}:
            damaged.append(data[:place] + bytes([value]) + data[place + 1 :])
    assert len(damaged) > 2000
    for wrong in damaged:
        (tmp_path / "m").write_bytes(wrong)
        with pytest.raises(ModelFileError, match=r".*/m\b"):
            Network.load(tmp_path / "m")
    (tmp_path / "m").write_bytes(data)
    assert list(Network.load(tmp_path / "m").parameters) == ["1.weight", "1.bias"]


def test_a_tensor_type_that_numpy_has_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_file, "_dtype_name", lambda tensor: "BF16")
    model_file.write(tmp_path / "m", {"format": 1}, {"a": np.zeros(3, np.float16)})
    assert error_of(tmp_path / "m").startswith("is not well formed")
