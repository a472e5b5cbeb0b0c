from __future__ import annotations

import re
from typing import Any

import pytest
from small_training import Scripted, make, train

from pellucid.errors import ConfigError
from pellucid.schedules import Cosine
from pellucid.training import Callback, ReduceLROnPlateau


def rates(figures: list[float], monitor: str = "loss", learning_rate: Any = 1.0, **settings: Any) -> list[float]:
    """Return the rate of every epoch when the figure goes like that."""
    plateau = ReduceLROnPlateau(monitor, **settings)
    script = Scripted(monitor, figures)
    return train(make(), script, plateau, epochs=len(figures), learning_rate=learning_rate)["learning_rate"]


@pytest.mark.parametrize(
    ("figures", "settings", "expected"),
    [
        # Worked out by hand from Keras's rules: counting starts over at a better figure and at every reduction.
        ([5, 5, 5, 5, 5, 5], {"patience": 2, "factor": 0.5}, [1, 1, 1, 0.5, 0.5, 0.25]),
        ([5, 5, 4, 4, 4, 4], {"patience": 2, "factor": 0.5}, [1, 1, 1, 1, 1, 0.5]),
        ([5, 5, 5, 5], {"patience": 0, "factor": 0.5}, [1, 1, 0.5, 0.25]),
        ([5, 5, 5, 5], {"patience": 1, "factor": 0.5}, [1, 1, 0.5, 0.25]),
        # In the epochs of the cooldown nothing is counted.
        ([5] * 8, {"patience": 1, "factor": 0.5, "cooldown": 2}, [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]),
        ([5] * 8, {"patience": 2, "factor": 0.5, "cooldown": 3}, [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25]),
        # What is better by less than min_delta is no better.
        ([5, 4.95, 4.9, 4.85], {"patience": 1, "factor": 0.5, "min_delta": 0.06}, [1, 1, 0.5, 0.5]),
        ([5, 4.95, 4.9, 4.85], {"patience": 1, "factor": 0.5}, [1, 1, 1, 1]),
        ([5] * 5, {"patience": 1, "factor": 0.5, "min_lr": 0.3}, [1, 1, 0.5, 0.3, 0.3]),
        ([0.5, 0.6, 0.7], {"monitor": "accuracy", "patience": 1}, [1, 1, 1]),
        ([0.5, 0.4, 0.4], {"monitor": "accuracy", "patience": 1}, [1, 1, 0.1]),
        ([5, 6, 7], {"mode": "max", "patience": 1}, [1, 1, 1]),
    ],
)
def test_the_rate_falls_as_keras_has_it(figures: list[float], settings: dict[str, Any], expected: list[float]):
    assert rates(figures, **settings) == pytest.approx(expected, rel=1e-15)


def test_a_schedule_is_scaled():
    plain = rates([5] * 6, learning_rate=Cosine(0.4), patience=99)
    scaled = rates([5] * 6, learning_rate=Cosine(0.4), patience=2, factor=0.5)
    assert scaled == pytest.approx([rate * share for rate, share in zip(plain, [1, 1, 1, 0.5, 0.5, 0.25], strict=True)])


def test_the_steps_are_taken_with_the_rate_that_is_told():
    """A plain gradient step of rate η moves the weights by η times the gradient: the first batch, both ways."""

    class Halve(Callback):
        def on_train_begin(self, logs: Any) -> None:
            self.rate_factor = 0.5

    halved, plain = make(), make()
    train(halved, Halve(), epochs=1, learning_rate=0.2, batch_size=10)
    train(plain, epochs=1, learning_rate=0.1, batch_size=10)
    start = make().flat_parameters
    assert abs(halved.flat_parameters - start).max() > 1e-3
    assert halved.flat_parameters == pytest.approx(plain.flat_parameters, rel=1e-6)


def test_the_factors_of_two_callbacks_multiply():
    first, second = Callback(), Callback()
    first.rate_factor, second.rate_factor = 0.5, 0.25
    assert train(make(), first, second, epochs=1, learning_rate=0.8)["learning_rate"] == [0.1]


def test_the_bound_ends_the_reductions_also_where_it_is_reached_with_a_rounding(capsys: pytest.CaptureFixture[str]):
    found = rates([5] * 9, learning_rate=0.3, patience=0, factor=0.1, min_lr=0.01, verbose=1)
    assert found[-1] == 0.010000000000000002
    assert capsys.readouterr().out.splitlines() == [
        "epoch 2: ReduceLROnPlateau reduces the learning rate from 0.3 to 0.03",
        "epoch 3: ReduceLROnPlateau reduces the learning rate from 0.03 to 0.01",
    ]


def test_a_rate_of_zero_is_left_alone():
    assert rates([5] * 3, learning_rate=0.0, patience=0) == [0, 0, 0]


def test_it_forgets_the_last_training():
    plateau, network = ReduceLROnPlateau("loss", factor=0.5, patience=0), make()
    script = Scripted("loss", [1, 1, 1])
    for _ in range(2):
        history = train(network, script, plateau, epochs=3, learning_rate=1.0)
        assert history["learning_rate"] == [1, 1, 0.5]


@pytest.mark.parametrize("cut", range(1, 9))
def test_its_state_goes_on_where_it_was(cut: int):
    settings: dict[str, Any] = {"monitor": "loss", "factor": 0.5, "patience": 2, "cooldown": 2}
    figures = [5.0, 4, 4, 4, 4.5, 4.6, 3, 3, 3]
    whole, first, second = (ReduceLROnPlateau(**settings) for _ in range(3))
    begin = {"columns": ("loss", "learning_rate")}
    for plateau in (whole, first, second):
        plateau.on_train_begin(begin)

    def epochs(plateau: ReduceLROnPlateau, start: int, end: int) -> list[float]:
        seen: list[float] = []
        for epoch in range(start, end):
            plateau.on_epoch_end(epoch, {"loss": figures[epoch], "learning_rate": 0.1 * plateau.rate_factor})
            seen.append(plateau.rate_factor)
        return seen

    expected = epochs(whole, 0, len(figures))
    begun = epochs(first, 0, cut)
    second.load_state_dict(first.state_dict())
    assert begun + epochs(second, cut, len(figures)) == expected
    assert expected[-1] == 0.25


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"factor": 1.0}, "ReduceLROnPlateau: factor must be above 0 and below 1, got 1.0"),
        ({"factor": 0}, "ReduceLROnPlateau: factor must be above 0 and below 1, got 0"),
        ({"factor": float("nan")}, "ReduceLROnPlateau: factor must be above 0 and below 1, got nan"),
        ({"patience": -1}, "ReduceLROnPlateau: patience must be finite and not negative, got -1"),
        ({"cooldown": -2}, "ReduceLROnPlateau: cooldown must be finite and not negative, got -2"),
        ({"min_lr": float("inf")}, "ReduceLROnPlateau: min_lr must be finite and not negative, got inf"),
        ({"min_delta": -0.1}, "ReduceLROnPlateau: min_delta must be finite and not negative, got -0.1"),
        ({"mode": "best"}, "ReduceLROnPlateau: mode must be 'auto', 'min' or 'max', got 'best'"),
    ],
)
def test_bad_settings_are_told(settings: dict[str, Any], text: str):
    with pytest.raises(ConfigError, match=re.escape(text)):
        ReduceLROnPlateau(**settings)


def test_a_figure_that_will_not_exist_is_told_before_training():
    network = make()
    with pytest.raises(ConfigError, match="ReduceLROnPlateau monitors 'val_loss', but this training has epoch, loss"):
        train(network, ReduceLROnPlateau())
    assert network.step == 0
