"""Which deep networks are measured, whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from benchmarks.works import LAYOUTS, MODES
from pellucid.arrays import Shape

#: what a variant of PyTorch is called that computes in bfloat16
BFLOAT16 = "bfloat16"


@dataclass(frozen=True)
class DeepWork:
    """One row of the table: a deep network of the zoo, trained by both sides.

    Attributes:
        task: whole training steps, or the peak memory of training.
        model: the network's name in :mod:`pellucid.zoo`.
        batch: images of one step.
        bfloat16: hold Pellucid's float32 against PyTorch's automatic mixed precision.
    """

    task: Literal["train", "memory"]
    model: str
    batch: int
    bfloat16: bool = False

    #: whom Pellucid is held against
    peer = "PyTorch"

    @property
    def name(self) -> str:
        """What ``--only`` calls it."""
        memory, bfloat16 = "memory-" if self.task == "memory" else "", "-bf16" if self.bfloat16 else ""
        return f"deep-{memory}{self.model.removesuffix('_cifar')}-{self.batch}{bfloat16}"

    @property
    def title(self) -> str:
        """What the table calls it."""
        return f"{'memory to train' if self.task == 'memory' else 'train'} {self.model}, batch {self.batch}"

    @property
    def image_shape(self) -> Shape:
        """Shape of one image: CIFAR's or ImageNet's."""
        return (3, 32, 32) if self.model.endswith("_cifar") else (3, 224, 224)

    def variants(self, compiled: bool) -> list[str]:
        """Return the ways the peer may do it, of which the fastest counts; compiled never for memory."""
        modes = MODES if compiled and self.task == "train" else MODES[:1]
        precision = f", {BFLOAT16}" if self.bfloat16 else ""
        return [f"{layout}, {mode}{precision}" for mode in modes for layout in LAYOUTS]


NETWORKS = (
    ("resnet20_cifar", 128),
    *((model, 16) for model in ("alexnet", "vgg16", "googlenet", "resnet18", "resnet50")),
)

DEEP_WORKS = (
    *(DeepWork("train", model, batch) for model, batch in NETWORKS),
    DeepWork("train", "resnet20_cifar", 128, bfloat16=True),
    *(DeepWork("memory", model, batch) for model, batch in NETWORKS),
)
