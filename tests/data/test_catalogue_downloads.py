"""Data sets by name, from a server on this machine in place of their publishers'."""

from __future__ import annotations

import gzip
import hashlib
import struct
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from data.server import refuses, sends, serving

from pellucid.data import catalogue, load_dataset
from pellucid.data.download import Remote
from pellucid.data.publishers import PUBLISHED
from pellucid.errors import DataError, DataNotFoundError, MissingExtraError

pytest.importorskip("pooch", reason="data sets are downloaded with pooch")

FILES = {
    "train-images-idx3-ubyte.gz": gzip.compress(struct.pack(">4B3I4B", 0, 0, 8, 3, 2, 1, 2, 11, 12, 13, 14)),
    "train-labels-idx1-ubyte.gz": gzip.compress(struct.pack(">4BI2B", 0, 0, 8, 1, 2, 5, 6)),
    "t10k-images-idx3-ubyte.gz": gzip.compress(struct.pack(">4B3I2B", 0, 0, 8, 3, 1, 1, 2, 15, 16)),
    "t10k-labels-idx1-ubyte.gz": gzip.compress(struct.pack(">4BI1B", 0, 0, 8, 1, 1, 7)),
}


def sends_them(handler: BaseHTTPRequestHandler, start: int | None) -> None:
    sends(FILES[handler.path.lstrip("/")])(handler, start)


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Put MNIST on other servers, and what is downloaded under ``cache``."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("PELLUCID_DATA_DIR", raising=False)
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / "cache" / name)

    def put(*addresses: str) -> None:
        remotes = tuple(Remote(name, hashlib.md5(FILES[name]).hexdigest(), addresses) for name in FILES)
        monkeypatch.setitem(catalogue.PUBLISHED, "mnist", remotes)

    return put


def test_downloaded_once_into_the_cache(publish: Callable[..., None], tmp_path: Path) -> None:
    with serving(refuses(404)) as (lost, _), serving(sends_them) as (address, asked):
        publish(lost, address)
        data = load_dataset("mnist")
        assert data.x_train.tolist() == [[[[11, 12]]], [[[13, 14]]]]
        assert (data.y_train.tolist(), data.x_test.tolist(), data.y_test.tolist()) == ([5, 6], [[[[15, 16]]]], [7])
        assert sorted(path.name for path in (tmp_path / "cache/pellucid/mnist").iterdir()) == sorted(FILES)
        assert len(asked) == 4
        load_dataset("mnist")
        load_dataset("mnist", download=False)
        assert len(asked) == 4


def test_a_folder_of_ones_own_stays_offline_unless_asked(publish: Callable[..., None], tmp_path: Path) -> None:
    with serving(sends_them) as (address, asked):
        publish(address)
        with pytest.raises(DataNotFoundError, match="Looked in"):
            load_dataset("mnist", tmp_path)
        assert asked == []
        # What is there is taken as it is, whatever its checksum; only the rest is downloaded.
        (tmp_path / "mnist").mkdir()
        own = gzip.compress(struct.pack(">4BI1B", 0, 0, 8, 1, 1, 9))
        (tmp_path / "mnist/t10k-labels-idx1-ubyte.gz").write_bytes(own)
        assert load_dataset("mnist", tmp_path, download=True).y_test.tolist() == [9]
        assert sorted(path for path, _ in asked) == sorted(f"/{name}" for name in FILES if "t10k-labels" not in name)
        assert load_dataset("mnist", tmp_path).y_test.tolist() == [9]


def test_the_environment_stays_offline_too(
    publish: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PELLUCID_DATA_DIR", str(tmp_path))
    with serving(sends_them) as (address, asked):
        publish(address)
        with pytest.raises(DataNotFoundError):
            load_dataset("mnist")
        assert asked == []


def test_a_damaged_download_is_not_kept(publish: Callable[..., None], tmp_path: Path) -> None:
    with serving(sends(b"<!DOCTYPE html>")) as (address, _):
        publish(address)
        with pytest.raises(
            DataError, match=r"train-images-idx3-ubyte\.gz could not be downloaded from\n.*MD5 checksum"
        ):
            load_dataset("mnist")
    assert list((tmp_path / "cache/pellucid/mnist").iterdir()) == []


def test_without_pooch_a_folder_still_does(
    publish: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.setitem(sys.modules, "pooch", None)
    assert load_dataset("mnist", tmp_path).y_test.tolist() == [7]
    with pytest.raises(MissingExtraError, match=r'mnist is downloaded with pooch, .*: pip install "pellucid\[data\]"'):
        load_dataset("mnist")


def test_every_data_set_has_a_publisher_with_whole_checksums() -> None:
    for name in catalogue.READERS:
        assert any(name == kept or name.startswith(f"{kept}-") for kept in PUBLISHED), name
    remotes = [remote for of_set in PUBLISHED.values() for remote in of_set]
    assert len({remote.md5 for remote in remotes}) == len(remotes) == 17
    for remote in remotes:
        assert len(bytes.fromhex(remote.md5)) == 16
        assert all(folder.startswith("http") and folder.endswith("/") for folder in remote.folders)
