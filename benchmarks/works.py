"""What is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pellucid.arrays import Shape

LAYOUTS = ("NCHW", "channels_last")
MODES = ("eager", "compiled")
POOLS = ("reduce_window", "reshape")
IN_ONE_CALL = "in one call"
IN_CHUNKS = "in chunks"


@dataclass(frozen=True)
class Work:
    """One row of the table: a piece of work that both sides do.

    Attributes:
        name: what ``--only`` calls it.
        task: whole training steps, a whole epoch of them, predictions, or the peak memory of training.
        model: the network's name in :mod:`pellucid.zoo`.
        batch: images of one step, or of one call to predict.
        batch_norm: Grishin's Part IV.
        peer: whom Pellucid is held against.
    """

    name: str
    task: Literal["train", "epoch", "predict", "memory"]
    model: Literal["nguyen", "grishin", "lenet5"]
    batch: int
    batch_norm: bool = False
    peer: Literal["PyTorch", "ONNX Runtime", "JAX"] = "PyTorch"

    @property
    def title(self) -> str:
        """What the table calls it."""
        verbs = {"train": "train", "epoch": "an epoch of", "predict": "predict with", "memory": "memory to train"}
        norm = " with batch norm" if self.batch_norm else ""
        images = f"{self.batch:,} image{'s' if self.batch > 1 else ''}"
        return f"{verbs[self.task]} {self.model}{norm}, {images if self.task == 'predict' else f'batch {self.batch}'}"

    @property
    def image_shape(self) -> Shape:
        """Shape of one image: Grishin's are MNIST's with two black pixels around."""
        return (1, 32, 32) if self.model == "grishin" else (1, 28, 28)

    @property
    def idle(self) -> tuple[str, ...]:
        """Parameters whose gradient is 0 but for rounding: batch normalization takes off what these biases add."""
        return ("conv1.bias", "conv2.bias", "fc1.bias") if self.batch_norm else ()

    def variants(self, compiled: bool) -> list[str]:
        """Return the ways the peer may do it, of which the fastest counts.

        Args:
            compiled: try ``torch.compile`` too. Never for memory, where the compiler's own would count.
        """
        if self.peer == "ONNX Runtime":
            return [IN_ONE_CALL] if self.batch == 1 else [IN_ONE_CALL, IN_CHUNKS]
        if self.peer == "JAX":
            return [f"{layout}, {pool}" for layout in ("NCHW", "NHWC") for pool in POOLS]
        modes = MODES if compiled and self.task != "memory" else MODES[:1]
        return [f"{layout}, {mode}" for mode in modes for layout in LAYOUTS]


WORKS = (
    Work("train-nguyen-16", "train", "nguyen", 16),
    Work("train-nguyen-32", "train", "nguyen", 32),
    Work("train-nguyen-128", "train", "nguyen", 128),
    Work("train-nguyen-32-jax", "train", "nguyen", 32, peer="JAX"),
    Work("train-nguyen-128-jax", "train", "nguyen", 128, peer="JAX"),
    Work("train-grishin-32", "train", "grishin", 32),
    Work("train-grishin-bn-32", "train", "grishin", 32, batch_norm=True),
    Work("train-lenet5-64", "train", "lenet5", 64),
    Work("epoch-nguyen-32", "epoch", "nguyen", 32),
    Work("predict-1", "predict", "nguyen", 1),
    Work("predict-1-onnx", "predict", "nguyen", 1, peer="ONNX Runtime"),
    Work("predict-1-jax", "predict", "nguyen", 1, peer="JAX"),
    Work("predict-10000", "predict", "nguyen", 10_000),
    Work("predict-10000-onnx", "predict", "nguyen", 10_000, peer="ONNX Runtime"),
    Work("predict-10000-jax", "predict", "nguyen", 10_000, peer="JAX"),
    Work("memory", "memory", "nguyen", 128),
)
