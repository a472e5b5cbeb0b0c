"""Training on more than fits into memory, beside training on an array.

    python -m benchmarks.stream                         # 20 GB with a hole, under 1 GB
    python -m benchmarks.stream --written --gigabytes 4 # real numbers, thrown out of the system's memory before a round

One process trains from a ``.npy`` file and may not have more memory of its own than the limit: the system refuses it
more (RLIMIT_DATA), and the peak of its resident memory is read at the end. The other trains the same network on an
array, without a limit. They take turns; a round leaves out as many steps as can have been read while the other ran.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import tempfile
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.machine import peak_of_memory, this_machine
from benchmarks.rounds import alternate, ratio
from pellucid import Network
from pellucid.data import NpySource
from pellucid.data.stream import MOST_AHEAD
from pellucid.layers import Conv2d, Flatten, Linear, MaxPool2d, ReLU
from pellucid.training import Callback

#: samples of the array
IN_MEMORY = 20_000

_SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Job:
    """What both sides do.

    Attributes:
        side: of the images, in pixels; they have three channels.
        batch_size: samples of a step.
        steps: of a round.
        rows: samples in the file.
        limit: bytes that the process that reads the file may have.
        evict: throw the file out of the system's memory before a round.
        threads: of the network; None for one on every processor.
    """

    side: int = 32
    batch_size: int = 64
    steps: int = 200
    rows: int = 0
    limit: int = 10**9
    evict: bool = False
    threads: int | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of an image."""
        return 3, self.side, self.side

    def network(self) -> Network:
        """Return a small network: the less there is to compute, the more reading tells."""
        layers = [Conv2d(16, 3, padding=1), ReLU(), MaxPool2d(2), Conv2d(32, 3, padding=1), ReLU(), MaxPool2d(2)]
        layers += [Conv2d(32, 3, padding=1), ReLU(), MaxPool2d(2), Flatten(), Linear(10)]
        return Network(layers, self.shape, n_jobs=self.threads)


def write_file(path: Path, job: Job, *, written: bool) -> None:
    """Write the file: random numbers, or a hole, which reads as zeros and takes no disk."""
    rng = np.random.default_rng(0)
    size = 3 * job.side**2
    with path.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (job.rows, *job.shape)}
        np.lib.format.write_array_header_1_0(file, header)
        start = file.tell()
        for first in range(0, job.rows if written else 0, 1000):
            file.write(rng.bytes(size * min(1000, job.rows - first)))
        file.truncate(start + size * job.rows)
        os.fsync(file.fileno())


class _Rounds(Callback):
    """Wait for a word, do the steps of a round, tell their seconds; and so on."""

    def __init__(self, connection: Connection, job: Job, path: Path | None) -> None:
        self._connection, self._job, self._path = connection, job, path
        self._done, self._started = 0, 0.0

    def on_batch_end(self, batch: int, logs: Any) -> None:
        warm = MOST_AHEAD + 1
        self._done += 1
        if self._done == warm:
            self._started = perf_counter()
        elif self._done == warm + self._job.steps:
            self._connection.send(perf_counter() - self._started)
            self._done = 0
            self.stop_training = not self._connection.recv()
            if self._path is not None and self._job.evict:
                _evict(self._path)


def _evict(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(file)


def _train(connection: Connection, job: Job, path: Path | None) -> None:
    """Train until told to stop, from the file or, without one, on an array; then tell the peak of resident memory."""
    network = job.network()
    if path is None:
        x: Any = np.random.default_rng(0).integers(0, 256, (IN_MEMORY, *job.shape), np.uint8)
    else:
        resource.setrlimit(resource.RLIMIT_DATA, (job.limit, job.limit))
        x = NpySource(path)
    labels = np.arange(x.shape[0], dtype=np.uint8) % 10
    rounds = _Rounds(connection, job, path)
    network.fit(x, labels, epochs=10**6, batch_size=job.batch_size, learning_rate=0.01, callbacks=[rounds], verbose=0)
    connection.send(peak_of_memory())


class _Side:
    """A process that trains."""

    def __init__(self, job: Job, path: Path | None) -> None:
        self._connection, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_train, args=(theirs, job, path), daemon=True)
        self._process.start()
        theirs.close()
        self._connection.recv()  # the first round, which starts threads and fills caches

    def round(self) -> float:
        """Return the seconds of one round."""
        self._connection.send(True)
        return self._connection.recv()

    def end(self) -> int:
        """Return the peak of resident memory."""
        self._connection.send(False)
        peak = self._connection.recv()
        self._process.join()
        return peak


def measure(job: Job, folder: Path, *, written: bool = False, seconds: float = 60, least: int = 5) -> str:
    """Return what a document says of it: speed from the file as a share of that in memory, and the peak of memory."""
    path = folder / "stream.npy"
    write_file(path, job, written=written)
    size = path.stat().st_size
    try:
        streamed, array = _Side(job, path), _Side(job, None)
        rounds = alternate(streamed.round, array.round, seconds, least)
        peak = streamed.end()
        array.end()
    finally:
        path.unlink()
    share = ratio(rounds)
    rate, other = (job.steps / np.median([getattr(one, side) for one in rounds]) for side in ("ours", "peer"))
    how = "real numbers, read from the disk" if job.evict else "real numbers" if written else "a hole"
    return (
        f"{size / 1e9:.3g} GB ({how}), images of 3×{job.side}×{job.side} bytes, batches of {job.batch_size}, "
        f"{len(rounds)} rounds of {job.steps} steps\n"
        f"from the file {rate:.1f} steps/s, on an array {other:.1f} steps/s: {100 * share.median:.1f} % "
        f"(quartiles {100 * share.lower:.1f} to {100 * share.upper:.1f} %)\n"
        f"peak of resident memory {peak / 1e6:.0f} MB, limit {job.limit / 1e6:.0f} MB"
    )


def main() -> None:
    """Read the command line, measure, print."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.stream", description=__doc__.splitlines()[0])
    options.add_argument("--gigabytes", type=float, default=20, help="size of the file")
    options.add_argument("--limit", type=float, default=1, help="gigabytes that the process may have")
    options.add_argument("--side", type=int, default=32, help="pixels of an image's side")
    options.add_argument("--batch-size", type=int, default=64)
    options.add_argument("--threads", type=int, help="of each side; by default one on every processor")
    options.add_argument("--steps", type=int, default=200, help="of a round")
    options.add_argument("--seconds", type=float, default=60, help="time for the rounds")
    options.add_argument("--written", action="store_true", help="real numbers, read from the disk in every round")
    options.add_argument("--folder", type=Path, help="where to put the file; by default that for temporary files")
    given = options.parse_args()
    rows = int(given.gigabytes * 1e9 / (3 * given.side**2))
    job = Job(given.side, given.batch_size, given.steps, rows, int(given.limit * 1e9), given.written, given.threads)
    print(this_machine())
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        print(measure(job, Path(folder), written=given.written, seconds=given.seconds))


if __name__ == "__main__":
    main()
