"""Measuring a deep network, whose step may take longer than all rounds of a small one's row."""

from __future__ import annotations

from contextlib import ExitStack
from importlib.util import find_spec
from math import inf

from benchmarks import images
from benchmarks.agreement import worst
from benchmarks.deep_agreement import differences
from benchmarks.deep_sides import DeepAnswer, DeepJob
from benchmarks.deep_works import DeepWork
from benchmarks.measure import ROUNDS, Settings, megabytes, seconds
from benchmarks.rounds import alternate
from benchmarks.row import Row
from benchmarks.worker import Worker, WorkerError

#: seconds that a variant may take for its first answer, compilation included
PATIENCE = 600.0

#: steps of every variant that are tried, at least, and the seconds that quick ones fill with more; the quickest counts
TRIALS, TRYING = 2, 8.0

#: rounds to measure at least, however long they take
LEAST = 3

#: steps whose memory is measured; the second has the first one's gradients beside it
STEPS = 2


def measure_deep(work: DeepWork, settings: Settings) -> Row:
    """Return the row of a deep network; what goes wrong is written into it."""
    row = Row(work)
    if find_spec("torch") is None:
        row.skipped = "needs torch, not installed"
        return row
    try:
        with ExitStack() as running:
            ours = Worker("deep Pellucid", DeepJob(work, settings.engine, settings.threads, settings.folder))
            running.enter_context(ours)
            row.engine = ours.told
            (_memory if work.task == "memory" else _steps)(row, ours, settings, running)
    except WorkerError as error:
        row.refused = str(error)
    return row


def _steps(row: Row, ours: Worker, settings: Settings, running: ExitStack) -> None:
    """Time the peer's variants, of which only the fastest so far keeps its process and memory; then both in turn."""
    expected = ours.answer()
    rivals: dict[str, Worker] = {}
    for variant in row.work.variants(settings.compiled):
        peer = _agreeing(row, variant, expected, settings)
        if peer is None:
            continue
        rivals[variant] = running.enter_context(peer)
        row.tried |= _tried(rivals)
        row.variant = min(rivals, key=lambda rival: row.tried[rival])
        for slower in rivals.keys() - {row.variant}:
            rivals.pop(slower).close()
    if not rivals:
        row.refused = "PyTorch agrees in no variant"
        return
    best = rivals[row.variant]
    most = images.count(settings.folder, row.work.image_shape) // row.work.batch
    pace = ours.seconds(1) + row.tried[row.variant]
    row.times = min(max(1, round(settings.seconds / ROUNDS / pace)), most)
    mine, theirs = seconds(ours), seconds(best)
    row.rounds = alternate(lambda: mine(row.times), lambda: theirs(row.times), settings.seconds, LEAST)


def _tried(rivals: dict[str, Worker]) -> dict[str, float]:
    """Return the seconds of everyone's quickest step; they take turns, as the machine may be slow for a while."""
    quickest, spent, rounds = dict.fromkeys(rivals, inf), 0.0, 0
    while rounds < TRIALS or spent < TRYING:
        for variant, peer in rivals.items():
            taken = peer.seconds(1)
            quickest[variant], spent = min(quickest[variant], taken), spent + taken
        rounds += 1
    return quickest


def _memory(row: Row, ours: Worker, settings: Settings, running: ExitStack) -> None:
    """Compare, then measure both sides in fresh processes while none of these is left."""
    expected = ours.answer()
    peers: dict[str, Worker] = {}
    for variant in row.work.variants(settings.compiled):
        peer = _agreeing(row, variant, expected, settings)
        if peer is not None:
            peers[variant] = peer
            peer.close()
    running.close()
    if not peers:
        row.refused = "PyTorch agrees in no variant"
        return
    row.times = STEPS
    mine, meters = megabytes(ours), {variant: megabytes(peer) for variant, peer in peers.items()}
    row.tried = {variant: meter(row.times) for variant, meter in meters.items()}
    row.variant = min(row.tried, key=lambda variant: row.tried[variant])
    row.rounds = alternate(lambda: mine(row.times), lambda: meters[row.variant](row.times), 0, LEAST)


def _agreeing(row: Row, variant: str, expected: DeepAnswer, settings: Settings) -> Worker | None:
    """Start the peer in a variant; return None, with a note, if it fails or computes something else."""
    job = DeepJob(row.work, variant, settings.threads, settings.folder)
    try:
        with ExitStack() as started:
            peer = started.enter_context(Worker("deep PyTorch", job))
            found = worst(differences(expected, peer.answer(within=PATIENCE), bfloat16=job.work.bfloat16))
            if found.allowed:
                started.pop_all()
                row.worst = found if row.worst is None else worst([row.worst, found])
                return peer
        reason = str(found)
    except WorkerError as error:
        reason = str(error)
    row.notes.append(f"left out {variant}: {reason}")
    return None
