"""A table as text in cells, for the screen and for a document."""

from __future__ import annotations

from dataclasses import dataclass, field

from rich.table import Table


@dataclass
class Grid:
    """Columns and the lines below them.

    Attributes:
        columns: the headings.
        left: headings of the columns that hold words; the others hold numbers, which stand to the right.
        lines: a cell for every column.
    """

    columns: tuple[str, ...]
    left: tuple[str, ...]
    lines: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])

    def on_screen(self) -> Table:
        """Return the table that rich prints."""
        shown = Table()
        for column in self.columns:
            shown.add_column(column, justify="left" if column in self.left else "right", no_wrap=True)
        for line in self.lines:
            shown.add_row(*line)
        return shown

    def in_markdown(self) -> str:
        """Return the table as GitHub and other readers of Markdown take it."""
        rule = tuple("---" if column in self.left else "---:" for column in self.columns)
        cells = [self.columns, rule, *self.lines]
        return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in cells)
