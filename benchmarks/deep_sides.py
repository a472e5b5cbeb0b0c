"""What the sides of a deep network's row share; weights and gradients, some 500 MB of VGG, go through files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.deep_works import DeepWork
from benchmarks.sides import applied
from pellucid.arrays import Tensors


@dataclass(frozen=True)
class DeepJob:
    """What a side is to do.

    Attributes:
        work: the piece of work.
        variant: how: Pellucid's engine, or one of the peer's ways.
        threads: threads to use.
        folder: where :mod:`benchmarks.images` has written, and where the sides write.
    """

    work: DeepWork
    variant: str
    threads: int
    folder: Path

    @property
    def weights(self) -> Path:
        """What both sides start from: Pellucid's side writes it with its answer."""
        return self.folder / "weights.safetensors"


@dataclass(frozen=True)
class DeepAnswer:
    """What a side computed in one training step without dropout, to be held against the other's.

    Attributes:
        loss: of the step.
        gradients: a file of all of them as float32, as the step has applied them, in the order of their names.
    """

    loss: float
    gradients: Path


def write_gradients(path: Path, before: Tensors, after: Tensors) -> Path:
    """Write the gradients that a step with the reading rate has applied."""
    with path.open("wb") as file:
        for name in sorted(before):
            applied({name: before[name]}, after)[name].tofile(file)
    return path
