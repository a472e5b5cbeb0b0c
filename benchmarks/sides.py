"""What a side of the comparison must be able to do, and how it is made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Protocol

from benchmarks.works import Work
from pellucid.arrays import Array, Tensors

#: learning rate of the steps that are timed; every measurement begins with the same weights
RATE = 0.01

#: learning rate of the step that gradients are read from. With so large a power of two the weights' own rounding
#: errors do not reach the difference (before − after)/rate.
READING_RATE = 1024.0


@dataclass(frozen=True)
class Job:
    """What a side is to do.

    Attributes:
        work: the piece of work.
        variant: how: Pellucid's engine, or one of the peer's ways.
        threads: threads to use.
        folder: where :mod:`benchmarks.images` has written.
        weights: what to start from, by Pellucid's names; None on Pellucid's own side.
    """

    work: Work
    variant: str
    threads: int
    folder: Path
    weights: Tensors | None = None


@dataclass(frozen=True)
class Answer:
    """What a side computed when it did the work once, to be held against the other's.

    Attributes:
        loss: of the one training step.
        gradients: by parameter, as the step has applied them.
        prediction: (N, K).
    """

    loss: float | None = None
    gradients: Tensors = field(default_factory=dict[str, Array])
    prediction: Array | None = None


class Side(Protocol):
    """One side, ready to work."""

    @property
    def told(self) -> str:
        """How it works: the engine or variant that is really used."""
        ...

    def weights(self) -> Tensors:
        """Return the weights that every measurement begins with."""
        ...

    def reset(self) -> None:
        """Go back to those weights."""
        ...

    def run(self, times: int) -> None:
        """Do the work: so many training steps, or so many predictions."""
        ...

    def answer(self) -> Answer:
        """Do the work once, along the path that is timed, from the starting weights."""
        ...


def calls(images: int, batch: int, times: int) -> Iterator[slice]:
    """Return which of the images each of so many predictions takes: the next ones, and from the start again."""
    starts = range(0, images - batch + 1, batch)
    return (slice(start, start + batch) for start in islice(cycle(starts), times))


def applied(before: Tensors, after: Tensors) -> Tensors:
    """Return the gradients that a step with :data:`READING_RATE` has applied."""
    return {name: (value - after[name].reshape(value.shape)) / READING_RATE for name, value in before.items()}
