"""Files that are written whole or not at all or that grow, and folders that are known to take files."""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import suppress
from pathlib import Path

from pellucid.errors import FileWriteError


def write_atomically(path: Path, *data: bytes | memoryview) -> None:
    """Write ``data`` to ``path``, whole or not at all: whatever goes wrong, a file that was there stays as it was.

    Pieces follow one another. The bytes go to a temporary file in the same folder and are on the disk before it takes
    the name; when this returns, the name is there too.

    Raises:
        FileWriteError: the folder is missing or not writable, ``path`` is no ordinary file, or the disk is full.
    """
    temporary = path.parent / f".{secrets.token_hex(8)}.part"
    try:
        if not path.parent.is_dir():
            raise FileWriteError(f"cannot write {path}: there is no folder {path.parent}; create it first")
        if path.exists() and not path.is_file():
            raise FileWriteError(f"cannot write {path}: it is a folder or a device; give the name of a file")
        # Not tempfile, whose files only their owner may read; these get the permissions of any new file.
        with temporary.open("xb") as file:
            file.writelines(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and not isinstance(error, FileWriteError):
            raise FileWriteError(f"cannot write {path}: {error.strerror or error}") from error
        raise


def append(path: Path, data: bytes) -> None:
    """Write ``data`` behind what a file holds; if the disk is full, a part of it may be there afterwards.

    Raises:
        FileWriteError: the file cannot be written.
    """
    try:
        with path.open("ab") as file:
            file.write(data)
    except OSError as error:
        raise FileWriteError(f"cannot write {path}: {error.strerror or error}") from error


def make_folder(folder: Path) -> None:
    """Make a folder, with those above it, and try it out with a file: before hours of work, not after.

    Raises:
        FileWriteError: it cannot be made or written to.
    """
    trial = folder / f".{secrets.token_hex(8)}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trial.touch(exist_ok=False)
        trial.unlink()
    except OSError as error:
        told = f"cannot write to the folder {folder}: {error.strerror or error}; choose another one"
        raise FileWriteError(told) from error


def _sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk, where that can be asked for."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems know no such thing
            raise
    finally:
        os.close(descriptor)
