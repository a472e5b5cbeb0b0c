"""Wide 3×3 convolutions by themselves, beside PyTorch's: forward, dx and dweight.

    python -m benchmarks.wide [--threads 2] [--seconds 2]

Each thread has a block of 16 samples. Both sides keep their numbers as they take them best, PyTorch in NCHW or channels
last, whichever is faster. PyTorch brings the weights into its order in every call; Pellucid does so once a batch, for
forward and dx together, and half of that is counted for each; or, of many weights for few tiles, in every pass. Results
must agree before anything is timed.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Callable
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchmarks.agreement import GRADIENT
from benchmarks.kernels import BLOCK, PASSES, Kernel, Pass
from benchmarks.rounds import alternate, ratio
from benchmarks.worker import SETTLE
from pellucid import Network
from pellucid.engine import program as lowering
from pellucid.layers import Conv2d, Flatten

if TYPE_CHECKING:
    from torch import Tensor

    from pellucid.arrays import Array

SHAPES = tuple(
    Kernel(3, channels, pixels, "winograd")
    for channels, pixels in ((64, 56), (64, 32), (128, 28), (128, 16), (256, 14), (256, 8), (512, 7))
)

FORMATS = {"NCHW": torch.contiguous_format, "channels last": torch.channels_last}

#: where the convolution stands among the network's steps: the one before it gives it a dx
STEP = 1


class Ours:
    """The convolution in a network of its own, and a block of samples for every thread."""

    def __init__(self, kernel: Kernel, threads: int) -> None:
        layers = [Conv2d(kernel.channels, 1, bias=False), Conv2d(kernel.channels, 3, padding="same", bias=False)]
        # Every thread is to have a block and gradients of its own, also where the weights are many.
        lowering.WIDE = sys.maxsize
        self.network = Network([*layers, Flatten()], kernel.image_shape, loss="squared_error", engine="native")
        self.network.n_jobs = self.threads = threads
        rng = np.random.default_rng(0)
        shape = (BLOCK * threads, *kernel.image_shape)
        self.images = rng.normal(size=shape).astype(np.float32)
        self.targets = rng.normal(size=(len(self.images), *self.network.output_shape)).astype(np.float32)

    def answer(self) -> tuple[Array, dict[str, Array]]:
        """Return outputs and gradients; a batch leaves behind what the passes are timed on."""
        _, gradients = self.network.loss_and_gradients(self.images, self.targets)
        return self.network.forward(self.images), dict(gradients)

    def seconds(self, which: str, repetitions: int) -> float:
        """Return how long a pass takes, once threads are awake and caches are full, as for the other side."""
        sleep(SETTLE)
        native: Any = self.network._native
        flat = self.network.flat_parameters
        native._runner.time_step(STEP, which, flat, 1, self.threads)
        return native._runner.time_step(STEP, which, flat, repetitions, self.threads) / repetitions


class Theirs:
    """PyTorch's convolution of the same numbers in one memory format."""

    def __init__(self, ours: Ours, layout: str) -> None:
        first, weight = (torch.from_numpy(ours.network.parameters[f"{i}.weight"].copy()) for i in (0, 1))
        images = torch.from_numpy(ours.images)
        formed = FORMATS[layout]
        self.first, self.images = first, images
        self.x = torch.nn.functional.conv2d(images, first).contiguous(memory_format=formed)
        self.weight = weight.contiguous(memory_format=formed)
        self.dy = self._delta(torch.from_numpy(ours.targets)).contiguous(memory_format=formed)

    def _delta(self, targets: Tensor) -> Tensor:
        y = self.compute("forward")
        return (y - targets.view(y.shape)) / len(targets)

    def compute(self, which: Pass) -> Tensor:
        """Do one pass."""
        if which == "forward":
            return torch.nn.functional.conv2d(self.x, self.weight, padding=1)
        wanted = [which == "dx", which == "dweight", False]
        args = (None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, wanted)
        return torch.ops.aten.convolution_backward(self.dy, self.x, self.weight, *args)[wanted.index(True)]

    def seconds(self, which: Pass, repetitions: int) -> float:
        """Return how long a pass takes."""
        sleep(SETTLE)
        self.compute(which)
        start = perf_counter()
        for _ in range(repetitions):
            self.compute(which)
        return (perf_counter() - start) / repetitions

    def require_agreement(self, outputs: Array, gradients: dict[str, Array]) -> None:
        """Raise unless both sides compute the same; dx is seen in the weight gradient of the step before."""
        given = {
            "y": (outputs, self.compute("forward").flatten(1)),
            "dweight": (gradients["1.weight"], self.compute("dweight")),
            "dx": (gradients["0.weight"], torch.einsum("nchw,nfhw->cf", self.compute("dx"), self.images)),
        }
        for name, (ours, theirs) in given.items():
            expected = theirs.numpy().reshape(ours.shape)
            error = abs(ours - expected).max() / abs(expected).max()
            if not error <= GRADIENT:
                raise RuntimeError(f"{name} differs by {error:.1e} of its largest number")


def measure(kernel: Kernel, threads: int, seconds: float) -> list[str]:
    """Return a line of the table for every pass."""
    ours = Ours(kernel, threads)
    peers = {layout: Theirs(ours, layout) for layout in FORMATS}
    answer = ours.answer()
    for peer in peers.values():
        peer.require_agreement(*answer)
    lines: list[str] = []
    for which in PASSES:
        tried = {layout: min(peer.seconds(which, 3) for _ in range(3)) for layout, peer in peers.items()}
        layout = min(tried, key=tried.__getitem__)
        repetitions = max(1, round(0.05 / tried[layout]))

        def one(which: Pass = which, repetitions: int = repetitions) -> float:
            packing = 0.0 if which == "dweight" else ours.seconds("pack", 1) / 2
            return packing + ours.seconds(which, repetitions)

        peer: Callable[[], float] = lambda: peers[layout].seconds(which, repetitions)  # noqa: B023, E731 - called here
        rounds = alternate(one, peer, seconds, 5)
        found = ratio(rounds)
        mine, theirs = (1e3 * min(getattr(each, side) for each in rounds) for side in ("ours", "peer"))
        lines.append(
            f"| {kernel.channels} of {kernel.pixels}×{kernel.pixels} | {which} | {mine:.2f} | {theirs:.2f}, {layout} "
            f"| {found.median:.2f} | {found.spread:.2f} | {found.best:.2f} |"
        )
    return lines


def main() -> None:
    """Print the table; a line as soon as it is there."""
    parser = ArgumentParser(prog="python -m benchmarks.wide", description="Wide 3×3 convolutions beside PyTorch's.")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=2.0, help="time for the rounds of a pass")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print("| 3×3, channels | pass | Pellucid, ms | PyTorch, ms | ratio | spread | of the smallest |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with torch.inference_mode():
        for kernel in SHAPES:
            for line in measure(kernel, options.threads, options.seconds):
                print(line, flush=True)


if __name__ == "__main__":
    main()
