from __future__ import annotations

import gzip
import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from pellucid.data import load_dataset
from pellucid.errors import DataError

SHARED = Path(__file__).parents[2] / "../shared/data"
ARCHIVE = "cifar-10-binary.tar.gz"
FILES = (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin")
RECORD = 3073


def record(label: int, first: int) -> bytes:
    """Return a label, and pixels that tell where they stand."""
    return bytes([label, *((first + i // 7) % 256 for i in range(RECORD - 1))])


def contents() -> dict[str, bytes]:
    """One record a file, two in the last for training."""
    files = {name: record(label, 10 * label) for label, name in enumerate(FILES)}
    files["data_batch_5.bin"] += record(9, 90)
    return files


def packed(files: dict[str, bytes], folder: str = "cifar-10-batches-bin") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def write_archive(path: Path, files: dict[str, bytes]) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes(gzip.compress(packed(files)))
    return path


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(exist_ok=True, parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


@pytest.fixture(autouse=True)
def _no_folder_from_outside(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PELLUCID_DATA_DIR", raising=False)
    monkeypatch.setattr("pooch.os_cache", lambda _: tmp_path_factory.getbasetemp() / "no cache")


def error_of(folder: Path | None) -> str:
    with pytest.raises(DataError) as caught:
        load_dataset("cifar10", folder, download=False)
    return str(caught.value)


@pytest.mark.parametrize("place", ["", "cifar10"])
@pytest.mark.parametrize("form", ["archive", "folder", "files"])
def test_records_become_images_and_labels(tmp_path: Path, form: str, place: str) -> None:
    if form == "archive":
        write_archive(tmp_path / place / ARCHIVE, {"batches.meta.txt": b"airplane\n", **contents()})
    else:
        write_files(tmp_path / place / ("cifar-10-batches-bin" if form == "folder" else ""), contents())

    data = load_dataset("cifar10", tmp_path)

    assert (data.name, data.classes, data.class_names[0], data.class_names[9]) == ("cifar10", 10, "airplane", "truck")
    assert (data.y_train.tolist(), data.y_test.tolist()) == ([0, 1, 2, 3, 4, 9], [5])
    assert (data.x_train.dtype, data.y_train.dtype, data.y_test.dtype) == (np.uint8, np.int64, np.int64)
    assert (data.x_train.shape, data.x_test.shape) == ((6, 3, 32, 32), (1, 3, 32, 32))
    for label, image in zip((0, 1, 2, 3, 4, 9, 5), (*data.x_train, *data.x_test), strict=True):
        for c, u, v in ((0, 0, 0), (0, 0, 31), (0, 1, 0), (1, 0, 0), (2, 31, 31)):
            assert image[c, u, v] == (10 * label + (1024 * c + 32 * u + v) // 7) % 256
    assert data.x_train.flags.c_contiguous


def test_the_archive_is_not_unpacked_to_disk(tmp_path: Path) -> None:
    write_archive(tmp_path / ARCHIVE, contents())
    load_dataset("cifar10", tmp_path)
    assert os.listdir(tmp_path) == [ARCHIVE]


def test_an_incomplete_folder_is_passed_over(tmp_path: Path) -> None:
    files = contents()
    write_files(tmp_path / "cifar-10-batches-bin", dict(list(files.items())[:5]))
    write_archive(tmp_path / ARCHIVE, files)
    assert load_dataset("cifar10", tmp_path).y_test.tolist() == [5]


def test_no_folder_given(tmp_path_factory: pytest.TempPathFactory) -> None:
    assert error_of(None) == (
        "the data set 'cifar10' was not found. Looked in\n"
        f"  {tmp_path_factory.getbasetemp()}/no cache/cifar10: there is no such folder\n"
        "for cifar-10-binary.tar.gz, or a folder cifar-10-batches-bin with what it holds.\n"
        "Give the folder that holds them, or that holds a folder cifar10, with --data-dir (in Python: data_dir=...) or "
        "in the environment variable PELLUCID_DATA_DIR; where neither is given, they are downloaded."
    )


def test_files_missing(tmp_path: Path) -> None:
    message = error_of(tmp_path)
    assert f"\n  {tmp_path / 'cifar10'}: there is no such folder\n" in message
    assert f"\n  {tmp_path}: it lacks cifar-10-binary.tar.gz\n" in message
    files = contents()
    del files["data_batch_2.bin"], files["test_batch.bin"]
    write_files(tmp_path / "cifar-10-batches-bin", files)
    assert (
        f"{tmp_path}: it lacks cifar-10-binary.tar.gz, and {tmp_path}/cifar-10-batches-bin lacks data_batch_2.bin, "
        "test_batch.bin\n"
    ) in error_of(tmp_path)


def test_an_archive_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path = write_archive(tmp_path / ARCHIVE, contents())
    whole = path.read_bytes()
    for length in (5, 11, 40, len(whole) // 2, len(whole) - 9, len(whole) - 8, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert error_of(tmp_path) == (f"{path} is cut off: its gzip stream does not end; copy or download it again"), (
            length
        )


def test_a_tar_cut_before_it_was_packed_is_refused(tmp_path: Path) -> None:
    path, whole = tmp_path / ARCHIVE, packed(contents())
    path.write_bytes(gzip.compress(whole[:5000]))  # in the second file
    assert error_of(tmp_path) == f"{path} is damaged: tar says unexpected end of data; copy or download it again"
    path.write_bytes(gzip.compress(whole[:4096]))  # behind the first one
    assert error_of(tmp_path) == (
        f"{path} does not hold data_batch_2.bin, data_batch_3.bin, data_batch_4.bin, data_batch_5.bin, test_batch.bin: "
        "it is cut off, or not the binary version of cifar10; copy or download it again"
    )


def test_one_wrong_bit_anywhere_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / ARCHIVE
    # Stored, not deflated: a wrong bit makes a wrong pixel, and only the checksum at the very end tells.
    whole = bytearray(gzip.compress(packed(contents()), compresslevel=0))
    for place in (3000, len(whole) // 2, len(whole) - 6):
        damaged = whole.copy()
        damaged[place] ^= 4
        path.write_bytes(damaged)
        assert error_of(tmp_path).startswith(f"{path} is damaged: gzip says CRC check failed"), place


def test_files_that_are_no_archive_are_refused(tmp_path: Path) -> None:
    path = tmp_path / ARCHIVE
    path.write_bytes(b"<!DOCTYPE html>" * 100)
    assert error_of(tmp_path).startswith(f"{path} is damaged: gzip says Not a gzipped file")
    path.write_bytes(gzip.compress(b"no archive " * 1000))
    assert error_of(tmp_path).startswith(f"{path} is damaged: tar says ")
    path.write_bytes(gzip.compress(packed({"data_batch_1": b"pickled"}, "cifar-10-batches-py")))
    assert "does not hold data_batch_1.bin, data_batch_2.bin" in error_of(tmp_path)
    path.unlink()
    path.mkdir()
    assert f"{tmp_path}: it lacks cifar-10-binary.tar.gz" in error_of(tmp_path)


def test_a_link_in_the_archive_is_no_file(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name in FILES:
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
            archive.addfile(link)
    (tmp_path / ARCHIVE).write_bytes(gzip.compress(stream.getvalue()))
    assert "does not hold data_batch_1.bin" in error_of(tmp_path)


@pytest.mark.parametrize("form", ["archive", "files"])
def test_half_a_record_or_none_is_refused(tmp_path: Path, form: str) -> None:
    for content in (b"", bytes(RECORD - 1), bytes(2 * RECORD + 5)):
        files = {**contents(), "data_batch_3.bin": content}
        if form == "archive":
            where = write_archive(tmp_path / ARCHIVE, files)
        else:
            write_files(where := tmp_path, files)
        assert error_of(tmp_path) == (
            f"{where}/data_batch_3.bin holds {len(content)} bytes, expected records of 3073, a label and 32×32 pixels "
            "in 3 colours; copy or download it again"
        )


def test_label_out_of_range(tmp_path: Path) -> None:
    write_files(tmp_path, {**contents(), "test_batch.bin": record(3, 0) + record(10, 0)})
    assert f"{tmp_path}/test_batch.bin: label 10 of record 1 is not one of 0 to 9" in error_of(tmp_path)


def test_the_real_archive_byte_by_byte() -> None:
    path = SHARED / "cifar10" / ARCHIVE
    if not path.is_file():
        pytest.skip("needs the shared data folder beside the project")

    data = load_dataset("cifar10", SHARED)

    assert repr(data) == "Dataset('cifar10': 50000 training and 10000 test images of uint8[3, 32, 32], 10 classes)"
    assert np.bincount(data.y_train).tolist() == [5000] * 10
    assert np.bincount(data.y_test).tolist() == [1000] * 10
    # The tar format by hand: name in bytes 0 to 99 of a header of 512, size in octal from byte 124.
    with gzip.open(path) as stream:
        at = dict.fromkeys(FILES, 0)
        while name := (header := stream.read(512))[:100].rstrip(b"\0").decode():
            size = int(header[124:135], 8)
            content = stream.read(-(-size // 512) * 512)[:size]
            file = name.split("/")[-1]
            if file == "batches.meta.txt":
                assert content.decode().split() == list(data.class_names)
            if file not in at:
                continue
            test = file == "test_batch.bin"
            first = 0 if test else 10000 * FILES.index(file)
            images, labels = (data.x_test, data.y_test) if test else (data.x_train, data.y_train)
            assert size == 10000 * RECORD
            for i in range(0, 10000, 1 if test else 17):
                start = i * RECORD
                assert labels[first + i] == content[start]
                assert images[first + i].tobytes() == content[start + 1 : start + RECORD]
            at[file] = size
    assert all(at.values())
    # the means of the colours, as quoted everywhere
    np.testing.assert_allclose(data.x_train.mean(axis=(0, 2, 3)) / 255, [0.4914, 0.4822, 0.4465], atol=5e-5)


def write_hundred(folder: Path) -> None:
    """Two records to train with and one to test with; before the class stands its group."""
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "train.bin").write_bytes(b"\x0b" + record(0, 5) + b"\x13" + record(99, 50))
    (folder / "test.bin").write_bytes(b"\0" + record(47, 7))


@pytest.mark.parametrize("place", ["cifar100/cifar-100-binary", "cifar100", "."])
def test_cifar100_takes_the_fine_classes(tmp_path: Path, place: str) -> None:
    write_hundred(tmp_path / place)
    data = load_dataset("cifar100", tmp_path)
    assert (data.y_train.tolist(), data.y_test.tolist()) == ([0, 99], [47])
    assert [data.class_names[label] for label in (0, 99, 47)] == ["apple", "worm", "maple_tree"]
    # The publisher numbers them by the alphabet.
    assert data.classes == len(set(data.class_names)) == 100
    assert list(data.class_names) == sorted(data.class_names)
    for image, first in zip((*data.x_train, *data.x_test), (5, 50, 7), strict=True):
        assert image[0, 0, :8].tolist() == [first] * 7 + [first + 1]


def test_cifar100_packed(tmp_path: Path) -> None:
    write_hundred(tmp_path / "files")
    files = {name: (tmp_path / "files" / name).read_bytes() for name in ("train.bin", "test.bin")}
    (tmp_path / "cifar-100-binary.tar.gz").write_bytes(gzip.compress(packed(files, "cifar-100-binary")))
    assert load_dataset("cifar100", tmp_path).y_train.tolist() == [0, 99]
    (tmp_path / "cifar-100-binary.tar.gz").unlink()
    write_hundred(tmp_path)
    (tmp_path / "test.bin").write_bytes(b"\0" + record(100, 0))
    with pytest.raises(DataError, match=r"test\.bin: label 100 of record 0 is not one of 0 to 99"):
        load_dataset("cifar100", tmp_path)
    (tmp_path / "test.bin").write_bytes(record(1, 0))
    with pytest.raises(DataError, match=r"test\.bin holds 3073 bytes, expected records of 3074"):
        load_dataset("cifar100", tmp_path)
