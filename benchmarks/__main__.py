"""``python -m benchmarks``, from the repository root."""

from __future__ import annotations

import multiprocessing
import os
import sys
from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from benchmarks import images, report
from benchmarks.chosen import EVERYTHING, chosen
from benchmarks.deep_works import DeepWork
from benchmarks.kernel_row import KernelRow
from benchmarks.kernels import Kernel
from benchmarks.machine import this_machine
from benchmarks.measure import Settings, measure
from benchmarks.measure_deep import measure_deep
from benchmarks.measure_kernels import measure_kernel
from benchmarks.row import Row
from pellucid.arrays import Shape

#: columns for a table that goes to a file or a pipe, so that nothing is cut
WIDE = 160


def main() -> int:
    """Measure what was asked for, print the tables, and return 1 if any figures were refused."""
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
        shapes = {one.image_shape for one in options.chosen if not isinstance(one, Kernel)}
        data = _write_images(settings.folder, shapes) if shapes else None
        rows: list[Row] = []
        kernels: list[KernelRow] = []
        for one in options.chosen:
            notes.print(f"{one.name} ...", style="dim")
            match one:
                case Kernel():
                    kernels.append(measure_kernel(one, settings))
                case DeepWork():
                    rows.append(measure_deep(one, settings))
                case _:
                    rows.append(measure(one, settings))
    header = report.header(machine, options.threads, data)
    grids, remarks = (report.work_grid(rows), report.kernel_grid(kernels)), report.remarks(rows, kernels)
    console.print(header)
    for grid in grids:
        if grid.lines:
            console.print(grid.on_screen())
    for line in remarks:
        console.print(line, soft_wrap=True)
    if options.json:
        told = {name: value for name, value in asdict(settings).items() if name != "folder"}
        report.write_json(options.json, asdict(machine), {**told, "data": data}, rows, kernels)
    if options.markdown:
        report.write_markdown(options.markdown, header, grids, remarks)
    if options.plot:
        from benchmarks.plot import plot

        plot(rows, kernels, header, options.plot)
    return int(any(row.refused for row in (*rows, *kernels)))


def _options() -> Namespace:
    parser = ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="NAME",
        help=f"{', '.join(one.name for one in EVERYTHING)}; or how names begin",
    )
    parser.add_argument("--engine", choices=("auto", "native", "reference"), default="auto")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, help="time for the rounds of a row: 20, or 1 with --quick")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write every round")
    parser.add_argument("--plot", type=Path, metavar="PATH", help="draw ratios and shares, e.g. as .svg")
    parser.add_argument("--markdown", type=Path, metavar="PATH", help="write the tables for a document")
    parser.add_argument("--quick", action="store_true", help="see that all works: few rounds, nothing compiled")
    options = parser.parse_args()
    if options.threads < 1:
        parser.error("--threads must be at least 1")
    try:
        options.chosen = chosen(options.only)
    except ValueError as error:
        parser.error(str(error))
    if options.seconds is None:
        options.seconds = 1.0 if options.quick else 20.0
    return options


def _write_images(folder: Path, shapes: set[Shape]) -> str:
    """Write the images from another process, which keeps this one small; see :mod:`benchmarks.worker`."""
    writer = multiprocessing.get_context("spawn").Process(target=images.write, args=(folder, shapes))
    writer.start()
    writer.join()
    return (folder / "told").read_text()


if __name__ == "__main__":
    sys.exit(main())
