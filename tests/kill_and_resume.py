"""Kill a training at random moments, and hold what it ends with against one that nobody disturbed.

    python tests/kill_and_resume.py [KILLS] [SEED]

Every attempt is a process of its own, forked from this one so that it starts at once, and killed as by ``kill -9``,
often in the middle of writing a checkpoint. The last attempt at each training is left alone: its weights and history,
and the file of the best epoch, must be those of the undisturbed training, bit for bit.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import select
import shutil
import signal
import sys
import tempfile
from itertools import product
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from pellucid import Network
from pellucid.augmentation import Augmentation
from pellucid.layers import BatchNorm2d, Conv2d, Dropout, Flatten, Linear, ReLU
from pellucid.schedules import Cosine
from pellucid.training import Checkpoints, EarlyStopping, fit

ENGINES = ("native", "reference")

#: batches between two checkpoints; with one in each, most of the time goes into them
EVERY = (1, 2, 5, 23)


def train(engine: str, n_jobs: int, checkpoints: Checkpoints) -> dict[str, Any]:
    """Train as a user would who runs the same script again, and return what it came to."""
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (300, 1, 8, 8), np.uint8), np.arange(300) % 5
    layers = [Conv2d(6, 3), BatchNorm2d(), ReLU(), Dropout(0.2), Flatten(), Linear(5)]
    network = Network(layers, (1, 8, 8), seed=3, engine=engine, n_jobs=n_jobs, input_mean="pixel")
    history = fit(
        network, x, y, epochs=6, batch_size=16, optimizer="adam", learning_rate=Cosine(0.02), validation_split=0.2,
        augment=Augmentation(padding=1, flip=True), callbacks=[EarlyStopping(patience=3)], checkpoints=checkpoints,
        verbose=0,
    )  # fmt: skip
    tensors = network.tensors()
    return {
        "weights": hashlib.sha256(b"".join(tensors[name].tobytes() for name in sorted(tensors))).hexdigest(),
        "best": hashlib.sha256((Path(checkpoints.folder) / "best.safetensors").read_bytes()).hexdigest(),
        "step": network.step,
        "stopped": history.stopped,
        "rows": [{name: value for name, value in row.items() if name != "seconds"} for row in history.rows],
    }


def attempt(engine: str, n_jobs: int, checkpoints: Checkpoints, seconds: float | None) -> dict[str, Any] | None:
    """Train in a process of its own; kill it after so many seconds. Returns None if it was killed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            with os.fdopen(writing, "w") as file:
                json.dump(train(engine, n_jobs, checkpoints), file)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    os.close(writing)
    ready, _, _ = select.select([reading], [], [], seconds)
    if not ready:
        os.kill(child, signal.SIGKILL)
    with os.fdopen(reading) as file:
        told = file.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return None
    if status:
        raise RuntimeError(f"the training failed in {checkpoints.folder}")
    return json.loads(told)


def kill_and_resume(kills: int, seed: int, room: Path) -> dict[str, int]:
    """Kill trainings so many times in all; return how it went.

    Raises:
        AssertionError: one of them did not end as the undisturbed one.
    """
    draw = random.Random(seed)
    expected: dict[str, dict[str, Any] | None] = {}
    seconds: dict[tuple[str, int], float] = {}
    for engine, every in product(ENGINES, EVERY):
        started = monotonic()
        found = attempt(engine, 1, Checkpoints(room / f"{engine} {every}", best="val_loss", every_batches=every), None)
        seconds[engine, every] = monotonic() - started
        assert found == expected.setdefault(engine, found)
    told = {"kills": 0, "inside a save": 0, "before the first checkpoint": 0, "trainings": 0}
    while told["kills"] < kills:
        engine, folder = draw.choice(ENGINES), room / f"training {told['trainings']}"
        for left in range(draw.randint(1, 4), -1, -1):
            every, n_jobs = draw.choice(EVERY), draw.choice((1, 2))
            wanted = Checkpoints(folder, every_batches=every, keep=draw.choice((1, 2)), best="val_loss", resume=True)
            found = attempt(engine, n_jobs, wanted, draw.uniform(0, seconds[engine, every]) if left else None)
            if found is not None:
                assert found == expected[engine], f"training {told['trainings']} of seed {seed}: {found}"
                break
            told["kills"] += 1
            told["inside a save"] += any(folder.glob(".*.part"))
            told["before the first checkpoint"] += not any(folder.glob("step-*"))
        told["trainings"] += 1
        shutil.rmtree(folder)
    return told


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("kills", type=int, nargs="?", default=200)
    parser.add_argument("seed", type=int, nargs="?", default=0)
    with tempfile.TemporaryDirectory() as folder:
        given = parser.parse_args()
        print(json.dumps(kill_and_resume(given.kills, given.seed, Path(folder))))
