from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

import pellucid
from pellucid import Network
from pellucid.layers import BatchNorm, Layer, Linear, ReLU
from pellucid.optimizers import SGD
from pellucid.training import Callback, EarlyStopping, History, fit
from pellucid.training.snapshot import LastGood, Snapshot

INTERRUPTED = "training interrupted after"


def samples() -> tuple[np.ndarray, np.ndarray]:
    return np.random.default_rng(0).normal(size=(12, 3)), np.arange(12) % 2


def make(*layers: Layer, engine: str = "reference") -> Network:
    return Network([Linear(4), BatchNorm(), ReLU(), *layers, Linear(2)], input_shape=(3,), engine=engine)


def train(network: Network, **settings: Any) -> History:
    given: dict[str, Any] = {
        "epochs": 2,
        "batch_size": 4,
        "optimizer": SGD(0.2, momentum=0.5),
        "verbose": 0,
        **settings,
    }
    return fit(network, *samples(), **given)


class Diary(Callback):
    """Copy every tensor after every step."""

    def __init__(self) -> None:
        self.pages: dict[int, dict[str, np.ndarray]] = {}

    def on_train_begin(self, logs: Any) -> None:
        self._write()

    def on_batch_end(self, batch: int, logs: Any) -> None:
        self._write()

    def _write(self) -> None:
        self.pages[self.network.step] = {name: value.copy() for name, value in self.network.tensors().items()}


def undisturbed(engine: str) -> dict[int, dict[str, np.ndarray]]:
    diary = Diary()
    train(make(engine=engine), callbacks=[diary])
    assert list(diary.pages) == list(range(7))
    return diary.pages


@pytest.fixture(scope="module")
def pages() -> dict[int, dict[str, np.ndarray]]:
    """Every state that the network passes through in an undisturbed training, by step."""
    return undisturbed("reference")


def assert_whole(network: Network, pages: dict[int, dict[str, np.ndarray]]) -> None:
    for name, value in network.tensors().items():
        np.testing.assert_array_equal(value, pages[network.step][name], err_msg=f"{name} at step {network.step}")


@contextmanager
def interrupt_at_line(number: int) -> Iterator[list[int]]:
    """Raise KeyboardInterrupt when the package is about to run its n-th line; yield the count of lines so far."""
    home, count, before = os.path.dirname(pellucid.__file__), [0], sys.gettrace()

    def trace(frame: Any, event: str, _: Any) -> Any:
        if event == "line":
            count[0] += 1
            if count[0] == number:
                raise KeyboardInterrupt
        return trace if frame.f_code.co_filename.startswith(home) else None

    sys.settrace(trace)
    try:
        yield count
    finally:
        sys.settrace(before)


@pytest.mark.filterwarnings(f"ignore:{INTERRUPTED}")
@pytest.mark.parametrize("engine", ["reference", "native"])
def test_ctrl_c_at_any_line_leaves_a_whole_step(engine: str):
    if engine == "native":
        pytest.importorskip("pellucid._native", reason="installed without a C++ compiler")
    pages = undisturbed(engine)
    whole = make(engine=engine)
    with interrupt_at_line(-1) as lines:
        train(whole)
    outcomes = {"interrupted": 0, "raised": 0}
    for number in range(1, lines[0] + 1, 17):  # prime, so that all lines of a step get their turn
        network = make(engine=engine)
        try:
            with interrupt_at_line(number):
                history = train(network)
        except KeyboardInterrupt:
            outcomes["raised"] += 1  # while the arguments were checked, or on the way out
            assert network.step in (0, 6)
        else:
            outcomes["interrupted"] += 1
            assert history.stopped == "interrupted"
            assert network.step // 3 - (network.step % 3 == 0) <= len(history) <= network.step // 3
        assert_whole(network, pages)
    assert outcomes["interrupted"] > outcomes["raised"] > 0


@dataclass(frozen=True)
class Pressing(Layer):
    """Pass everything on; press Ctrl-C in the n-th training batch."""

    batch: int = 0
    counter: Any = None

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return input_shape

    def forward(self, params: Any, x: np.ndarray, *, training: bool = False, **_: Any) -> tuple[np.ndarray, None]:
        self.counter.append(training)
        if sum(self.counter) == self.batch:
            signal.raise_signal(signal.SIGINT)
        return x, None

    def backward(self, params: Any, saved: None, dy: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        return dy, {}


def test_ctrl_c_inside_a_layer_takes_the_step_back():
    network, undisturbed = make(Pressing(5, [])), make(Pressing(0, []))
    diary = Diary()
    train(undisturbed, callbacks=[diary])
    with pytest.warns(UserWarning, match=r"training interrupted after 1 of 2 epochs; the network keeps what it learnt"):
        history = train(network)
    assert history.stopped == "interrupted"
    assert [row["epoch"] for row in history.rows] == [1]
    # Batch norm's statistics had moved on already when the signal came.
    assert network.step == 4
    assert_whole(network, diary.pages)


@dataclass(frozen=True)
class HalfWay(SGD):
    """Press Ctrl-C in the middle of the fourth update, when some of the parameters have changed."""

    elementwise: ClassVar[bool] = False  # parameter by parameter

    def update(self, param: np.ndarray, grad: np.ndarray, slots: Any, learning_rate: float, step: int) -> None:
        super().update(param, grad, slots, learning_rate, step)
        if step == 4 and param.shape == (2, 4):
            signal.raise_signal(signal.SIGINT)


def test_ctrl_c_in_the_middle_of_an_update_takes_the_step_back(pages: dict[int, dict[str, np.ndarray]]):
    network = make()
    with pytest.warns(UserWarning, match=INTERRUPTED):
        history = train(network, optimizer=HalfWay(0.2, momentum=0.5))
    assert (history.stopped, len(history), network.step) == ("interrupted", 1, 3)
    assert_whole(network, pages)


@pytest.mark.parametrize(("moment", "step"), [("on_batch_end", 1), ("on_epoch_end", 3), ("on_epoch_begin", 0)])
def test_ctrl_c_in_a_callback_keeps_every_step_done(moment: str, step: int, pages: dict[int, dict[str, np.ndarray]]):
    callback = Callback()
    setattr(callback, moment, lambda *_: signal.raise_signal(signal.SIGINT))
    network = make()
    with pytest.warns(UserWarning, match=INTERRUPTED):
        history = train(network, callbacks=[callback])
    assert history.stopped == "interrupted"
    assert network.step == step
    assert len(history) == step // 3  # an epoch that is in the history stays there
    assert_whole(network, pages)


def test_after_ctrl_c_early_stopping_goes_back_to_its_best_epoch(pages: dict[int, dict[str, np.ndarray]]):
    class Late(Callback):
        def on_batch_end(self, batch: int, logs: Any) -> None:
            if self.network.step == 5:
                raise KeyboardInterrupt

    network = make()
    with pytest.warns(UserWarning, match=INTERRUPTED):
        train(network, callbacks=[EarlyStopping("loss"), Late()])
    for name, value in network.tensors().items():
        np.testing.assert_array_equal(value, pages[3][name])


def test_an_interrupted_training_can_go_on():
    network = make()
    with pytest.warns(UserWarning, match=INTERRUPTED):
        train(network, optimizer=HalfWay(0.2))
    history = train(network, epochs=20)
    assert history.stopped is None
    assert history["loss"][-1] < history["loss"][0]


def test_a_second_ctrl_c_waits_until_the_weights_are_back(monkeypatch: pytest.MonkeyPatch):
    network = make()
    kept = Snapshot(network)
    before = {name: value.copy() for name, value in network.tensors().items()}
    for value in network.tensors().values():
        value += 1
    calls: list[int] = []

    def copy(to: np.ndarray, source: np.ndarray) -> None:
        calls.append(1)
        to[...] = source
        if len(calls) in (2, 5):
            raise KeyboardInterrupt

    monkeypatch.setattr(np, "copyto", copy)
    with pytest.raises(KeyboardInterrupt):
        kept.put_back()
    for name, value in network.tensors().items():
        np.testing.assert_array_equal(value, before[name])


def test_a_second_ctrl_c_before_the_weights_are_back_does_not_stop_them(
    monkeypatch: pytest.MonkeyPatch, pages: dict[int, dict[str, np.ndarray]]
):
    recover, calls = LastGood.recover, []

    def pressed_at_once(keeper: LastGood) -> None:
        calls.append(keeper)
        if len(calls) == 1:
            raise KeyboardInterrupt
        recover(keeper)

    monkeypatch.setattr(LastGood, "recover", pressed_at_once)
    network = make()
    with pytest.warns(UserWarning, match=INTERRUPTED):
        train(network, optimizer=HalfWay(0.2, momentum=0.5))
    assert network.step == 3
    assert_whole(network, pages)


def torn(to: np.ndarray, source: np.ndarray) -> None:
    to.fill(np.nan)
    raise KeyboardInterrupt


@dataclass
class Updates:
    """What a step tells of its updates."""

    previous: np.ndarray
    updates: int = 0


def test_ctrl_c_while_copying_leaves_the_older_copy_in_use(monkeypatch: pytest.MonkeyPatch):
    network = make()
    step = Updates(network.flat_parameters.copy())
    keeper = LastGood(network, step)  # type: ignore[arg-type]
    weights, mean = network.parameters["0.weight"], network.state["1.running_mean"]

    def update(value: float) -> None:
        mean[...] = value
        np.copyto(step.previous, network.flat_parameters)
        step.updates += 1
        weights[...] = value

    for value in (1.0, 2.0):  # two whole steps
        keeper.begin()
        update(value)
        keeper.confirm()
        keeper.end()
    monkeypatch.setattr(np, "copyto", torn)
    with pytest.raises(KeyboardInterrupt):
        keeper.begin()
    monkeypatch.undo()
    keeper.recover()
    assert (weights == 2.0).all()  # the copy was torn, the network was not
    assert (mean == 2.0).all()
    keeper.begin()
    update(3.0)
    keeper.recover()
    assert (weights == 2.0).all()
    assert (mean == 2.0).all()


def test_from_a_loss_that_is_not_finite_back_to_where_it_was():
    network = make()
    step = Updates(network.flat_parameters.copy())
    keeper = LastGood(network, step)  # type: ignore[arg-type]
    weights, mean = network.parameters["0.weight"], network.state["1.running_mean"]
    weights[...] = mean[...] = 1.0
    keeper.begin()
    mean[...] = 2.0
    np.copyto(step.previous, network.flat_parameters)
    step.updates += 1
    weights[...] = 2.0
    keeper.confirm()
    keeper.end()
    keeper.begin()
    mean[...] = np.nan
    keeper.put_back()
    assert (weights == 1.0).all()
    assert (mean == 1.0).all()
