from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pellucid.losses import CrossEntropy
from pellucid.training.figures import Figures, room_for_outputs
from pellucid.training.samples import Samples

TARGET = np.eye(2)[[0, 1, 1, 0, 1, 0]]
WEIGHT = np.array([1.0, 2, 1, 4, 1, 3])
OUTPUTS = np.array([[2.0, 1], [0, 1], [3, 0], [5, 1], [0, 9], [0, 1]])  # right but for the third and the last
BATCHES = [([4, 0], 0.5), ([2, 3], 2.0), ([1, 5], 0.25)]
#: Σ loss·weight, Σ of the right ones' weights, Σ weight after each batch
SUMS = [(1.0, 2.0, 2.0), (11.0, 6.0, 7.0), (12.25, 8.0, 12.0)]


def figures(reduction: Any = "mean", room: int = 6) -> Figures:
    data = Samples(np.zeros((6, 1)), TARGET, None, WEIGHT)
    return Figures(CrossEntropy(reduction), "accuracy", data, np.full((room, 2), np.nan))


def note(found: Figures, batch: int) -> None:
    rows, value = BATCHES[batch]
    place = found.place(len(rows))
    found._outputs[place : place + len(rows)] = OUTPUTS[rows]
    found.add(value, np.array(rows))


@pytest.mark.parametrize("room", [2, 3, 4, 6])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_figures_are_those_of_their_moment_whenever_they_are_read(reduction: str, room: int) -> None:
    read, late = figures(reduction, room), figures(reduction, room)
    moments = []
    for batch, (loss, right, weight) in enumerate(SUMS):
        note(read, batch)
        note(late, batch)
        value = loss / weight if reduction == "mean" else sum(value for _, value in BATCHES[: batch + 1])
        assert dict(read.logs()) == pytest.approx({"loss": value, "accuracy": right / weight}, rel=1e-15)
        moments.append((late.logs(), dict(read.logs())))
    for logs, expected in moments:
        assert dict(logs) == expected
        assert repr(logs) == repr(expected)
        assert len(logs) == 2


def test_outputs_have_room_for_a_batch_and_no_more_than_the_samples_need() -> None:
    def rows(samples: int, classes: int, longest: int) -> int:
        data = Samples(np.zeros(samples), np.zeros((samples, classes)), None, np.ones(samples))
        room = room_for_outputs(data, longest, np.dtype(np.float32))
        assert room.shape[1] == classes
        return len(room)

    assert rows(100, 10, 33) == 100
    assert rows(10**5, 4, 33) == 2**16
    assert rows(1000, 2**17, 33) == 33
