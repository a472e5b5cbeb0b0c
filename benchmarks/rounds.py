"""Measuring two sides in turn, and what the pairs of measurements say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np

#: spread of the ratios, in parts of their median, from which on a row is called noisy
NOISY = 0.25


@dataclass(frozen=True)
class Round:
    """One measurement of each side, one right after the other.

    Attributes:
        ours, peer: seconds a step or call, or megabytes.
    """

    ours: float
    peer: float

    @property
    def ratio(self) -> float:
        """How many times as long, or as much, the peer needed."""
        return self.peer / self.ours


@dataclass(frozen=True)
class Ratio:
    """What the rounds say.

    Attributes:
        median: of the rounds' ratios.
        lower, upper: the quartiles, which half of the ratios lie between.
        best: the peer's smallest figure divided by ours. On a busy machine it is nearer the truth than the median,
            since other programs may slow one side more than the other, but never speed one up.
    """

    median: float
    lower: float
    upper: float
    best: float

    @property
    def spread(self) -> float:
        """The interquartile range."""
        return self.upper - self.lower

    @property
    def noisy(self) -> bool:
        """Whether the rounds contradict each other too much for the median to be quoted."""
        return self.spread > NOISY * self.median


def alternate(ours: Callable[[], float], peer: Callable[[], float], seconds: float, least: int) -> list[Round]:
    """Measure both sides in turn for so many seconds, and at least so many rounds.

    Each goes first in every other round, so that neither always finds the machine as the other has left it.
    """
    rounds: list[Round] = []
    end = perf_counter() + seconds
    while len(rounds) < least or perf_counter() < end:
        if len(rounds) % 2:
            theirs = peer()
            rounds.append(Round(ours(), theirs))
        else:
            mine = ours()
            rounds.append(Round(mine, peer()))
    return rounds


def ratio(rounds: Sequence[Round]) -> Ratio:
    """Return the median of the rounds' own ratios, not the ratio of medians: what slows a round slows both sides."""
    lower, median, upper = np.percentile([one.ratio for one in rounds], [25, 50, 75])
    best = min(one.peer for one in rounds) / min(one.ours for one in rounds)
    return Ratio(float(median), float(lower), float(upper), best)
