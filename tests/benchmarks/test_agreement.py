from __future__ import annotations

import numpy as np
import pytest

from benchmarks.agreement import differences, worst
from benchmarks.sides import Answer


def answer(loss: float = 2.0, **gradients: list[float]) -> Answer:
    return Answer(loss, {name: np.array(value) for name, value in gradients.items()})


def test_a_gradient_is_held_against_its_own_largest_entry() -> None:
    loss, weight, bias = differences(answer(w=[4.0, 1.0], b=[1e-3]), answer(w=[4.0, 1.0002], b=[2e-3]), idle=())
    assert (loss.what, loss.error, loss.allowed) == ("the loss", 0.0, True)
    assert weight.error == pytest.approx(0.0002 / 4)
    assert weight.allowed
    assert bias.error == pytest.approx(0.5)
    assert str(bias) == "the gradient of b differs by 5.0e-01, not ≤ 1e-04"
    assert worst([loss, weight, bias]) is bias


def test_a_gradient_of_rounding_errors_is_held_against_the_networks_largest() -> None:
    _, _, bias = differences(answer(w=[4.0], b=[1e-3]), answer(w=[4.0], b=[2e-3]), idle=("b",))
    assert bias.error == pytest.approx(1e-3 / 4)
    assert bias.allowed


def test_nan_never_agrees() -> None:
    found = worst(differences(answer(w=[np.nan]), answer(loss=3.0, w=[1.0]), idle=()))
    assert found.what == "the gradient of w"
    assert not found.allowed


def test_answers_with_other_parameters_are_not_compared() -> None:
    with pytest.raises(ValueError, match=r"the sides differ in \['b', 'w'\]"):
        differences(answer(w=[1.0]), answer(b=[1.0]), idle=())
