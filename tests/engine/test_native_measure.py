"""What the benchmarks ask of the compiled part."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from native_nets import SETS, build, samples

from pellucid.engine import instruction_set
from pellucid.layers import Conv2d, Flatten, Linear, ReLU

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
        ({"threads": 3}, ValueError, "run a batch with gradients first, of at least one block of 16 samples a thread"),
    ],
)
def test_timed_wrong_it_raises(changed: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(learned(), **changed)


def test_nothing_is_timed_before_a_batch() -> None:
    network = build([Conv2d(3, 3), Conv2d(4, 3), Flatten()], (1, 8, 8))
    with pytest.raises(ValueError, match="run a batch with gradients first"):
        call(network)


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
