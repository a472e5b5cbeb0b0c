"""CSVLogger: the history as a table that grows while the network trains."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pellucid.errors import ConfigError, FileWriteError
from pellucid.interop.atomic import append, write_atomically
from pellucid.training.callbacks.base import Callback, Logs


class CSVLogger(Callback):
    """Write a line to a CSV file after every epoch, under a header with the names of the history's columns.

    Unlike Keras's, which counts epochs from 0 and sorts the columns, this is the history as it stands: epochs from 1,
    columns in its order, numbers that read back bit for bit. A training that goes on from a checkpoint takes away the
    lines it wrote after that checkpoint, and writes them again.

    Args:
        filename: the file, in a folder that there is.
        separator: what stands between two columns.
        append: go on at the end of a file that there is; False begins it anew.

    Raises:
        ConfigError: the separator is not one character; or, as training starts, the file to append to has other
            columns.
        FileWriteError: the file cannot be read or written.
    """

    def __init__(self, filename: str | Path, separator: str = ",", append: bool = False) -> None:
        if len(separator) != 1 or separator in '"\r\n':
            raise ConfigError(f"CSVLogger: separator must be one character, no quote or line end; got {separator!r}")
        self.filename = Path(filename)
        self.separator = separator
        self.append = append
        self._text = ""

    def on_train_begin(self, logs: Logs) -> None:
        """Begin the file with its header, or look at the one to append to."""
        self._columns: tuple[str, ...] = tuple(logs["columns"])
        header = self._line(self._columns)
        self._text = self._read() if self.append else ""
        if not self._text:
            self._text = header
        elif (first := self._text.splitlines()[0]) != header.rstrip("\n"):
            raise ConfigError(
                f"CSVLogger cannot append to {self.filename}: its first line is {first!r}, but this training has "
                f"{header.rstrip()!r}; choose another file, or append=False"
            )
        elif not self._text.endswith("\n"):
            self._text += "\n"  # a line that was cut off stays one of its own
        write_atomically(self.filename, self._text.encode())

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Add the epoch's line."""
        line = self._line([logs[name] for name in self._columns])
        append(self.filename, line.encode())
        self._text += line

    def state_dict(self) -> dict[str, Any]:
        """Return the file's text."""
        return {"text": self._text}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Write that text again, without what came after it."""
        self._text = state["text"]
        write_atomically(self.filename, self._text.encode())

    def _line(self, values: Any) -> str:
        line = io.StringIO()
        csv.writer(line, delimiter=self.separator, lineterminator="\n").writerow(values)
        return line.getvalue()

    def _read(self) -> str:
        try:
            return self.filename.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            raise FileWriteError(
                f"CSVLogger cannot append to {self.filename}: {getattr(error, 'strerror', None) or error}"
            ) from error
