"""The table, and the file with every round."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from benchmarks.machine import Machine
from benchmarks.row import Row


def header(machine: Machine, threads: int, data: str) -> str:
    """Return the lines that say where, with what and on what the figures were taken."""
    return f"{machine}\n{threads} threads on each side; {data}"


def table(rows: Sequence[Row]) -> Table:
    """Return the rows as a table; a ratio above 1 means that Pellucid is faster, or smaller."""
    shown = Table(title_justify="left")
    for column in ("work", "Pellucid", "", "images/s", "peer", "", "ratio", "spread"):
        left = column in ("work", "Pellucid", "peer")
        shown.add_column(column, justify="left" if left else "right", no_wrap=True)
    for row in rows:
        found = row.ratio
        if found is None:
            shown.add_row(row.work.title, row.engine, "–", "–", row.work.peer, "–", "–", "–")
            continue
        timed = row.work.task != "memory"
        shown.add_row(
            row.work.title,
            row.engine,
            _figure(row.ours, timed),
            f"{row.work.batch / row.ours:,.0f}" if timed else "",
            f"{row.work.peer}, {row.variant}",
            _figure(row.peer, timed),
            f"{found.median:.2f}",
            f"{found.spread:.2f}",
        )
    return shown


def remarks(rows: Sequence[Row]) -> list[str]:
    """Return what was refused, skipped, noisy or left out, a line each, with the name of the work."""
    lines: list[str] = []
    for row in rows:
        if row.refused:
            lines.append(f"{row.work.name}: no ratio. {row.refused}")
        if row.skipped:
            lines.append(f"{row.work.name}: skipped, {row.skipped}")
        found = row.ratio
        if found is not None and found.noisy:
            lines.append(
                f"{row.work.name}: noisy, not to be quoted. Half of the ratios lie between {found.lower:.2f} and "
                f"{found.upper:.2f}, the smallest figures give {found.best:.2f}; measure again while nothing else runs"
            )
        lines += [f"{row.work.name}: {note}" for note in row.notes]
    return lines


def write_json(path: Path, machine: dict[str, object], settings: dict[str, object], rows: Sequence[Row]) -> None:
    """Write machine, settings, and all rows with every round."""
    content = {"machine": machine, "settings": settings, "rows": [row.to_json() for row in rows]}
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def _figure(value: float, timed: bool) -> str:
    return f"{value * 1e3:.4g} ms" if timed else f"{value:.1f} MB"
