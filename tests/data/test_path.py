from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pellucid.data import load_path
from pellucid.errors import ConfigError, DataError

Image = pytest.importorskip("PIL.Image", reason="image files are read with Pillow")


def test_what_lies_there_tells_how_it_is_read(tmp_path: Path) -> None:
    x, y = np.zeros((4, 6, 6), np.uint8), np.array([0, 0, 1, 1])
    np.savez(tmp_path / "arrays.npz", x=x, y=y)
    (tmp_path / "maps").mkdir()
    for name, array in (("x_train", x), ("y_train", y), ("x_test", x + 9), ("y_test", y)):
        np.save(tmp_path / "maps" / f"{name}.npy", array)
    for name in ("a", "b"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(2):
            Image.new("L", (8, 6), 20).save(tmp_path / "pictures" / name / f"{number}.png")

    assert load_path(tmp_path / "arrays.npz").input_shape == (1, 6, 6)
    assert load_path(str(tmp_path / "maps"), image_size=6, grey=True).x_test.max() == 9
    pictures = load_path(tmp_path / "pictures", image_size=(3, 5), grey=True, test_share=0.5)
    assert (pictures.input_shape, pictures.x_test.max(), pictures.class_names) == ((1, 3, 5), 20, ("a", "b"))
    assert pictures.y_train.tolist() == pictures.y_test.tolist() == [0, 1]

    with pytest.raises(
        ConfigError, match=r"images of shape \(1, 6, 6\), which stay as they are; images of 8×8 were asked"
    ):
        load_path(tmp_path / "arrays.npz", image_size=8)
    np.savez(tmp_path / "colour.npz", x=np.zeros((4, 3, 6, 6), np.uint8), y=y)
    with pytest.raises(
        ConfigError, match="as they are; grey images were asked for, and image_size and grey are for image f"
    ):
        load_path(tmp_path / "colour.npz", grey=True)


def test_parquet_files_and_folders(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="Parquet files are read with pyarrow")
    from data.test_parquet import write

    write(tmp_path / "one.parquet", [1, 2, 3, 4], [0, 0, 1, 1])
    assert load_path(tmp_path / "one.parquet", grey=True).input_shape == (1, 2, 3)
    write(tmp_path / "set/data/train-0.parquet", [1, 2], [0, 1])
    write(tmp_path / "set/data/test-0.parquet", [7, 8], [0, 1])
    assert load_path(tmp_path / "set").x_test.max() == 8


def test_paths_that_lead_nowhere(tmp_path: Path) -> None:
    for path, told in (
        (tmp_path / "no", "there is no such file or folder"),
        (tmp_path / "no.npz", "there is no such file"),
    ):
        with pytest.raises(DataError) as caught:
            load_path(path)
        assert str(caught.value) == f"{path}: {told}"
    np.save(tmp_path / "x_train_alone.npy", np.zeros((4, 6, 6)))
    with pytest.raises(
        DataError, match=r"alone\.npy holds images or labels alone; give the folder of x\.npy and y\.npy"
    ):
        load_path(tmp_path / "x_train_alone.npy")
    (tmp_path / "x.zip").write_bytes(b"")
    with pytest.raises(DataError, match=r"x\.zip: it is no folder, \.npz or \.parquet file"):
        load_path(tmp_path / "x.zip")
