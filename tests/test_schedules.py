"""Schedules: values by hand at the beginning, inside and at the end, and bad settings."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest

from pellucid.description import from_json, to_json
from pellucid.errors import ConfigError
from pellucid.schedules import Constant, Cosine, LinearWarmup, OneCycle, Schedule, StepDecay, resolve_schedule


@pytest.mark.parametrize(
    ("schedule", "epochs", "values"),
    [
        (Constant(0.3), 10, {0: 0.3, 4.5: 0.3, 10: 0.3}),
        (StepDecay(0.8, 3, gamma=0.5), 10, {0: 0.8, 2.99: 0.8, 3: 0.4, 5.5: 0.4, 6: 0.2, 9: 0.1, 10: 0.1}),
        (StepDecay(2.0, 0.5), 1, {0: 2.0, 0.49: 2.0, 0.5: 0.2, 1: 0.02}),
        # cos 0 = 1, cos 60° = 1/2, cos 90° = 0, cos 120° = −1/2, cos 180° = −1
        (Cosine(0.4), 6, {0: 0.4, 2: 0.3, 3: 0.2, 4: 0.1, 6: 0.0, 7: 0.0}),
        (Cosine(0.5, eta_min=0.1), 6, {0: 0.5, 2: 0.4, 3: 0.3, 4: 0.2, 6: 0.1, 7: 0.1}),
        (Cosine(0.4), 1, {0.25: 0.2 * (1 + math.sqrt(0.5))}),
        (LinearWarmup(0.8, 4, start_factor=0.25), 10, {0: 0.2, 1: 0.35, 2.5: 0.575, 4: 0.8, 10: 0.8}),
        (LinearWarmup(0.5), 50, {0: 0.05, 1: 0.14, 5: 0.5, 50: 0.5}),
        # 6 epochs of cosine follow 2 of warm-up
        (LinearWarmup(Cosine(0.4), 2, start_factor=0), 8, {0: 0, 0.5: 0.1, 2: 0.4, 4: 0.3, 5: 0.2, 6: 0.1, 8: 0}),
        (LinearWarmup(StepDecay(0.4, 3, 0.5), 0.5, 0.0), 8, {0.25: 0.2, 0.5: 0.4, 3.4: 0.4, 3.5: 0.2, 6.5: 0.1}),
        # never past the warm-up
        (LinearWarmup(Cosine(0.4), 4, start_factor=0), 4, {0: 0, 1: 0.1, 4: 0.4}),
        (LinearWarmup(Cosine(0.4), 8, start_factor=0), 4, {0: 0, 2: 0.1, 4: 0.2}),
        # peak after 3 of 10 epochs; ½(1 − cos 60°) = 1/4, ½(1 − cos 120°) = 3/4
        (
            OneCycle(2.0, div_factor=20, final_div_factor=10),
            10,
            {0: 0.1, 1: 0.575, 2: 1.525, 3: 2.0, 6.5: 1.005, 10: 0.01},
        ),
        (OneCycle(1.0), 10, {0: 0.04, 3: 1.0, 10: 4e-6, 11: 4e-6}),
        (OneCycle(1.0, pct_start=0.5, div_factor=1, final_div_factor=1), 4, {0: 1, 1: 1, 2: 1, 3: 1, 4: 1}),
    ],
    ids=lambda value: str(value)[:60],
)
def test_values_worked_by_hand(schedule, epochs, values):
    for epoch, expected in values.items():
        assert schedule(epoch, epochs) == pytest.approx(expected, rel=1e-12, abs=1e-16), f"at {epoch}"


def test_a_rate_is_a_plain_float():
    """A NumPy scalar would turn float32 weights into float64 ones on the way."""
    for schedule in (
        Constant(np.float64(1)),
        StepDecay(np.float32(1), 2),
        Cosine(np.float64(1)),
        LinearWarmup(np.float64(1), 2),
        OneCycle(np.int64(1)),
    ):
        assert type(schedule(1.0, 4)) is float, schedule


@dataclass(frozen=True)
class Halving(Schedule):
    """A user's own: halve the rate every epoch."""

    start: float

    def __call__(self, epoch, epochs):
        return self.start * 0.5**epoch


def test_a_schedule_of_ones_own_goes_where_the_others_go():
    warm = LinearWarmup(Halving(0.8), 2, start_factor=0.5)
    assert [warm(e, 10) for e in (0, 1, 2, 3, 5)] == pytest.approx([0.4, 0.6, 0.8, 0.4, 0.1])
    assert from_json(to_json(warm), Schedule) == warm
    with pytest.raises(NotImplementedError, match="Schedule does not define __call__"):
        Schedule()(0.0, 1)


def test_resolve_schedule():
    assert resolve_schedule(0.25) == Constant(0.25)
    cosine = Cosine(0.1)
    assert resolve_schedule(cosine) is cosine


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Constant(-1), "Constant: learning_rate must be a finite number of at least 0; got -1"),
        (lambda: Constant(math.inf), "Constant: learning_rate must be a finite number of at least 0; got inf"),
        (lambda: resolve_schedule("slow"), "Constant: learning_rate must be a finite number of at least 0; got 'slow'"),
        (lambda: StepDecay(0.1, 0), "StepDecay: step_size must be a finite number above 0; got 0"),
        (
            lambda: StepDecay(0.1, 5, gamma=1.5),
            "StepDecay: gamma must be a finite number above 0 and at most 1; got 1.5",
        ),
        (lambda: StepDecay(0.1, 5, gamma=0), "StepDecay: gamma must be a finite number above 0 and at most 1; got 0"),
        (lambda: Cosine(None), "Cosine: learning_rate must be a finite number of at least 0; got None"),
        (lambda: Cosine(0.1, 0.2), "Cosine: eta_min must be a finite number of at least 0 and at most 0.1; got 0.2"),
        (lambda: LinearWarmup(-2), "LinearWarmup: then must be a schedule or a finite number of at least 0; got -2"),
        (lambda: LinearWarmup(1, 0), "LinearWarmup: warmup_epochs must be a finite number above 0; got 0"),
        (
            lambda: LinearWarmup(1, start_factor=2),
            "LinearWarmup: start_factor must be a finite number of at least 0 and at most 1; got 2",
        ),
        (lambda: OneCycle(math.nan), "OneCycle: learning_rate must be a finite number of at least 0; got nan"),
        (lambda: OneCycle(1, pct_start=1), "OneCycle: pct_start must be a finite number above 0 and below 1; got 1"),
        (lambda: OneCycle(1, div_factor=0.5), "OneCycle: div_factor must be a finite number of at least 1; got 0.5"),
        (
            lambda: OneCycle(1, final_div_factor=0),
            "OneCycle: final_div_factor must be a finite number of at least 1; got 0",
        ),
    ],
)
def test_settings_out_of_range(make, message):
    with pytest.raises(ConfigError) as caught:
        make()
    assert str(caught.value) == message
