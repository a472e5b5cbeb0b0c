from __future__ import annotations

import pytest

from benchmarks.rounds import Round, alternate, ratio


def test_the_ratio_is_the_median_of_the_rounds_own() -> None:
    found = ratio([Round(1.0, 2.0), Round(10.0, 30.0), Round(2.0, 8.0), Round(1.0, 5.0), Round(3.0, 18.0)])
    assert (found.median, found.lower, found.upper, found.spread) == (4.0, 3.0, 5.0, 2.0)
    assert found.best == 2.0  # 2.0 / 1.0
    assert found.noisy


def test_a_narrow_spread_is_not_noisy() -> None:
    found = ratio([Round(1.0, 4.0), Round(1.0, 4.5), Round(1.0, 5.0)])
    assert found.spread == 0.5
    assert not found.noisy


@pytest.mark.parametrize("least", [1, 4])
def test_each_side_goes_first_in_every_other_round(least: int) -> None:
    order: list[str] = []

    def side(name: str, figure: float) -> float:
        order.append(name)
        return figure

    rounds = alternate(lambda: side("ours", 1.0), lambda: side("peer", 3.0), seconds=0, least=least)
    assert rounds == [Round(1.0, 3.0)] * least
    assert order == ["ours", "peer", "peer", "ours", "ours", "peer", "peer", "ours"][: 2 * least]
