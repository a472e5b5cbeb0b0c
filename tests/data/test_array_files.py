from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pellucid.data import load_arrays
from pellucid.errors import ConfigError, DataError

RNG = np.random.default_rng(0)


def images(*shape: int) -> Any:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def four(x: tuple[int, ...] = (4, 3, 5), y_dtype: str = "u1") -> dict[str, Any]:
    return {
        "x_train": images(6, *x),
        "y_train": np.array([0, 1, 2, 0, 1, 2], y_dtype),
        "x_test": images(2, *x),
        "y_test": np.array([2, 0], y_dtype),
    }


def save_folder(folder: Path, arrays: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return folder


def error_of(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        load_arrays(path)
    return str(caught.value)


@pytest.mark.parametrize("form", ["npz", "packed", "folder"])
def test_four_arrays(tmp_path: Path, form: str) -> None:
    arrays = {**four((3, 4, 5)), "class_names": np.array(["rot", "grün", "blau"]), "note": np.array("unused")}
    path = tmp_path / ("data" if form == "folder" else "data.npz")
    if form == "folder":
        save_folder(path, arrays)
    else:
        (np.savez if form == "npz" else np.savez_compressed)(path, **arrays)
    data = load_arrays(path)
    assert (data.name, data.class_names) == ("data", ("rot", "grün", "blau"))
    for name in ("x_train", "y_train", "x_test", "y_test"):
        np.testing.assert_array_equal(getattr(data, name), arrays[name])
    assert (data.x_train.dtype, data.y_train.dtype) == (np.uint8, np.int64)
    assert isinstance(data.x_train, np.memmap) == (form == "folder")


@pytest.mark.parametrize(
    ("shape", "channels_first"),
    [
        ((7, 5), (1, 7, 5)),
        ((3, 7, 5), (3, 7, 5)),
        ((7, 5, 3), (3, 7, 5)),
        ((7, 5, 1), (1, 7, 5)),
        ((2, 7, 5), (2, 7, 5)),
        ((3, 7, 3), (3, 7, 3)),
    ],
)
def test_channels_come_first(tmp_path: Path, shape: tuple[int, ...], channels_first: tuple[int, ...]) -> None:
    arrays = four(shape)
    np.savez(tmp_path / "d.npz", **arrays)
    data = load_arrays(tmp_path / "d.npz")
    assert data.input_shape == channels_first
    given = arrays["x_train"].reshape(6, *shape)
    expected = np.moveaxis(given, -1, 1) if shape[-1] == channels_first[0] != shape[0] else given
    np.testing.assert_array_equal(data.x_train.reshape(expected.shape), expected)


def test_two_arrays_are_split_by_class(tmp_path: Path) -> None:
    x, y = np.arange(40, dtype=np.float32).reshape(40, 1, 1, 1), np.repeat([0, 2], 20)[:, None]
    for path in (tmp_path / "d.npz", tmp_path / "folder"):
        if path.suffix:
            np.savez(path, x=x, y=y)
        else:
            save_folder(path, {"x": x, "y": y})
        data = load_arrays(path, test_share=0.25, seed=1)
        assert (np.bincount(data.y_test).tolist(), np.bincount(data.y_train).tolist()) == ([5, 0, 5], [15, 0, 15])
        both = np.concatenate([data.x_train, data.x_test])[:, 0, 0, 0]
        assert sorted(both.tolist()) == list(range(40))
        # Each image kept its label.
        assert (data.x_test[:, 0, 0, 0] < 20).tolist() == (data.y_test == 0).tolist()
        assert data.classes == 3
    assert load_arrays(path, seed=1).x_test.tolist() != load_arrays(path, seed=2).x_test.tolist()
    with pytest.raises(ConfigError, match="test_share must be"):
        load_arrays(path, test_share=1)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"y_test": None}, "expected x_train, y_train, x_test, y_test, or x, y"),
        ({"y_train": np.array([0, 1])}, "x_train holds 6 images, but y_train 2 labels"),
        ({"y_train": np.array([0.0] * 6)}, "y_train holds float64[6], expected class numbers as integers (N,)"),
        ({"y_train": np.zeros((6, 2), int)}, "y_train holds int64[6, 2], expected class numbers"),
        ({"y_train": np.array([0, 0, -1, 0, 0, 0])}, "y_train: label -1 of sample 2 is less than 0"),
        ({"x_train": np.zeros((6, 5))}, "x_train holds float64[6, 5], expected images as numbers (N, C, H, W)"),
        ({"x_train": np.zeros((6, 4, 3, 5), complex)}, "x_train holds complex128[6, 4, 3, 5], expected images"),
        ({"x_test": np.zeros((2, 9, 9))}, "x_train has images of shape (4, 3, 5), x_test (1, 9, 9)"),
        ({"x_test": np.zeros((0, 4, 3, 5))}, "x_test holds float64[0, 4, 3, 5], expected images"),
        (
            {"class_names": np.array(["a", "b"])},
            "class_names holds <U1[2], expected text, a name for each of 3 classes",
        ),
        ({"class_names": np.array([1, 2, 3])}, "class_names holds int64[3], expected text"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    arrays = {name: array for name, array in {**four(), **change}.items() if array is not None}
    np.savez(tmp_path / "d.npz", **arrays)
    for path in (tmp_path / "d.npz", save_folder(tmp_path / "folder", arrays)):
        message = error_of(path)
        assert message.startswith(f"{path}")
        assert told in message


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    class Bad:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "ran"),)

    arrays = {**four(), "y_test": np.array([Bad(), 0], dtype=object)}
    np.savez(tmp_path / "d.npz", **arrays)
    save_folder(tmp_path / "folder", arrays)
    assert error_of(tmp_path / "d.npz").startswith(f"cannot read {tmp_path}/d.npz: Object arrays cannot be loaded")
    assert error_of(tmp_path / "folder").startswith(f"cannot read {tmp_path}/folder/y_test.npy: Object arrays cannot")
    assert not (tmp_path / "ran").exists()


def test_files_that_are_missing_cut_off_or_damaged(tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    assert error_of(path) == f"{path}: there is no such file"
    np.savez(path, **four())
    whole = path.read_bytes()
    for length in range(0, len(whole) - 1, 97):
        path.write_bytes(whole[:length])
        assert error_of(path).startswith(f"cannot read {path}: "), length
    np.save(tmp_path / "x.npy", np.zeros(3))
    os.replace(tmp_path / "x.npy", path)
    assert error_of(path) == f"{path} holds a single array; expected a .npz file of several"
    folder = save_folder(tmp_path / "folder", four())
    content = (folder / "x_train.npy").read_bytes()
    for length in (0, 5, 64, 130, len(content) - 1):
        (folder / "x_train.npy").write_bytes(content[:length])
        assert error_of(folder).startswith(f"cannot read {folder}/x_train.npy: "), length
    (tmp_path / "empty").mkdir()
    assert error_of(tmp_path / "empty").startswith(f"{tmp_path}/empty holds no arrays; expected x_train")


def test_a_claim_beyond_memory_is_refused(tmp_path: Path) -> None:
    header = str({"descr": "|u1", "fortran_order": False, "shape": (1 << 60,)}).encode().ljust(117) + b"\n"
    npy = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
        for name in four():
            archive.writestr(f"{name}.npy", npy)
    assert error_of(tmp_path / "d.npz").startswith(f"{tmp_path}/d.npz claims more numbers than there is memory for: ")
