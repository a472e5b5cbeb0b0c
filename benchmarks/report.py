"""The tables, and the files with every round."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.grid import Grid
from benchmarks.kernel_row import KernelRow
from benchmarks.machine import Machine
from benchmarks.rounds import Ratio
from benchmarks.row import Row


def header(machine: Machine, threads: int, data: str | None) -> str:
    """Return the lines that say where, with what and on what the figures were taken."""
    return f"{machine}\n{threads} threads on each side" + (f"; {data}" if data else "")


def work_grid(rows: Sequence[Row]) -> Grid:
    """Return a line a row; a ratio above 1 means that Pellucid is faster, or smaller."""
    grid = Grid(
        ("work", "Pellucid", "", "images/s", "peer", "", "ratio", "spread", "rounds"), ("work", "Pellucid", "peer")
    )
    for row in rows:
        found = row.ratio
        if found is None:
            grid.lines.append((row.work.title, row.engine, "–", "–", row.work.peer, "–", "–", "–", "–"))
            continue
        grid.lines.append(
            (
                row.work.title,
                row.engine,
                _figure(row.ours, row),
                "" if row.work.task == "memory" else f"{row.images / row.ours:,.0f}",
                f"{row.work.peer}, {row.variant}",
                _figure(row.peer, row),
                f"{found.median:.2f}",
                f"{found.spread:.2f}",
                str(len(row.rounds)),
            )
        )
    return grid


def kernel_grid(rows: Sequence[KernelRow]) -> Grid:
    """Return a line for every pass on so many threads."""
    grid = Grid(("kernel", "pass", "threads", "GFLOP/s", "peak", "share", "spread"), ("kernel", "pass"))
    for row in rows:
        for one in row.passes:
            speeds = f"{one.gflops:,.0f}", f"{one.peak:,.0f}"
            shares = f"{one.share.median:.0%}", f"{one.share.spread:.0%}"
            grid.lines.append((row.kernel.title, one.which, str(one.threads), *speeds, *shares))
        if not row.passes:
            grid.lines.append((row.kernel.title, *6 * ("–",)))
    return grid


def remarks(rows: Sequence[Row], kernels: Sequence[KernelRow]) -> list[str]:
    """Return what was refused, skipped, noisy or left out, a line each, with the name of the work."""
    lines: list[str] = []
    for row in (*rows, *kernels):
        if row.refused:
            lines.append(f"{row.name}: no figures. {row.refused}")
        if row.skipped:
            lines.append(f"{row.name}: skipped, {row.skipped}")
    for row in rows:
        lines += _noise(row.name, row.ratio)
        lines += [f"{row.name}: {note}" for note in row.notes]
    for kernel in kernels:
        for one in kernel.passes:
            lines += _noise(one.name, one.share)
    return lines


def write_json(
    path: Path,
    machine: dict[str, object],
    settings: dict[str, object],
    rows: Sequence[Row],
    kernels: Sequence[KernelRow],
) -> None:
    """Write machine, settings, and all rows with every round."""
    content = {
        "machine": machine,
        "settings": settings,
        "rows": [row.to_json() for row in rows],
        "kernels": [row.to_json() for row in kernels],
    }
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def write_markdown(path: Path, header: str, grids: Sequence[Grid], remarks: Sequence[str]) -> None:
    """Write the tables as they go into a document, under the machine that they hold for."""
    parts = ["  \n".join(header.splitlines()), *(grid.in_markdown() for grid in grids if grid.lines)]
    if remarks:
        parts.append("\n".join(f"- {line}" for line in remarks))
    path.write_text("\n\n".join(parts) + "\n")


def _noise(name: str, found: Ratio | None) -> list[str]:
    if found is None or not found.noisy:
        return []
    return [
        f"{name}: noisy, not to be quoted. Half of the ratios lie between {found.lower:.2f} and {found.upper:.2f}, "
        f"the smallest figures give {found.best:.2f}; measure again while nothing else runs"
    ]


def _figure(value: float, row: Row) -> str:
    match row.work.task:
        case "memory":
            return f"{value:.1f} MB"
        case "epoch":
            return f"{value:.3g} s"
        case _:
            return f"{value * 1e3:.4g} ms"
