"""Ctrl-C while the compiled part is at work: it is heard after the batch in progress, and the network is whole."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("pellucid._native", reason="installed without a C++ compiler")

START = """
import os, signal, threading, time, warnings
import numpy as np
from pellucid import zoo
from pellucid.training import Callback

signal.signal(signal.SIGINT, signal.default_int_handler)
network = zoo.nguyen(engine="native")
x = np.broadcast_to(np.random.default_rng(0).integers(0, 256, (1, 28, 28)).astype(np.uint8), (2_000_000, 1, 28, 28))
expected = network.forward(x[:16])

def press_after(ready, told):
    def wait():
        ready.wait()
        time.sleep(0.05)  # somewhere in a batch
        told.extend([network.step, time.perf_counter()])
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=wait, daemon=True).start()

ready, told = threading.Event(), []
"""

FIT = """
class Diary(Callback):
    pages = {}

    def on_batch_end(self, batch, logs):
        self.pages[self.network.step] = self.network.flat_parameters.copy()
        if batch == 2:
            ready.set()

press_after(ready, told)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    history = network.fit(
        x[:200_000], np.arange(200_000) % 10, batch_size=2048, learning_rate=0.001, callbacks=[Diary()], verbose=0
    )
assert history.stopped == "interrupted" and len(history) == 0
assert "training interrupted after 0 of 5 epochs" in str(caught[-1].message)
assert 3 <= told[0] <= network.step <= told[0] + 1, (told, network.step)
assert (network.flat_parameters == Diary.pages[network.step]).all()
print("whole")
network.fit(x[:64], np.arange(64) % 10, epochs=1, verbose=0)
print("goes on")
"""

PREDICT = """
press_after(ready, told)
ready.set()
try:
    network.predict(x, batch_size=512)
except KeyboardInterrupt:
    assert time.perf_counter() - told[1] < 1.0
    print("heard")
assert (network.forward(x[:16]) == expected).all()
print("goes on")
"""


def run(script: str) -> list[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", START + script], capture_output=True, text=True, timeout=60, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_fit_ends_after_the_batch_in_progress() -> None:
    assert run(FIT) == ["whole", "goes on"]


def test_predict_ends_after_the_batch_in_progress() -> None:
    assert run(PREDICT) == ["heard", "goes on"]
