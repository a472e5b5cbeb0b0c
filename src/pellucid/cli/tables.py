"""Results as tables for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table


def confusion_table(counts: Sequence[Sequence[int]], class_names: Sequence[str]) -> Table:
    """Return a confusion matrix: a row for each true class, a column for each predicted one, both by number."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title="rows: true class, columns: predicted", title_justify="left")
    table.add_column("")
    for k in range(len(counts)):
        table.add_column(str(k), justify="right")
    for k, row in enumerate(counts):
        name = class_names[k] if k < len(class_names) else ""
        label = str(k) if name in ("", str(k)) else f"{k} {name}"
        styles = ("green" if i == k else "red" for i in range(len(row)))
        table.add_row(label, *(Text(str(n), style) if n else "·" for n, style in zip(row, styles, strict=True)))
    return table
