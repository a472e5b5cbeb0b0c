"""The ratios as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.row import Row


def plot(rows: Sequence[Row], header: str, path: Path) -> None:
    """Draw a bar for every ratio, with its quartiles, pale where it is noisy; the format follows the path's ending."""
    from matplotlib.figure import Figure

    drawn = [(row, found) for row in rows if (found := row.ratio) is not None]
    figure = Figure(figsize=(9, 1.6 + 0.4 * len(drawn)), layout="constrained")
    axes = figure.subplots()
    positions = range(len(drawn))
    medians = [found.median for _, found in drawn]
    below = [found.median - found.lower for _, found in drawn]
    above = [found.upper - found.median for _, found in drawn]
    colours = ["#bbccdd" if found.noisy else "#4477aa" for _, found in drawn]
    axes.barh(positions, medians, xerr=(below, above), color=colours, error_kw={"capsize": 3})
    axes.axvline(1, color="black", linewidth=1)
    axes.set_yticks(positions, [f"{row.work.title}\n{row.work.peer}, {row.variant}" for row, _ in drawn], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("time or memory of the peer / Pellucid's: median of the rounds, and quartiles (pale: noisy)")
    axes.set_title(header, fontsize=8, loc="left")
    figure.savefig(path, dpi=150)
