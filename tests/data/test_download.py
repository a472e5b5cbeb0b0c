from __future__ import annotations

import gzip
import hashlib
import os
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest
from data.server import refuses, sends, serving

from pellucid.data import download
from pellucid.data.download import Remote
from pellucid.errors import DataError, FileWriteError, MissingExtraError

pytest.importorskip("pooch", reason="data sets are downloaded with pooch")

CONTENT = np.random.default_rng(0).bytes(100_000)
DAMAGED = CONTENT[:70_000] + b"?" + CONTENT[70_001:]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def remote(*addresses: str, content: bytes = CONTENT) -> Remote:
    return Remote("file.bin", hashlib.md5(content).hexdigest(), addresses)


def fails(folder: Path, *addresses: str) -> str:
    with pytest.raises(DataError) as caught:
        remote(*addresses).fetch(folder)
    return str(caught.value)


def test_a_file_arrives_whole_and_is_asked_for_once(tmp_path: Path) -> None:
    with serving(sends(CONTENT)) as (address, asked):
        path = remote(address).fetch(tmp_path / "deep" / "folder")
        assert path == tmp_path / "deep" / "folder" / "file.bin"
        assert path.read_bytes() == CONTENT
        assert asked == [("/file.bin", None)]
        assert os.listdir(path.parent) == ["file.bin"]
        assert remote(address).fetch(path.parent) == path
        assert len(asked) == 1


def test_a_broken_connection_is_taken_up_where_it_broke(tmp_path: Path) -> None:
    breaks = [sends(CONTENT, stop=stop) for stop in (30_000, 30_000, 80_000)]
    with serving(*breaks, sends(CONTENT)) as (address, asked):
        assert remote(address).fetch(tmp_path).read_bytes() == CONTENT
    starts = [start or 0 for _, start in asked]
    assert len(starts) == 4
    assert starts == sorted(starts)
    # What was being read when it broke may be asked for again, and no more than that.
    for start, arrived in zip(starts, (0, 30_000, 30_000, 80_000), strict=True):
        assert arrived - (1 << 14) < start <= arrived


def test_what_arrived_is_kept_for_the_next_time_and_for_a_mirror(tmp_path: Path) -> None:
    with serving(sends(CONTENT, stop=50_000)) as (address, asked):
        message = fails(tmp_path, address)
        assert len(asked) == download.TRIES
        assert message.splitlines()[0] == "file.bin could not be downloaded from"
        assert message.splitlines()[1].startswith(f"  {address}file.bin: the connection breaks off, 10 times (")
        assert message.splitlines()[2] == (
            f"Try again later, which goes on with what has arrived, or put the file into {tmp_path} by other means."
        )
    arrived = (tmp_path / "file.bin.part").stat().st_size
    assert os.listdir(tmp_path) == ["file.bin.part"]
    with serving(sends(CONTENT)) as (address, asked):
        assert remote(address).fetch(tmp_path).read_bytes() == CONTENT
        assert asked == [("/file.bin", arrived)]
    assert os.listdir(tmp_path) == ["file.bin"]


def test_a_server_that_cannot_go_on_starts_anew(tmp_path: Path) -> None:
    with serving(sends(CONTENT, stop=50_000), sends(CONTENT, ranges=False)) as (address, asked):
        assert remote(address).fetch(tmp_path).read_bytes() == CONTENT
        assert len(asked) == 2


def test_a_server_that_goes_on_elsewhere_is_left(tmp_path: Path) -> None:
    (tmp_path / "file.bin.part").write_bytes(CONTENT[:40_000])
    wrong = {"Content-Range": f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}"}
    with serving(sends(CONTENT, headers=wrong)) as (bad, _), serving(sends(CONTENT)) as (good, asked):
        assert remote(bad, good).fetch(tmp_path).read_bytes() == CONTENT
        assert asked == [("/file.bin", 40_000)]
        (tmp_path / "file.bin").rename(tmp_path / "file.bin.part")
        os.truncate(tmp_path / "file.bin.part", 10)
        assert f"{bad}file.bin: it was asked for the bytes from 10 on, and sends others" in fails(tmp_path, bad)


@pytest.mark.parametrize("faulty", [refuses(404), refuses(503), sends(DAMAGED), sends(CONTENT[:-1])])
def test_a_mirror_helps(tmp_path: Path, faulty: download.Any) -> None:
    with serving(faulty) as (bad, first), serving(sends(CONTENT)) as (good, second):
        assert remote(bad, good).fetch(tmp_path).read_bytes() == CONTENT
        assert (len(first), second) == (1, [("/file.bin", None)])


def test_every_fault_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    with serving(refuses(404)) as (lost, _), serving(sends(DAMAGED)) as (damaged, _):
        message = fails(tmp_path, lost, damaged, "http://127.0.0.1:9/")
    assert f"\n  {lost}file.bin: the server answers 404 Not Found\n" in message
    assert f"\n  {damaged}file.bin: what it sends is damaged, or another file: the MD5 checksum is wrong\n" in message
    assert re.search(r"\n  http://127\.0\.0\.1:9/file\.bin: no connection \(.*[Rr]efused.*\)\n", message)
    assert os.listdir(tmp_path) == []


def test_a_length_too_large_is_seen_through(tmp_path: Path) -> None:
    with serving(sends(CONTENT, claims=len(CONTENT) + 1000)) as (address, asked):
        assert remote(address).fetch(tmp_path).read_bytes() == CONTENT
        # The end of the file went with the connection, perhaps; then nothing was left to ask for.
        assert 2 <= len(asked) <= 3


def test_a_length_too_small_is_not_the_file(tmp_path: Path) -> None:
    with serving(sends(CONTENT, claims=99_999)) as (address, _):
        assert "the MD5 checksum is wrong" in fails(tmp_path, address)
    assert os.listdir(tmp_path) == []


def test_a_wrong_beginning_is_thrown_away(tmp_path: Path) -> None:
    for beginning in (DAMAGED[:80_000], DAMAGED, CONTENT + b"more"):
        (tmp_path / "file.bin.part").write_bytes(beginning)
        with serving(sends(CONTENT)) as (address, asked):
            assert remote(address).fetch(tmp_path).read_bytes() == CONTENT
            assert asked == [("/file.bin", len(beginning)), ("/file.bin", None)]
        (tmp_path / "file.bin").unlink()


def test_a_beginning_that_is_whole_needs_no_more(tmp_path: Path) -> None:
    (tmp_path / "file.bin.part").write_bytes(CONTENT)
    with serving(sends(CONTENT)) as (address, asked):
        assert remote(address).fetch(tmp_path).read_bytes() == CONTENT
        assert asked == [("/file.bin", 100_000)]


def test_a_damaged_file_of_that_name_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_bytes(DAMAGED)
    with serving(sends(CONTENT)) as (address, _):
        assert remote(address).fetch(tmp_path).read_bytes() == CONTENT


def test_packed_files_are_not_unpacked_on_the_way(tmp_path: Path) -> None:
    packed = gzip.compress(CONTENT)
    with serving(sends(packed, headers={"Content-Encoding": "gzip"})) as (address, _):
        assert remote(address, content=packed).fetch(tmp_path).read_bytes() == packed


def test_a_file_without_end_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "MOST_BYTES", 50_000)
    with serving(sends(CONTENT)) as (address, _):
        assert f"{address}file.bin: it sends more than 50,000 bytes" in fails(tmp_path, address)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == 0


def test_a_silent_server_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PATIENCE", 0.1)
    monkeypatch.setattr(download, "TRIES", 2)
    over = threading.Event()

    def says_nothing(handler: BaseHTTPRequestHandler, _: int | None) -> None:
        over.wait(10)

    def stops_speaking(handler: BaseHTTPRequestHandler, start: int | None) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        over.wait(10)

    for answer, told in ((says_nothing, r"no connection \(.*timed out.*\)"), (stops_speaking, "breaks off, 2 times")):
        with serving(answer) as (address, _):
            try:
                assert re.search(told, fails(tmp_path, address))
            finally:
                over.set()
        over.clear()


def test_a_folder_that_takes_no_files(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with serving(sends(CONTENT)) as (address, _), pytest.raises(FileWriteError) as caught:
        remote(address).fetch(tmp_path / "taken")
    assert str(caught.value).startswith(f"cannot write file.bin to {tmp_path}/taken: ")
    assert "another folder with --data-dir (in Python: data_dir=...)" in str(caught.value)


def test_a_full_disk(tmp_path: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    (tmp_path / "file.bin.part").symlink_to("/dev/full")
    with serving(sends(CONTENT)) as (address, _), pytest.raises(FileWriteError) as caught:
        remote(address).fetch(tmp_path)
    assert str(caught.value).startswith(f"cannot write file.bin to {tmp_path}: No space left on device; make room")


def test_without_pooch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(MissingExtraError, match=r'downloaded with pooch, .*: pip install "pellucid\[data\]"'):
        remote("http://127.0.0.1:9/").fetch(tmp_path)
