"""What comes out of measuring one kernel."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from benchmarks.agreement import Difference
from benchmarks.kernels import Kernel, Pass
from benchmarks.rounds import Ratio, Round, ratio


@dataclass(frozen=True)
class PassRow:
    """One pass of a kernel on so many threads.

    Attributes:
        kernel: the kernel.
        which: the pass.
        threads: threads, each with a block of its own.
        rounds: seconds of a multiply-add, the kernel's and the processor's at its peak.
    """

    kernel: Kernel
    which: Pass
    threads: int
    rounds: list[Round]

    @property
    def name(self) -> str:
        """What remarks call it."""
        return f"{self.kernel.name}, {self.which}, threads: {self.threads}"

    @property
    def share(self) -> Ratio:
        """Share of the peak, round by round; above 1 where a kernel needs fewer multiply-adds than are counted."""
        return ratio(self.rounds)

    @property
    def gflops(self) -> float:
        """10⁹ floating point operations a second, two for every multiply-add that is counted."""
        return 2e-9 / median(one.ours for one in self.rounds)

    @property
    def peak(self) -> float:
        """The processor's at its peak, in the same rounds."""
        return 2e-9 / median(one.peer for one in self.rounds)


@dataclass
class KernelRow:
    """One kernel, all its passes.

    Attributes:
        kernel: what was measured.
        worst: of all differences from the reference engine, the largest for what it may be.
        passes: what was measured.
        skipped: why nothing was measured.
        refused: why there are no figures: the engines do not agree, or the kernel cannot be timed.
    """

    kernel: Kernel
    worst: Difference | None = None
    passes: list[PassRow] = field(default_factory=list[PassRow])
    skipped: str | None = None
    refused: str | None = None

    @property
    def name(self) -> str:
        """What remarks call it."""
        return self.kernel.name

    def to_json(self) -> dict[str, Any]:
        """Return everything, every round included, as plain JSON types."""
        passes = [
            {
                "pass": one.which,
                "threads": one.threads,
                "gflops": one.gflops,
                "peak": one.peak,
                "share": {**asdict(one.share), "spread": one.share.spread, "noisy": one.share.noisy},
                "rounds": [{"kernel": 2e-9 / each.ours, "peak": 2e-9 / each.peer} for each in one.rounds],
            }
            for one in self.passes
        ]
        return {
            **asdict(self),
            "name": self.name,
            "multiply_adds": self.kernel.multiply_adds,
            "unit": "GFLOP/s",
            "passes": passes,
        }
