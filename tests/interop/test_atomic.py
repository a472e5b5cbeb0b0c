from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any, NoReturn

import pytest

from pellucid.errors import FileWriteError
from pellucid.interop.atomic import write_atomically


def error_of(path: Path, data: bytes = b"new") -> str:
    with pytest.raises(FileWriteError) as caught:
        write_atomically(path, data)
    assert str(caught.value).startswith(f"cannot write {path}: ")
    return str(caught.value).removeprefix(f"cannot write {path}: ")


@pytest.mark.parametrize("size", [0, 1, 1_000_003])
def test_a_new_file_holds_the_bytes_and_stands_alone(tmp_path: Path, size: int) -> None:
    data = bytes(i % 251 for i in range(size))
    write_atomically(tmp_path / "model", data)
    assert (tmp_path / "model").read_bytes() == data
    assert os.listdir(tmp_path) == ["model"]


def test_an_old_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"something longer that was there before")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"


@pytest.mark.skipif(os.name != "posix", reason="permission bits are POSIX")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_permissions_are_those_of_any_new_file(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_atomically(tmp_path / "model", b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "model").stat().st_mode) == mode


def test_a_reader_of_the_old_file_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"old")
    with path.open("rb") as reader:
        write_atomically(path, b"new")
        assert reader.read() == b"old"


def test_missing_folder(tmp_path: Path) -> None:
    assert error_of(tmp_path / "no" / "model") == f"there is no folder {tmp_path / 'no'}; create it first"


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert error_of(tmp_path / "file" / "model") == f"there is no folder {tmp_path / 'file'}; create it first"


def test_a_name_that_is_too_long(tmp_path: Path) -> None:
    assert error_of(tmp_path / ("n" * 300)) == os.strerror(errno.ENAMETOOLONG)


def test_a_folder_of_that_name(tmp_path: Path) -> None:
    assert error_of(tmp_path) == "it is a folder or a device; give the name of a file"


@pytest.mark.skipif(os.name != "posix", reason="devices are POSIX")
def test_a_device_is_not_replaced_by_a_file() -> None:
    assert error_of(Path("/dev/null")) == "it is a folder or a device; give the name of a file"
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    assert error_of(folder / "model") == "Permission denied"


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EIO], ids=["full", "denied", "broken"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"old")

    def fail(*_: Any) -> NoReturn:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, call, fail)
    assert error_of(path) == os.strerror(code)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"old")

    def interrupt(*_: Any) -> NoReturn:
        raise KeyboardInterrupt("Ctrl-C")

    monkeypatch.setattr(os, call, interrupt)
    with pytest.raises(KeyboardInterrupt, match="Ctrl-C"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model"]


@pytest.mark.skipif(os.name != "posix", reason="only POSIX can bring a folder to the disk")
def test_the_bytes_are_on_the_disk_before_the_name_changes_and_the_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[tuple[str, int]] = []
    fsync, replace = os.fsync, os.replace

    def watched_fsync(descriptor: int) -> None:
        found = os.fstat(descriptor)
        order.append(("fsync", found.st_ino if stat.S_ISDIR(found.st_mode) else found.st_size))
        fsync(descriptor)

    def watched_replace(source: Path, target: Path) -> None:
        assert source.parent == target.parent
        order.append(("replace", source.stat().st_size))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "replace", watched_replace)
    write_atomically(tmp_path / "model", b"new")
    assert order == [("fsync", 3), ("replace", 3), ("fsync", tmp_path.stat().st_ino)]


@pytest.mark.skipif(os.name != "posix", reason="only POSIX can bring a folder to the disk")
@pytest.mark.parametrize("code", [errno.EINVAL, errno.EIO], ids=["unknown", "broken"])
def test_a_folder_that_cannot_be_brought_to_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def fail_on_folders(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail_on_folders)
    if code == errno.EINVAL:  # a file system that has no such thing
        write_atomically(tmp_path / "model", b"new")
    else:
        assert error_of(tmp_path / "model") == os.strerror(code)
    assert (tmp_path / "model").read_bytes() == b"new"


@pytest.mark.parametrize("path", [".", "..", "/", ""])
def test_a_path_without_a_name_is_told(path: str) -> None:
    assert error_of(Path(path)) == "it is a folder or a device; give the name of a file"
