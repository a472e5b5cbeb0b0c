"""What the benchmarks ask of the compiled part."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from native_nets import SETS, build, samples

from pellucid.engine import instruction_set
from pellucid.layers import BatchNorm2d, Conv2d, Flatten, Linear, ReLU

native = pytest.importorskip("pellucid._native", reason="installed without a C++ compiler")


def learned(count: int = 16) -> Any:
    network = build([Conv2d(3, 3), ReLU(), Conv2d(4, 3), Flatten(), Linear(2)], (1, 8, 8))
    network.loss_and_gradients(*samples(network, count))
    return network


def call(network: Any, **changed: Any) -> float:
    given = {"step": 1, "pass_": "dx", "params": network.flat_parameters, "repetitions": 2, "threads": 1, **changed}
    return network._native._runner.time_step(**given)


def test_timing_changes_nothing_that_is_computed() -> None:
    network = learned()
    x, y = samples(network, 16, seed=5)
    loss, before = network.loss_and_gradients(x, y)
    for step, pass_ in (
        (0, "forward"),
        (0, "dweight"),
        (1, "pack"),
        (1, "forward"),
        (1, "dx"),
        (1, "dweight"),
        (3, "dx"),
    ):
        assert 0 < call(network, step=step, pass_=pass_) < 10
    again, after = network.loss_and_gradients(x, y)
    assert again == loss
    for name, gradient in before.items():
        np.testing.assert_array_equal(after[name], gradient, err_msg=name)


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"step": 2}, ValueError, "only a convolution can be timed by itself"),
        ({"step": -1}, ValueError, "only a convolution can be timed by itself"),
        ({"step": 4}, ValueError, "only a convolution can be timed by itself"),
        ({"step": 0}, ValueError, "the step has no dx"),
        ({"pass_": "backward"}, ValueError, "a pass is 'forward', 'dx', 'dweight' or 'pack'"),
        ({"params": np.ones(3, np.float32)}, ValueError, "wrong number of parameters"),
        ({"params": np.ones(3)}, TypeError, "incompatible function arguments"),
        ({"repetitions": 0}, ValueError, "repetitions and threads must be at least 1"),
        ({"threads": 0}, ValueError, "repetitions and threads must be at least 1"),
        ({"threads": 3}, ValueError, "run a batch with gradients first, on as many threads, with 16 samples for each"),
    ],
)
def test_timed_wrong_it_raises(changed: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(learned(), **changed)


def test_nothing_is_timed_before_a_batch() -> None:
    network = build([Conv2d(3, 3), Conv2d(4, 3), Flatten()], (1, 8, 8))
    with pytest.raises(ValueError, match="run a batch with gradients first"):
        call(network)


def with_norm() -> Any:
    return build([Conv2d(8, 3), BatchNorm2d(), ReLU(), Conv2d(16, 3), Flatten()], (1, 40, 40))


def test_a_convolution_with_a_batch_norm_in_it_is_timed() -> None:
    network = with_norm()
    network.loss_and_gradients(*samples(network, 16))
    step = network._native.program.steps[2]
    assert network._native.program.training.values[step.input] == -1
    for pass_ in ("forward", "dx", "dweight"):
        assert 0 < call(network, step=2, pass_=pass_) < 10


def test_with_batch_norm_nothing_is_timed_where_there_is_no_room() -> None:
    network = with_norm()
    x, y = samples(network, 64)
    network.forward(x)  # in less memory than training takes
    with pytest.raises(ValueError, match="run a batch with gradients first"):
        call(network, step=2)
    network.n_jobs = 1  # four blocks in memories of their own, but one thread's scratch
    network.loss_and_gradients(x, y)
    assert 0 < call(network, step=2) < 10
    with pytest.raises(ValueError, match="run a batch with gradients first, on as many threads"):
        call(network, step=2, threads=4)


def test_the_peak_is_that_of_a_processor() -> None:
    for isa in SETS[: SETS.index(instruction_set() or "") + 1] if instruction_set() in SETS else (instruction_set(),):
        assert 1e8 < native.multiply_add_peak(isa, 0.005, 1) < 1e12, isa


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mmx", 0.01, 1), "this processor or build does not have that instruction set"),
        (("baseline", 0.0, 1), "seconds must be more than 0 and at most 60"),
        (("baseline", float("nan"), 1), "seconds must be more than 0 and at most 60"),
        (("baseline", 0.01, 0), "threads must be at least 1"),
    ],
)
def test_a_peak_that_cannot_be_measured(arguments: tuple[str, float, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        native.multiply_add_peak(*arguments)
