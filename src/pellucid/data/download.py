"""Files from their publishers: checked, resumed where they broke off, and from a mirror if the first place fails."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pellucid.errors import DataError, FileWriteError
from pellucid.extra import need

#: seconds without a byte after which a server counts as gone
PATIENCE = 30
#: how often one server is asked to go on after it broke off
TRIES = 10
#: no file that is downloaded has as many bytes; a server that sends more is cut off
MOST_BYTES = 2**30
#: bytes that are lost at most when a connection breaks
_CHUNK = 1 << 14


@dataclass(frozen=True)
class Remote:
    """A file on the network.

    Attributes:
        name: the file's own.
        md5: of the publisher's file.
        folders: addresses of the folders that hold it, the publisher's or a mirror's; each is tried in turn.
    """

    name: str
    md5: str
    folders: tuple[str, ...]

    def fetch(self, folder: Path) -> Path:
        """Return the file in a local folder, downloading it unless it lies there already with the right checksum.

        What arrives goes to ``NAME.part``. If the connection breaks, it goes on from there: at once, or when asked the
        next time, from a mirror too. The file takes its own name only when its checksum is right.

        Raises:
            DataError: no address gives the file; each is named with its fault.
            FileWriteError: the folder cannot be written to, or the disk is full.
            MissingExtraError: pooch is not installed.
        """
        faults: list[str] = []
        for address in self.folders:
            try:
                return self._fetch_from(f"{address}{self.name}", folder)
            except _FailedError as failure:
                faults.append(f"  {address}{self.name}: {failure}")
            except OSError as error:
                raise FileWriteError(
                    f"cannot write {self.name} to {folder}: {error.strerror or error}; make room, or give another "
                    "folder with --data-dir (in Python: data_dir=...) or PELLUCID_DATA_DIR"
                ) from error
        raise DataError(
            "\n".join(
                [
                    f"{self.name} could not be downloaded from",
                    *faults,
                    "Try again later, which goes on with what has arrived, or put the file into "
                    f"{folder} by other means.",
                ]
            )
        )

    def _fetch_from(self, url: str, folder: Path) -> Path:
        pooch = need("pooch", "data sets are downloaded with pooch")
        part = folder / f"{self.name}.part"
        resumed = part.exists()

        def download(url: str, output: str, _: Any) -> None:
            _download(url, part)
            os.replace(part, output)

        try:
            return Path(pooch.retrieve(url, f"md5:{self.md5}", self.name, folder, downloader=download))
        except ValueError as error:  # pooch's word for a wrong checksum; the file is gone
            if resumed:  # perhaps only what lay there was wrong
                return self._fetch_from(url, folder)
            raise _FailedError("what it sends is damaged, or another file: the MD5 checksum is wrong") from error


class _FailedError(Exception):
    """A server does not give the file."""


class _BrokenOffError(_FailedError):
    """A server stopped before the end, and may be asked to go on."""


def _download(url: str, part: Path) -> None:
    """Download a file, or the rest of it."""
    for left in reversed(range(TRIES)):
        try:
            _go_on(url, part)
            return
        except _BrokenOffError:
            if not left:
                raise


def _go_on(url: str, part: Path) -> None:
    requests = need("requests", "data sets are downloaded with requests")
    start = part.stat().st_size if part.exists() else 0
    # Not packed on the way: the bytes are to be the file's own, or there is no going on in the middle.
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={start}-"} if start else {})}
    try:
        with requests.get(url, headers=headers, stream=True, timeout=PATIENCE) as answer:
            if answer.status_code == 416 and start:
                return  # no bytes are left to come; the checksum tells whether there are the right ones
            if answer.status_code not in (200, 206):
                raise _FailedError(f"the server answers {answer.status_code} {answer.reason}")
            _receive(answer, part, start)
    except requests.RequestException as error:
        raise _FailedError(f"no connection ({_innermost(error)})") from error


def _receive(answer: Any, part: Path, start: int) -> None:
    """Write what a server sends to the end of the part, or over it if it sends the whole file."""
    if answer.status_code == 200:
        start = 0
    else:
        sent = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
        if sent is None or int(sent[1]) != start:
            raise _FailedError(f"it was asked for the bytes from {start} on, and sends others")
    broken = need("urllib3.exceptions", "data sets are downloaded with urllib3").HTTPError
    with part.open("ab" if start else "wb") as file, _bar(part.stem, answer, start) as show:
        try:
            for chunk in answer.raw.stream(_CHUNK, decode_content=False):
                start += file.write(chunk)
                show(start)
                if start > MOST_BYTES:
                    file.truncate(0)
                    raise _FailedError(f"it sends more than {MOST_BYTES:,} bytes")
        except broken as error:
            raise _BrokenOffError(f"the connection breaks off, {TRIES} times ({_innermost(error)})") from error


@contextmanager
def _bar(name: str, answer: Any, start: int) -> Generator[Callable[[int], None]]:
    """Give what shows how many bytes there are, on a terminal; nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn(name), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    rest = answer.headers.get("Content-Length", "")
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=start + int(rest) if rest.isdecimal() else None, completed=start)

        def show(arrived: int) -> None:
            bar.update(task, completed=arrived)

        yield show


def _innermost(error: BaseException) -> BaseException:
    cause = error.__cause__ or error.__context__
    return error if cause is None else _innermost(cause)
