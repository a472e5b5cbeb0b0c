"""``pellucid check``: every gradient of a network against central differences."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pellucid.cli.options import AsJson, BatchNorm, ModelOrName
from pellucid.cli.output import ExitCode, results
from pellucid.cli.summary import load_or_build

if TYPE_CHECKING:
    from rich.table import Table

    from pellucid.explain.check import Entry, GradientReport


def check(
    model: ModelOrName,
    batch_norm: BatchNorm = False,
    samples: Annotated[
        int | None, typer.Option(min=1, help="Entries of each tensor to check.", show_default="100")
    ] = None,
    every_entry: Annotated[bool, typer.Option("--every-entry", help="Check all entries; may take long.")] = False,
    tolerance: Annotated[float, typer.Option(min=0, help="Largest relative error that passes.")] = 1e-6,
    batch: Annotated[int, typer.Option(min=1, help="Random images in the batch.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Fixes the images and the choice of entries.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Compare a network's gradients with central differences, in float64. Exit code 1 if one is wrong."""
    if every_entry and samples is not None:
        raise typer.BadParameter("give --samples or --every-entry, not both")
    with results(as_json) as output:
        from pellucid.explain import check_gradients

        network = load_or_build(model, batch_norm).copy(dtype="float64")
        chosen = None if every_entry else samples or 100
        report = check_gradients(network, batch=batch, samples=chosen, seed=seed, tolerance=tolerance)
        output.show(_told(model, report), _table(report), str(report))
        if not report.passed:
            raise typer.Exit(ExitCode.WRONG_GRADIENT)


def _told(model: str, report: GradientReport) -> dict[str, Any]:
    return {
        "model": model,
        "passed": report.passed,
        "tolerance": report.tolerance,
        "checked": report.checked,
        "kinks": report.kinks,
        "error": _finite(report.error),
        "worst": _entry(report.worst),
        "tensors": [_entry(entry) for entry in report.worst_by_tensor],
    }


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "layer": entry.layer,
        "tensor": entry.tensor,
        "index": list(entry.index),
        "analytic": _finite(entry.analytic),
        "numeric": _finite(entry.numeric),
        "error": _finite(entry.error),
    }


def _finite(value: float) -> float | None:
    """Return None for NaN and infinity, which JSON cannot write."""
    return value if isfinite(value) else None


def _table(report: GradientReport) -> Table:
    from rich.table import Table

    table = Table("layer", "tensor", "worst entry", "analytic", "numeric", "relative error")
    for entry in report.worst_by_tensor:
        style = None if entry.error <= report.tolerance else "red"
        index = ", ".join(map(str, entry.index))
        figures = f"{entry.analytic:.8g}", f"{entry.numeric:.8g}", f"{entry.error:.1e}"
        table.add_row(entry.layer, entry.tensor, index, *figures, style=style)
    return table
