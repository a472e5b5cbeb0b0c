from __future__ import annotations

import contextlib
import hashlib
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pellucid.data import ImageFiles, ImageFolder, ImageForm
from pellucid.errors import ConfigError, DataError, TooLargeError

Image = pytest.importorskip("PIL.Image", reason="image files are read with Pillow")
SHARED = Path(__file__).parents[2] / "../shared/data"


def write(folder: Path, classes: dict[str, int], size: tuple[int, int] = (2, 3), first: int = 0) -> Path:
    """Write grey images, size (H, W), each of one shade; the first of a class is ``first``, the next one lighter."""
    for name, count in classes.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            Image.new("L", size[::-1], first + number).save(folder / name / f"{number}.png")
    return folder


def shades(images: Any) -> list[int]:
    return images.reshape(len(images), -1).max(axis=1).tolist()


def error_of(path: Path, **settings: Any) -> str:
    with pytest.raises(DataError) as caught:
        ImageFolder.open(path, **settings).load()
    return str(caught.value)


def test_folders_name_the_parts_and_the_classes(tmp_path: Path) -> None:
    write(tmp_path / "train", {"dog": 2, "cat": 3}, first=10)
    write(tmp_path / "val", {"cat": 1, "dog": 2}, first=100)
    write(tmp_path / "test", {"cat": 2, "dog": 1}, first=200)
    data = ImageFolder.open(tmp_path, grey=True).load()
    assert (data.name, data.class_names) == (tmp_path.name, ("cat", "dog"))
    assert (data.x_train.shape, data.x_train.dtype, data.y_train.dtype) == ((5, 1, 2, 3), np.uint8, np.int64)
    assert (shades(data.x_train), data.y_train.tolist()) == ([10, 11, 12, 10, 11], [0, 0, 0, 1, 1])
    assert data.x_validation is not None
    assert data.y_validation is not None
    assert (shades(data.x_validation), data.y_validation.tolist()) == ([100, 100, 101], [0, 1, 1])
    assert (shades(data.x_test), data.y_test.tolist()) == ([200, 201, 200], [0, 0, 1])


def test_a_validation_folder_serves_for_testing_if_there_is_no_other(tmp_path: Path) -> None:
    write(tmp_path / "Training", {"a": 2, "b": 2})
    write(tmp_path / "valid", {"a": 1, "b": 1}, first=50)
    folder = ImageFolder.open(tmp_path, grey=True)
    assert folder.validation is None
    assert shades(folder.test.read()[0]) == [50, 50]


def test_one_folder_is_split_by_seed_and_names_alone(tmp_path: Path) -> None:
    write(tmp_path / "a", {"x": 10, "y": 20})
    folder = ImageFolder.open(tmp_path / "a", grey=True, test_share=0.3, seed=5)
    # The written rule: of each class, those of the smallest SHA-256 of seed/class/file.
    for label, (name, count) in enumerate((("x", 10), ("y", 20))):
        files = sorted(range(count), key=lambda i: hashlib.sha256(f"5/{name}/{i}.png".encode()).hexdigest())
        held = sorted(f"{number}.png" for number in files[: round(0.3 * count)])
        chosen = [path.name for path in folder.test.images.paths if path.parent.name == name]
        assert sorted(chosen) == held
        assert (folder.test.labels == label).sum() == len(held)
        assert (folder.train.labels == label).sum() == count - len(held)
    assert not set(folder.train.images.paths) & set(folder.test.images.paths)
    other = ImageFolder.open(tmp_path / "a", grey=True, test_share=0.3, seed=6)
    assert set(other.test.images.paths) != set(folder.test.images.paths)
    # The same elsewhere, and most stay where they are when images are added.
    os.rename(tmp_path / "a", tmp_path / "b")
    moved = ImageFolder.open(tmp_path / "b", grey=True, test_share=0.3, seed=5)
    assert [path.name for path in moved.test.images.paths] == [path.name for path in folder.test.images.paths]


def test_mixed_sizes_colours_and_kinds(tmp_path: Path) -> None:
    write(tmp_path, {"a": 2, "b": 2})
    Image.new("RGBA", (40, 20), (255, 0, 0, 255)).save(tmp_path / "a/red.PNG")
    Image.new("CMYK", (9, 9), (0, 0, 0, 255)).save(tmp_path / "b/black.JPEG")
    Image.new("I;16", (7, 5), 65535).save(tmp_path / "b/white.tif")
    folder = ImageFolder.open(tmp_path, image_size=(4, 6), resize="stretch")
    data = folder.load()
    assert data.input_shape == (3, 4, 6)
    by_name = {
        path.name: image[:, 0, 0].tolist()
        for part in (folder.train, folder.test)
        for path, image in zip(part.images.paths, part.read()[0], strict=True)
    }
    assert by_name["red.PNG"] == [255, 0, 0]
    assert by_name["white.tif"] == [255, 255, 255]
    assert max(by_name["black.JPEG"]) < 4


def test_rows_are_read_in_the_order_asked_for(tmp_path: Path) -> None:
    write(tmp_path, {"a": 5, "b": 5})
    source = ImageFiles([tmp_path / "a" / f"{number}.png" for number in range(5)], ImageForm(grey=True))
    assert (source.shape, source.dtype, len(source)) == ((5, 1, 2, 3), np.uint8, 5)
    rows = np.array([3, 0, 3, 4])
    images = source.read(rows)
    assert (images.shape, images.dtype, shades(images)) == ((4, 1, 2, 3), np.uint8, [3, 0, 3, 4])
    assert images.flags.c_contiguous
    assert source.read(rows[:0]).shape == (0, 1, 2, 3)


def test_files_that_are_no_images_are_passed_over_by_name(tmp_path: Path) -> None:
    write(tmp_path, {"a": 2, "b": 2, ".hidden": 1})
    (tmp_path / "a/notes.txt").write_text("not an image")
    (tmp_path / "a/.DS_Store").write_bytes(b"\0")
    (tmp_path / "b/deeper.png").mkdir()
    (tmp_path / "readme.md").write_text("about the classes")
    folder = ImageFolder.open(tmp_path, grey=True)
    assert folder.class_names == ("a", "b")
    assert len(folder.train.images) + len(folder.test.images) == 4


def test_names_in_any_script(tmp_path: Path) -> None:
    write(tmp_path / "Fotos – Küche", {"Äpfel": 2, "りんご": 2, "🍎": 2})
    odd = os.fsdecode(b"\xff\xfe.png")  # no text in any encoding
    Image.new("L", (3, 2), 9).save(tmp_path / "Fotos – Küche/Äpfel" / "b.png")
    with contextlib.suppress(OSError):  # a file system of text alone
        os.rename(tmp_path / "Fotos – Küche/Äpfel/b.png", tmp_path / "Fotos – Küche/Äpfel" / odd)
    data = ImageFolder.open(tmp_path / "Fotos – Küche", grey=True).load()
    assert (data.name, data.class_names) == ("Fotos – Küche", ("Äpfel", "りんご", "🍎"))
    assert len(data.x_train) + len(data.x_test) == 7


def test_a_damaged_file_is_named_and_the_others_wait_no_longer(tmp_path: Path) -> None:
    write(tmp_path, {"a": 4, "b": 4})
    path = tmp_path / "b" / "2.png"
    path.write_bytes(path.read_bytes()[:40])
    assert error_of(tmp_path, image_size=8).startswith(f"{path} ")
    path.write_bytes(b"not an image")
    assert error_of(tmp_path, image_size=8).startswith(f"{path} is not an image, or cut off in its first bytes;")
    path.unlink()
    path.symlink_to("gone.png")
    assert error_of(tmp_path, image_size=8) == f"{path} cannot be read: No such file or directory"


def test_different_sizes_need_one_to_be_given(tmp_path: Path) -> None:
    write(tmp_path / "train", {"a": 2, "b": 2})
    write(tmp_path / "test", {"a": 2, "b": 2})
    for path in (tmp_path / "train" / "b" / "1.png", tmp_path / "test" / "a" / "0.png"):
        Image.new("L", (5, 4)).save(path)
        assert error_of(tmp_path) == (
            f"{path} is 4×5 pixels high and wide, others are 2×3; give an image size to bring all to (in Python: "
            "image_size=...)"
        )
        path.unlink()


def test_classes_must_be_two_and_hold_images(tmp_path: Path) -> None:
    assert error_of(tmp_path / "none") == f"{tmp_path}/none: there is no such folder"
    told = f"{tmp_path} must hold a folder of images for each of two or more classes; there is "
    assert error_of(tmp_path) == f"{told}none"
    write(tmp_path, {"a": 2})
    assert error_of(tmp_path) == f"{told}only one, a"
    (tmp_path / "b").mkdir()
    (tmp_path / "b/notes.txt").write_text("")
    message = error_of(tmp_path)
    assert message.startswith(f"{tmp_path}/b holds no images, though 1 other files; fill it or remove it.")
    assert ".jpeg, .jpg," in message
    Image.new("L", (3, 2)).save(tmp_path / "b" / "1.png")
    assert error_of(tmp_path) == (
        f"{tmp_path}: class 'b' has 1 sample; with a test_share of 0.2 none would be left to train on"
    )
    (tmp_path / "file").write_text("")
    assert error_of(tmp_path / "file") == f"{tmp_path}/file cannot be read: Not a directory"


def test_all_parts_need_the_same_classes(tmp_path: Path) -> None:
    write(tmp_path / "train", {"a": 2, "b": 2, "c": 2})
    write(tmp_path / "val", {"a": 2, "b": 2})
    write(tmp_path / "test", {"a": 2, "b": 2, "c": 1})
    assert error_of(tmp_path) == (
        f"{tmp_path}/val has no class 'c', which {tmp_path}/train has; both need images of the same classes"
    )
    write(tmp_path / "val", {"c": 1, "d": 1})
    assert error_of(tmp_path) == (
        f"{tmp_path}/train has no class 'd', which {tmp_path}/val has; both need images of the same classes"
    )


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    write(tmp_path, {"bus": 2, "train": 2})
    assert ImageFolder.open(tmp_path).class_names == ("bus", "train")


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_a_share_out_of_range(tmp_path: Path, share: float) -> None:
    write(tmp_path, {"a": 2, "b": 2})
    with pytest.raises(ConfigError, match="test_share must be more than 0 and less than 1, got"):
        ImageFolder.open(tmp_path, test_share=share)


@pytest.mark.parametrize("seed", [None, 1.5, "0"])
def test_a_seed_is_a_whole_number(tmp_path: Path, seed: Any) -> None:
    write(tmp_path, {"a": 2, "b": 2})
    with pytest.raises(ConfigError, match=re.escape(f"seed must be a whole number, got {seed!r}")):
        ImageFolder.open(tmp_path, seed=seed)


@pytest.mark.parametrize("size", ["64", 6.5, (8, 8, 3), (8.0, 8.0), (8, "8"), (8, 0), (True, 8)])
def test_a_size_is_one_whole_number_or_two(tmp_path: Path, size: Any) -> None:
    text = f"the size of images must be (height, width), each at least 1, got {size!r}"
    for opened in (lambda: ImageFolder.open(tmp_path, image_size=size), lambda: ImageForm(size)):
        with pytest.raises(ConfigError, match=re.escape(text)):
            opened()


def test_files_by_their_names_as_text(tmp_path: Path) -> None:
    write(tmp_path, {"a": 2, "b": 2})
    paths = sorted(str(path) for path in tmp_path.glob("a/*"))
    found = ImageFiles(paths, ImageForm()).read(np.array([1, 0]))
    np.testing.assert_array_equal(found, [ImageForm().read(Path(path)) for path in paths[::-1]])
    with pytest.raises(DataError, match="there are no image files"):
        ImageFiles([], ImageForm())


def test_more_images_than_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"a": 5, "b": 5})
    monkeypatch.setattr("pellucid.data.image_folder.memory", lambda: 10 * 3 * 20 * 20)
    assert len(ImageFolder.open(tmp_path, image_size=20).load().x_train) == 8
    folder = ImageFolder.open(tmp_path, image_size=21)
    with pytest.raises(TooLargeError) as caught:
        folder.load()
    assert str(caught.value) == (
        f"{tmp_path.name}: all images of shape (3, 21, 21) take 12.92 KiB, and there are 11.72 KiB of memory; make "
        "them smaller, or train on ImageFolder.open(...).train.images, which are read as they are needed"
    )
    assert folder.train.images.read(np.array([0])).shape == (1, 3, 21, 21)


def test_a_folder_that_may_not_be_read(tmp_path: Path) -> None:
    if not os.geteuid():
        pytest.skip("the superuser may read any folder")
    write(tmp_path, {"a": 2, "b": 2})
    (tmp_path / "b").chmod(0)
    try:
        assert error_of(tmp_path) == f"{tmp_path}/b cannot be read: Permission denied"
    finally:
        (tmp_path / "b").chmod(0o700)


def test_the_real_folder_of_rubbish() -> None:
    if not (SHARED / "trashnet-150").is_dir():
        pytest.skip("needs the shared data folder beside the project")
    folder = ImageFolder.open(SHARED / "trashnet-150")
    assert folder.class_names == ("cardboard", "glass", "metal", "paper", "plastic", "trash")
    counts = np.bincount(folder.train.labels) + np.bincount(folder.test.labels)
    assert counts.tolist() == [403, 501, 410, 594, 482, 137]  # as its author counts them
    assert np.bincount(folder.test.labels).tolist() == [81, 100, 82, 119, 96, 27]
    assert folder.train.images.shape == (2022, 3, 150, 150)
    with Image.open(folder.train.images.paths[7]) as image:
        expected = np.asarray(image).transpose(2, 0, 1)
    np.testing.assert_array_equal(folder.train.images.read(np.array([7]))[0], expected)
