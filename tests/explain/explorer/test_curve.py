import pytest

from pellucid.explain.explorer import curve
from pellucid.explain.explorer.curve import Curve


@pytest.mark.parametrize("every", [1, 25])
def test_a_long_curve_keeps_evenly_spaced_points(every, monkeypatch):
    monkeypatch.setattr(curve, "MOST", 8)
    told = Curve(every)
    for step in range(101 * every):
        if told.wants(step):
            told.add(step, loss=step / 2, accuracy=1.0)
    assert told.after(-1) == [
        {"step": step * every, "loss": step * every / 2, "accuracy": 1.0} for step in range(0, 101, 16)
    ]
    assert [point["step"] for point in told.after(48 * every)] == [64 * every, 80 * every, 96 * every]


def test_a_short_curve_keeps_every_point():
    told = Curve(1)
    for step in range(1, 6):
        told.add(step, 0.5, 0.25)
    assert [point["step"] for point in told.after(2)] == [3, 4, 5]
