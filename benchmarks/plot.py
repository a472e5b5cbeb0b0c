"""The ratios and the kernels' shares of the peak as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.kernel_row import KernelRow
from benchmarks.rounds import Ratio
from benchmarks.row import Row

#: height of a bar, and of what surrounds them, in inches
BAR, AROUND = 0.4, 1.2


def plot(rows: Sequence[Row], kernels: Sequence[KernelRow], header: str, path: Path) -> None:
    """Draw a bar for every ratio and every share, with its quartiles, pale where it is noisy.

    The format follows the path's ending.
    """
    from matplotlib.figure import Figure

    ratios = [
        (f"{row.work.title}\n{row.work.peer}, {row.variant}", found) for row in rows if (found := row.ratio) is not None
    ]
    shares = [
        (f"{row.kernel.title}\n{one.which}, threads: {one.threads}", one.share) for row in kernels for one in row.passes
    ]
    panels = [
        ("time or memory of the peer / Pellucid's", ratios),
        ("speed of the kernel / the processor's peak", shares),
    ]
    panels = [(label, bars) for label, bars in panels if bars]
    heights = [AROUND + BAR * len(bars) for _, bars in panels]
    figure = Figure(figsize=(9, 0.6 + sum(heights)), layout="constrained")
    figure.suptitle(header, fontsize=8)
    if panels:
        all_axes = figure.subplots(len(panels), squeeze=False, height_ratios=heights)[:, 0]
        for axes, (label, bars) in zip(all_axes, panels, strict=True):
            _bars(axes, label, bars)
    figure.savefig(path, dpi=150)


def _bars(axes: Any, label: str, bars: Sequence[tuple[str, Ratio]]) -> None:
    positions = range(len(bars))
    medians = [found.median for _, found in bars]
    below = [found.median - found.lower for _, found in bars]
    above = [found.upper - found.median for _, found in bars]
    colours = ["#bbccdd" if found.noisy else "#4477aa" for _, found in bars]
    axes.barh(positions, medians, xerr=(below, above), color=colours, error_kw={"capsize": 3})
    axes.axvline(1, color="black", linewidth=1)
    axes.set_yticks(positions, [name for name, _ in bars], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel(f"{label}: median of the rounds, and quartiles (pale: noisy)")
