"""What comes out of measuring one piece of work."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from benchmarks.agreement import Difference
from benchmarks.deep_works import DeepWork
from benchmarks.rounds import Ratio, Round, ratio
from benchmarks.works import Work


@dataclass
class Row:
    """One row of the table.

    Attributes:
        work: what was measured.
        engine: Pellucid's engine that was used.
        variant: the peer's way that was used, its best.
        tried: all of the peer's ways that agree, with the smallest figure of each before the rounds.
        worst: of all differences between the two sides, the largest for what it may be.
        times: steps or calls of one measurement.
        rounds: the measurements, in seconds a step, call or epoch, or in megabytes.
        notes: what was left out, and why.
        skipped: why nothing was measured.
        refused: why there is no ratio: the sides do not agree, or one cannot do the work.
    """

    work: Work | DeepWork
    engine: str = ""
    variant: str = ""
    tried: dict[str, float] = field(default_factory=dict[str, float])
    worst: Difference | None = None
    times: int = 0
    rounds: list[Round] = field(default_factory=list[Round])
    notes: list[str] = field(default_factory=list[str])
    skipped: str | None = None
    refused: str | None = None

    @property
    def name(self) -> str:
        """What remarks call it."""
        return self.work.name

    @property
    def images(self) -> int:
        """Images of one step, call or epoch."""
        return self.work.batch * (self.times if self.work.task == "epoch" else 1)

    @property
    def ratio(self) -> Ratio | None:
        """The ratio of the two sides; None if there is none to give."""
        return ratio(self.rounds) if self.rounds and self.refused is None else None

    @property
    def ours(self) -> float:
        """Median of Pellucid's figures."""
        return median(one.ours for one in self.rounds)

    @property
    def peer(self) -> float:
        """Median of the peer's figures."""
        return median(one.peer for one in self.rounds)

    def to_json(self) -> dict[str, Any]:
        """Return everything, every round included, as plain JSON types."""
        found = self.ratio
        return {
            **asdict(self),
            "name": self.name,
            "peer": self.work.peer,
            "unit": "megabytes" if self.work.task == "memory" else "seconds",
            "rounds": [{**asdict(one), "ratio": one.ratio} for one in self.rounds],
            "ratio": None if found is None else {**asdict(found), "spread": found.spread, "noisy": found.noisy},
        }
