"""Measuring one piece of work: see that both sides agree, find the peer's best variant, then measure in turn."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from benchmarks import images
from benchmarks.agreement import differences, worst
from benchmarks.rounds import alternate
from benchmarks.row import Row
from benchmarks.sides import Job
from benchmarks.worker import Worker, WorkerError
from benchmarks.works import Work

#: seconds that a variant may take for its first answer, compilation included
PATIENCE = 60.0

#: measurements of every variant before the best is chosen; each counts with its smallest, which noise spoils least
PASSES = 3

#: rounds that fit into the time for a row
ROUNDS = 20

#: seconds of one such measurement
TRIAL = 0.1

#: what a peer needs beside Pellucid
PACKAGES = {"PyTorch": ("torch",), "ONNX Runtime": ("onnx", "onnxruntime"), "JAX": ("jax",)}

#: gives a figure, doing the work so many times
Meter = Callable[[int], float]


@dataclass(frozen=True)
class Settings:
    """What holds for all rows.

    Attributes:
        engine: Pellucid's engine, as asked for.
        threads: threads of each side.
        seconds: time for the rounds of a row.
        least: rounds to measure at least.
        compiled: try ``torch.compile``.
        epoch: measure time and memory of whole epochs, not of a few steps.
        folder: where :mod:`benchmarks.images` has written.
    """

    engine: str
    threads: int
    seconds: float
    least: int
    compiled: bool
    epoch: bool
    folder: Path


def measure(work: Work, settings: Settings) -> Row:
    """Return the row of a piece of work; what goes wrong is written into it."""
    row = Row(work)
    missing = [package for package in PACKAGES[work.peer] if find_spec(package) is None]
    if missing:
        row.skipped = f"needs {' and '.join(missing)}, not installed"
        return row
    try:
        with ExitStack() as running:
            ours = Worker("Pellucid", Job(work, settings.engine, settings.threads, settings.folder))
            running.enter_context(ours)
            row.engine = ours.told
            peers = _agreeing(row, ours, settings, running)
            if peers:
                _measure_in_turn(row, ours, peers, settings)
    except WorkerError as error:
        row.refused = str(error)
    return row


def _agreeing(row: Row, ours: Worker, settings: Settings, running: ExitStack) -> dict[str, Worker]:
    """Start the peer in each of its variants and return those that compute what Pellucid computes.

    If there are none, the row is refused.
    """
    work, answer, weights = row.work, ours.answer(), ours.weights()
    peers: dict[str, Worker] = {}
    failed: list[str] = []
    for variant in work.variants(settings.compiled):
        try:
            peer = Worker(work.peer, Job(work, variant, settings.threads, settings.folder, weights))
            running.enter_context(peer)
            difference = worst(differences(answer, peer.answer(within=PATIENCE), work.idle))
        except WorkerError as error:
            failed.append(f"{variant}: {error}")
            continue
        if not difference.allowed:
            failed.append(f"{variant}: {difference}")
            continue
        peers[variant] = peer
        row.worst = difference if row.worst is None else worst([row.worst, difference])
    if peers:
        row.notes += [f"left out {reason}" for reason in failed]
    else:
        row.refused = "; ".join(failed)
    return peers


def _measure_in_turn(row: Row, ours: Worker, peers: dict[str, Worker], settings: Settings) -> None:
    """Find the best of the peer's variants, then measure it and Pellucid in turn."""
    most = images.count(settings.folder, row.work.image_shape) // row.work.batch
    epoch = most if settings.epoch else min(most, 5)
    if row.work.task == "memory":
        row.times = epoch
        mine, meters = megabytes(ours), {variant: megabytes(peer) for variant, peer in peers.items()}
        row.tried = {variant: meter(row.times) for variant, meter in meters.items()}
        row.variant = min(row.tried, key=lambda variant: row.tried[variant])
        row.rounds = alternate(lambda: mine(row.times), lambda: meters[row.variant](row.times), 0, settings.least)
        return
    mine, meters = seconds(ours), {variant: seconds(peer) for variant, peer in peers.items()}
    row.tried = _try(meters, most)
    row.variant = min(row.tried, key=lambda variant: row.tried[variant])
    peer = meters[row.variant]
    if row.work.task == "epoch":
        row.times = epoch
        scale = epoch
    else:
        pace = _pace(mine, most) + row.tried[row.variant]
        row.times = min(max(1, round(settings.seconds / ROUNDS / pace)), most)
        scale = 1
    row.rounds = alternate(
        lambda: scale * mine(row.times), lambda: scale * peer(row.times), settings.seconds, settings.least
    )


def seconds(worker: Worker) -> Meter:
    """Return what gives seconds for doing the work once."""
    return lambda times: worker.seconds(times) / times


def megabytes(worker: Worker) -> Meter:
    """Return what gives the megabytes of doing the work, each time in a new process: a peak never goes down."""

    def meter(times: int) -> float:
        with Worker(worker.side, worker.job) as fresh:
            return fresh.megabytes(times)

    return meter


def _pace(meter: Meter, most: int) -> float:
    """Return roughly how long it takes to do the work once."""
    times = 1
    while (pace := meter(times)) * times < TRIAL and times < most:
        times = min(4 * times, most)
    return pace


def _try(meters: dict[str, Meter], most: int) -> dict[str, float]:
    """Return the smallest figure of each variant over several passes, all variants in turn."""
    best = {variant: _pace(meter, most) for variant, meter in meters.items()}
    times = {variant: min(max(1, round(TRIAL / pace)), most) for variant, pace in best.items()}
    for _ in range(PASSES):
        for variant, meter in meters.items():
            best[variant] = min(best[variant], meter(times[variant]))
    return best
