"""The command line: train, evaluate, predict, runs, summary, check, export, explore.

Exit codes:

=====  ====================================================================================================
code   meaning
=====  ====================================================================================================
0      fine
1      ``check`` found a wrong gradient
2      wrong usage: an unknown option, a missing argument, options that exclude each other
3      a :class:`~pellucid.errors.PellucidError`: data, shapes, settings or files that cannot be used
130    interrupted with Ctrl-C; ``train`` still writes its run folder
=====  ====================================================================================================

With ``--json`` a command prints one JSON object on standard output and nothing else there; an error of code 3 is then
``{"error": {"type": ..., "message": ...}}``. Errors, warnings and notes go to standard error in either mode; so does
progress: a bar on a terminal, elsewhere a line an epoch, or nothing with ``--json``.

What a command needs is imported when it runs, so that ``pellucid --help`` is quick.
"""

from __future__ import annotations

from typing import Annotated

import typer

from pellucid.cli import check, evaluate, explore, export, predict, runs, summary, train

app = typer.Typer(
    name="pellucid",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 fine, 1 a wrong gradient, 2 wrong usage, 3 an error, 130 interrupted.",
)
COMMANDS = (
    train.train,
    evaluate.evaluate,
    predict.predict,
    runs.runs,
    summary.summary,
    check.check,
    export.export,
    explore.explore,
)
for command in COMMANDS:
    app.command()(command)


def _show_version(wanted: bool) -> None:
    if wanted:
        from pellucid import __version__
        from pellucid.engine import instruction_set, uses_threads

        found = instruction_set()
        threads = "" if uses_threads() else ", without OpenMP: one thread"
        compiled = (
            f"compiled part: {found}{threads}" if found else "installed without a C++ compiler: reference engine only"
        )
        typer.echo(f"pellucid {__version__} ({compiled})")
        raise typer.Exit


@app.callback()
def pellucid(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Print the version, and what was compiled."
        ),
    ] = False,
) -> None:
    """Convolutional networks with every derivative written out by hand."""


def main() -> None:
    """Run the command line; the entry point of the ``pellucid`` script."""
    app()


__all__ = ["app", "main"]
