"""What to say when a data set is nowhere to be found."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from pellucid.errors import DataNotFoundError


def not_found(
    name: str, folders: Sequence[Path], lack: Callable[[Path], str], wanted: str, folder: str | None = None
) -> DataNotFoundError:
    """Return the error that says where a data set was looked for, what is missing there, and what to do.

    Args:
        name: of the data set.
        folders: where it was looked for.
        lack: tells what is missing in a folder that exists.
        wanted: the files it takes.
        folder: what the folder for it is called, if not like itself.
    """
    told = [f"  {place}: {_lack(place, lack)}" for place in folders] or ["  nowhere: no folder was given"]
    return DataNotFoundError(
        "\n".join(
            [
                f"the data set {name!r} was not found. Looked in",
                *told,
                f"for {wanted}.",
                f"Give the folder that holds them, or that holds a folder {folder or name}, with --data-dir (in "
                "Python: data_dir=...) or in the environment variable PELLUCID_DATA_DIR; where neither is given, they "
                "are downloaded.",
            ]
        )
    )


def _lack(folder: Path, lack: Callable[[Path], str]) -> str:
    # os.path.isdir, unlike Path.is_dir, is just false for a folder that may not be searched.
    return lack(folder) if os.path.isdir(folder) else "there is no such folder"
