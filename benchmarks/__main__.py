"""``python -m benchmarks``, from the repository root."""

from __future__ import annotations

import multiprocessing
import os
import sys
from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from benchmarks import images, report
from benchmarks.machine import this_machine
from benchmarks.measure import Settings, measure
from benchmarks.row import Row
from benchmarks.works import WORKS, chosen

#: columns for a table that goes to a file or a pipe, so that nothing is cut
WIDE = 160


def main() -> int:
    """Measure what was asked for, print the table, and return 1 if any ratio was refused."""
    options = _options()
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console.width = WIDE
    notes = Console(stderr=True, markup=False, highlight=False)
    # Read by both sides' libraries when they are loaded, which the workers do.
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    # Else the compiler leaves idle processes behind that would be there while measuring.
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
    machine = this_machine()
    with TemporaryDirectory() as folder:
        settings = Settings(
            engine=options.engine,
            threads=options.threads,
            seconds=options.seconds,
            least=3 if options.quick else 5,
            compiled=not options.quick,
            epoch=not options.quick,
            folder=Path(folder),
        )
        data = _write_images(settings.folder)
        rows: list[Row] = []
        for work in options.works:
            notes.print(f"{work.name} ...", style="dim")
            rows.append(measure(work, settings))
    header = report.header(machine, options.threads, data)
    console.print(header)
    console.print(report.table(rows))
    for line in report.remarks(rows):
        console.print(line, soft_wrap=True)
    if options.json:
        told = {name: value for name, value in asdict(settings).items() if name != "folder"}
        report.write_json(options.json, asdict(machine), {**told, "data": data}, rows)
    if options.plot:
        from benchmarks.plot import plot

        plot(rows, header, options.plot)
    return int(any(row.refused for row in rows))


def _options() -> Namespace:
    parser = ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help=f"{', '.join(work.name for work in WORKS)}; or how names begin"
    )
    parser.add_argument("--engine", choices=("auto", "native", "reference"), default="auto")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, help="time for the rounds of a row: 20, or 1 with --quick")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write every round")
    parser.add_argument("--plot", type=Path, metavar="PATH", help="draw the ratios, e.g. as .svg")
    parser.add_argument("--quick", action="store_true", help="see that all works: few rounds, nothing compiled")
    options = parser.parse_args()
    if options.threads < 1:
        parser.error("--threads must be at least 1")
    if find_spec("torch") is None:
        parser.error("PyTorch is not installed: pip install torch==2.13.0")
    try:
        options.works = chosen(options.only)
    except ValueError as error:
        parser.error(str(error))
    if options.seconds is None:
        options.seconds = 1.0 if options.quick else 20.0
    return options


def _write_images(folder: Path) -> str:
    """Write the images from another process, which keeps this one small; see :mod:`benchmarks.worker`."""
    writer = multiprocessing.get_context("spawn").Process(target=images.write, args=(folder,))
    writer.start()
    writer.join()
    return (folder / "told").read_text()


if __name__ == "__main__":
    sys.exit(main())
