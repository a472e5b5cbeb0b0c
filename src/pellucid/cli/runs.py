"""``pellucid runs``: list the runs in a folder, or compare some."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pellucid.cli.options import AsJson
from pellucid.cli.output import Output, results

if TYPE_CHECKING:
    from rich.table import Table

    from pellucid.training.recorded_runs import RecordedRun


def runs(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(help="A folder of runs to list, runs/ by default; or several run folders to compare."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the runs in a folder, or compare runs: the settings that differ, and what they came to."""
    with results(as_json) as output:
        from pellucid.training.recorded_runs import find_runs, read_run

        if folders and len(folders) > 1:
            _compare(output, [read_run(folder) for folder in folders])
        else:
            folder = folders[0] if folders else Path("runs")
            _list(output, folder, find_runs(folder))


def _list(output: Output, folder: Path, found: list[RecordedRun]) -> None:
    from rich.table import Table

    rows = [_row(run) for run in found]
    table = Table("name", "model", "data", *(_right(name) for name in ("epochs", "accuracy", "seconds")), "state")
    for row in rows:
        figures = _integer(row["epochs"]), _fixed(row["accuracy"], 4), _fixed(row["seconds"], 1)
        table.add_row(row["name"], _text(row["model"]), _text(row["data"]), *figures, row["state"])
    output.show({"folder": str(folder), "runs": rows}, table if rows else f"no runs in {folder}")


def _row(run: RecordedRun) -> dict[str, Any]:
    figures = run.figures()
    return {
        "name": run.path.name or run.path.resolve().name,
        "path": str(run.path),
        "model": run.settings.get("model"),
        "data": run.settings.get("data"),
        **{name: figures[name] for name in ("epochs", "accuracy", "loss", "seconds", "state", "weights")},
    }


def _compare(output: Output, compared: list[RecordedRun]) -> None:
    from pellucid.training.recorded_runs import differences

    settings = differences([run.settings for run in compared])
    surroundings = differences([run.surroundings() for run in compared])
    told = [run.figures() for run in compared]
    figures = {name: [one[name] for one in told] for name in told[0]}
    names = [str(run.path) for run in compared]
    output.show(
        {"runs": names, "settings": settings, "surroundings": surroundings, "figures": figures},
        _side_by_side("setting", names, settings) if settings else "the settings are the same",
        *([_side_by_side("ran on", names, surroundings)] if surroundings else []),
        _side_by_side("figure", names, figures | {"weights": [_short(value) for value in figures["weights"]]}),
    )


def _side_by_side(what: str, names: list[str], rows: dict[str, list[Any]]) -> Table:
    from rich.table import Table

    table = Table(what, *(_right(name) for name in names))
    for name, values in rows.items():
        table.add_row(name, *(_text(value) for value in values))
    return table


def _right(name: str) -> Any:
    from rich.table import Column

    return Column(name, justify="right")


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "–" if value is None else str(value)


def _integer(value: Any) -> str:
    return str(value) if isinstance(value, int) else "–"


def _fixed(value: Any, digits: int) -> str:
    return f"{value:.{digits}f}" if isinstance(value, (int, float)) else "–"


def _short(checksum: Any) -> str | None:
    """Return enough of a checksum to see whether two are the same."""
    return checksum[:12] if isinstance(checksum, str) else None
