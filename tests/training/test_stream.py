"""Trainings on sources, held against the same trainings on arrays; and readers that fail, or are interrupted."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sources import Rows, no_readers

from pellucid import Network, zoo
from pellucid.arrays import Array, Tensors
from pellucid.augmentation import Augmentation
from pellucid.data import NpySource, stream
from pellucid.engine import native
from pellucid.errors import DataError, EngineError, NonFiniteError, PellucidError, ShapeError
from pellucid.layers import BatchNorm2d, Conv2d, Dropout, Flatten, Linear, ReLU
from pellucid.optimizers import SGD
from pellucid.training import Callback, EarlyStopping, History

SHAPE, N = (2, 6, 5), 75

try:
    native.compiled_part()
    ENGINES = ["native", "reference"]
except EngineError:
    ENGINES = ["reference"]


def samples(kind: str = "bytes") -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (N, *SHAPE), np.uint8)
    return x if kind == "bytes" else (x / np.float32(99)).astype(np.float32), rng.integers(0, 3, N)


def make(engine: str = ENGINES[0], **settings: Any) -> Network:
    layers = [Conv2d(3, 3), BatchNorm2d(), ReLU(), Flatten(), Dropout(0.3), Linear(3)]
    return Network(layers, SHAPE, **{"engine": engine, "seed": 5, "input_mean": "channel", "n_jobs": 1, **settings})


def train(network: Network, x: Any, y: Any, **settings: Any) -> History:
    return network.fit(x, y, **{"epochs": 3, "batch_size": 16, "optimizer": "momentum", "verbose": 0, **settings})


def rows_of(history: History) -> list[dict[str, float]]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in history.rows]


@dataclass(frozen=True)
class OthersSGD(SGD):
    """Not the native rule, so that the update is NumPy's."""

    def update(self, param: Array, grad: Array, slots: Tensors, learning_rate: float, step: int) -> None:
        param -= learning_rate * grad


SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "augmented": {"augment": Augmentation(padding=2, flip=True, cutout=2)},
    "in order": {"shuffle": False},
    "held out": {"validation_split": 0.2, "augment": Augmentation(flip=True)},
    "weighed": {"sample_weight": np.random.default_rng(3).integers(0, 3, N)},
    "held out and weighed": {
        "validation_split": 0.3,
        "sample_weight": np.random.default_rng(3).integers(0, 3, N),
        "augment": Augmentation(padding=1),
    },
    "own rule": {"optimizer": OthersSGD(0.1), "augment": Augmentation(padding=2)},
    "large batches": {"batch_size": 1000},
    "one left over": {"batch_size": 37},
}


@pytest.mark.parametrize("kind", ["bytes", "floats"])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_the_same_bits_as_from_an_array(settings: dict[str, Any], engine: str, kind: str, tmp_path: Path) -> None:
    x, y = samples(kind)
    np.save(tmp_path / "x.npy", x)
    expected, given = make(engine), make(engine)
    told = train(expected, x, y, **settings)
    with NpySource(tmp_path / "x.npy") as source:
        found = train(given, source, y, **settings)
    np.testing.assert_array_equal(given.flat_parameters, expected.flat_parameters)
    for name, value in expected.tensors().items():
        np.testing.assert_array_equal(given.tensors()[name], value, err_msg=name)
    assert rows_of(found) == rows_of(told)
    assert (given.step, found.stopped) == (expected.step, None)
    assert no_readers()


@pytest.mark.parametrize("ahead", [1, 2, 5, 64])
@pytest.mark.parametrize("threads", [1, 3])
def test_however_far_ahead_and_in_whatever_order_it_is_read(
    ahead: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "MOST_AHEAD", ahead)
    monkeypatch.setattr(stream, "MOST_THREADS", threads)
    monkeypatch.setattr(stream.machine, "processors_worth", lambda: 3)
    x, y = samples()
    augment, waits = Augmentation(padding=2, flip=True, cutout=2), np.random.default_rng(1)
    expected, given = make(), make()
    train(expected, x, y, augment=augment)
    train(given, Rows(x, before=lambda rows: time.sleep(waits.uniform(0, 2e-3))), y, augment=augment)
    np.testing.assert_array_equal(given.flat_parameters, expected.flat_parameters)


def test_arrays_and_sources_may_validate_each_other() -> None:
    x, y = samples()
    held = x[::3], y[::3], np.arange(25)
    expected, given, other = make(), make(), make()
    told = train(expected, x, y, validation_data=held)
    assert rows_of(train(given, Rows(x), y, validation_data=(Rows(held[0]), *held[1:]))) == rows_of(told)
    assert rows_of(train(other, x, y, validation_data=(Rows(held[0]), *held[1:]))) == rows_of(told)
    assert len(set(told["val_loss"])) == 3


def test_every_sample_is_read_once_an_epoch() -> None:
    x, y = samples()
    source = Rows(x)
    train(make(input_mean=None), source, y, epochs=2)
    read = np.concatenate(source.asked)
    assert sorted(read[:N]) == sorted(read[N:]) == list(range(N))
    assert "MainThread" not in source.threads
    source = Rows(x)
    train(make(), source, y, epochs=1, validation_split=0.2)  # the mean, the epoch, what is held out
    counts = np.bincount(np.concatenate(source.asked))
    assert np.bincount(counts).tolist() == [0, 15, 60]


@pytest.mark.parametrize("engine", ENGINES)
def test_predictions_are_those_of_an_array(engine: str) -> None:
    x, y = samples()
    network = make(engine)
    train(network, x, y, epochs=1)
    for batch_size in (7, 75, 256):
        source = Rows(x)
        np.testing.assert_array_equal(
            network.predict(source, batch_size=batch_size), network.predict(x, batch_size=batch_size)
        )
        assert max(map(len, source.asked)) == min(batch_size, N)
        np.testing.assert_array_equal(
            network.forward(source, batch_size=batch_size), network.forward(x, batch_size=batch_size)
        )
        weight = np.arange(N)
        assert network.evaluate(source, y, sample_weight=weight, batch_size=batch_size) == network.evaluate(
            x, y, sample_weight=weight, batch_size=batch_size
        )
    assert no_readers()


def test_one_channel_may_go_without_saying(tmp_path: Path) -> None:
    x, y = samples()
    np.save(tmp_path / "x.npy", x[:, 0])
    networks = [Network([Flatten(), Linear(3)], (1, 6, 5), input_mean="pixel") for _ in range(2)]
    train(networks[0], x[:, 0], y)
    train(networks[1], NpySource(tmp_path / "x.npy"), y)
    np.testing.assert_array_equal(networks[1].flat_parameters, networks[0].flat_parameters)


class Steps(Callback):
    """Count them."""

    def __init__(self) -> None:
        self.count = 0

    def on_batch_end(self, batch: int, logs: Any) -> None:
        self.count += 1


def assert_as_after(steps: int, network: Network, settings: dict[str, Any]) -> None:
    """Hold a network against one that was trained so many steps on the array, and no further."""

    class Stop(Steps):
        def on_batch_end(self, batch: int, logs: Any) -> None:
            super().on_batch_end(batch, logs)
            self.stop_training = self.count == steps

    expected = make(**settings)
    train(expected, *samples(), callbacks=[Stop()])
    assert network.step == expected.step == steps
    for name, value in expected.tensors().items():
        np.testing.assert_array_equal(network.tensors()[name], value, err_msg=name)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_source_that_fails_in_the_middle(engine: str) -> None:
    cause, epochs = ConnectionResetError("the disk has gone"), [0]

    def fail(rows: np.ndarray) -> None:
        epochs[0] += 17 in rows
        if epochs[0] == 2 and 17 in rows:
            raise cause

    x, y = samples()
    network, steps = make(engine, input_mean=None), Steps()
    with pytest.raises(DataError, match=r"Rows\(\) failed to read rows .*: ConnectionResetError: the disk") as caught:
        train(network, Rows(x, before=fail), y, callbacks=[steps])
    assert caught.value.__cause__ is cause
    assert no_readers()
    assert 5 <= steps.count < 10  # in the second epoch
    assert_as_after(steps.count, network, {"engine": engine, "input_mean": None})


def test_what_is_not_finite_is_told_when_it_is_read() -> None:
    x, y = samples("floats")
    x[17, 1, 2, 3] = np.nan
    network, steps = make(input_mean=[0, 0]), Steps()
    with pytest.raises(DataError, match=r"^sample 17 contains NaN or infinity; clean the data first$"):
        train(network, Rows(x), y, shuffle=False, callbacks=[steps])
    assert steps.count == network.step == 1  # it is in the second batch
    assert no_readers()
    for ask in (network.predict, lambda source: network.evaluate(source, y), lambda source: train(make(), source, y)):
        with pytest.raises(DataError, match=r"^sample 17 contains NaN"):
            ask(Rows(x))
        assert no_readers()


def test_the_layer_to_go_wrong_is_found_in_what_is_read_again() -> None:
    x, y = samples("floats")
    x[40] = 3e38
    network = Network([Flatten(), Linear(3)], SHAPE)
    network.parameters["1.weight"] = np.ones((3, 60))
    with pytest.raises(NonFiniteError, match=r"epoch 1, batch 3: .*The first output to go wrong is that of layer '1'"):
        train(network, Rows(x), y, shuffle=False, learning_rate=1e-6)
    assert network.step < 3
    assert no_readers()


@pytest.mark.parametrize(
    ("x", "y", "error", "told"),
    [
        (Rows(np.zeros((9, 3, 6, 5), np.uint8)), np.zeros(9), ShapeError, r"inputs have shape \(9, 3, 6, 5\)"),
        (Rows(np.zeros((9, *SHAPE), np.uint8)), np.zeros(8), DataError, "there are 9 inputs but 8 targets"),
        (Rows(np.zeros((9, *SHAPE))), np.zeros(9), DataError, "a source must hold uint8 or float32 numbers"),
    ],
)
def test_sources_that_the_network_cannot_train_on(x: Any, y: Any, error: type[PellucidError], told: str) -> None:
    with pytest.raises(error, match=told):
        train(make(), x, y)
    with pytest.raises(error, match=f"validation_data: {told}"):
        train(make(), *samples(), validation_data=(x, y))
    assert not x.asked


def test_readers_end_with_the_training() -> None:
    x, y = samples()
    seen: list[bool] = []

    class Look(Callback):
        def on_batch_end(self, batch: int, logs: Any) -> None:
            seen.append(no_readers())
            if batch == 2:
                raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        train(make(), Rows(x), y, callbacks=[Look()])
    assert seen == [False] * 3
    assert no_readers()
    history = train(make(), Rows(x), y, epochs=9, callbacks=[EarlyStopping("loss", patience=0, min_delta=9.0)])
    assert (len(history), history.stopped) == (2, "early stopping")
    assert no_readers()


def pressing(after: int) -> Callable[[np.ndarray], None]:
    """Return what presses Ctrl-C once, when so many batches have been asked for, and then takes a while to read."""
    asked = [0]

    def press(rows: np.ndarray) -> None:
        asked[0] += 1
        if asked[0] == after + 1:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        if asked[0] > after:
            time.sleep(0.05)

    return press


def test_ctrl_c_while_a_batch_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MOST_AHEAD", 1)
    monkeypatch.setattr(stream, "MOST_THREADS", 1)
    network, (x, y) = make(input_mean=None), samples()
    with pytest.warns(UserWarning, match="training interrupted after 1 of 3 epochs; the network keeps what it learnt"):
        history = train(network, Rows(x, before=pressing(8)), y)
    assert (history.stopped, len(history)) == ("interrupted", 1)
    assert no_readers(within=5)  # one that was just being started when the signal came is not waited for
    assert 5 <= network.step < 10
    assert_as_after(network.step, network, {"input_mean": None})


def test_ctrl_c_while_predicting() -> None:
    network, (x, _) = make(input_mean=None), samples()
    with pytest.raises(KeyboardInterrupt):
        network.predict(Rows(x, before=pressing(2)), batch_size=8)
    assert no_readers(within=5)


def test_what_the_document_shows_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).parents[2] / "docs/streaming.md").read_text()
    namespace: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
        exec(compile(block, "docs/streaming.md", "exec"), namespace)
    network, x, y = namespace["network"], np.load("images.npy"), namespace["labels"]
    same = zoo.nguyen()
    history = same.fit(x, y, epochs=1, validation_split=0.1, verbose=0)
    assert rows_of(namespace["history"]) == rows_of(history)
    assert namespace["accuracy"] == same.evaluate(x, y)["accuracy"]
    np.testing.assert_array_equal(network.flat_parameters, same.flat_parameters)
    stripes = np.zeros((5, 1, 28, 28), np.uint8)
    stripes[np.arange(5), 0, np.arange(5)] = 255
    np.testing.assert_array_equal(namespace["probabilities"], same.predict(stripes))


LITTLE_MEMORY = """
import resource, sys
import numpy as np
from pellucid import Network
from pellucid.data import NpySource
from pellucid.layers import AvgPool2d, Conv2d, Flatten, Linear
from pellucid.training import Callback

class Stop(Callback):
    def on_batch_end(self, batch, logs):
        self.stop_training = batch == 40

def in_use(what):
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith(what))

network = Network([Conv2d(4, 3, stride=4), AvgPool2d(5), Flatten(), Linear(10)], (3, 64, 64), n_jobs=1)
before, more = in_use("VmHWM"), 2**28
resource.setrlimit(resource.RLIMIT_DATA, (in_use("VmData") + more, resource.RLIM_INFINITY))
try:
    np.load(sys.argv[1])
except MemoryError:
    print("too large")
source = NpySource(sys.argv[1])
labels = np.arange(len(source), dtype=np.uint8) % 10
network.fit(source, labels, epochs=1, batch_size=256, callbacks=[Stop()], verbose=0)
network.evaluate(NpySource(sys.argv[2]), np.arange(40000) % 10)
assert in_use("VmHWM") < before + more, (before, in_use("VmHWM"))
print("trained", network.step)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a limit on a process's own memory, and /proc")
def test_more_than_fits_into_memory(tmp_path: Path) -> None:
    # 2 GB and 0.5 GB, which are holes, for a process that may have a quarter of a gigabyte.
    for name, rows in (("train.npy", 163_000), ("test.npy", 40_000)):
        with (tmp_path / name).open("wb") as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": (rows, 3, 64, 64)}
            np.lib.format.write_array_header_1_0(file, header)
            file.truncate(file.tell() + rows * 3 * 64 * 64)
    files = [str(tmp_path / "train.npy"), str(tmp_path / "test.npy")]
    done = subprocess.run([sys.executable, "-c", LITTLE_MEMORY, *files], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["too large", "trained 41"]
