"""Where a command's results, notes and errors go, and the exit code that each error becomes."""

from __future__ import annotations

import json
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import typer

from pellucid.errors import PellucidError

if TYPE_CHECKING:
    from rich.console import RenderableType


#: columns for tables that go to a file or a pipe, so that nothing is cut
_WIDE = 200


class ExitCode(IntEnum):
    """How a command ends; 2, wrong usage, is typer's own."""

    WRONG_GRADIENT = 1
    ERROR = 3
    INTERRUPTED = 130


class Output:
    """Results on standard output, as tables or as one JSON object; everything else on standard error.

    Attributes:
        as_json: whether results are JSON.
        notes: the console for notes and progress.
    """

    def __init__(self, as_json: bool) -> None:
        from rich.console import Console

        self.as_json = as_json
        self.notes = Console(stderr=True)
        self._results = Console(markup=False, emoji=False)  # names and paths are printed as they are
        if not self._results.is_terminal:
            self._results.width = _WIDE

    def show(self, result: dict[str, Any], *tables: RenderableType) -> None:
        """Print the result as JSON, or the tables that show it to people."""
        if self.as_json:
            typer.echo(json.dumps(result, allow_nan=False))
        else:
            for table in tables:
                self._results.print(table, soft_wrap=isinstance(table, str))

    def note(self, text: str, style: str = "dim") -> None:
        """Print a line on standard error, as it is."""
        from rich.text import Text

        self.notes.print(Text(text, style=style), soft_wrap=True)

    def warn(self, message: Warning | str, *_: Any, **__: Any) -> None:
        """Print a warning as a yellow line; stands in for ``warnings.showwarning``."""
        self.note(f"warning: {message}", style="yellow")

    def fail(self, kind: str, message: str) -> None:
        """Print an error as a red line, and as JSON if results are JSON."""
        if self.as_json:
            typer.echo(json.dumps({"error": {"type": kind, "message": message}}))
        self.note(f"error: {message}", style="red")


@contextmanager
def results(as_json: bool) -> Generator[Output]:
    """Give a command its output; turn errors into an exit code without a traceback, and warnings into notes."""
    output = Output(as_json)
    with warnings.catch_warnings():
        warnings.showwarning = output.warn
        try:
            yield output
        except PellucidError as error:
            output.fail(type(error).__name__, str(error))
            raise typer.Exit(ExitCode.ERROR) from None
        except KeyboardInterrupt:
            output.fail("KeyboardInterrupt", "interrupted")
            raise typer.Exit(ExitCode.INTERRUPTED) from None
