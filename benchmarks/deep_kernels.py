"""Layers of AlexNet, VGG and ResNet by themselves, held against PyTorch: ``python -m benchmarks.deep_kernels``.

Each pass runs on one block of 16 samples a thread, on both sides, in turn; PyTorch in the memory format in which it is
faster. A ratio above 1 means that Pellucid is faster. Loss and gradients of both are compared before anything is timed.
"""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - its usual name

from benchmarks.agreement import differences, worst
from benchmarks.kernels import BLOCK, PASSES, Pass
from benchmarks.rounds import alternate, ratio
from benchmarks.sides import Answer
from pellucid import Network
from pellucid.engine import instruction_set
from pellucid.engine.native import compiled_part
from pellucid.layers import Conv2d, Flatten, Layer, Linear

#: seconds of one measurement
SLICE = 0.1

FORMATS = (torch.contiguous_format, torch.channels_last)


@dataclass(frozen=True)
class Deep:
    """A convolution of square maps, or a linear layer where there are no pixels.

    Attributes:
        channels, filters: maps, or features, in and out.
        pixels: along an edge of a map; 0 for a linear layer.
        size, stride, padding: of the kernel.
    """

    channels: int
    filters: int
    pixels: int = 0
    size: int = 1
    stride: int = 1
    padding: int = 0

    @property
    def name(self) -> str:
        """What the table calls it, and ``--only``."""
        if not self.pixels:
            return f"linear-{self.channels}-{self.filters}"
        step = f"s{self.stride}" if self.stride > 1 else ""
        return f"{self.size}x{self.size}{step}-{self.channels}-{self.filters}-{self.pixels}"

    @property
    def multiply_adds(self) -> int:
        """Of a pass over a block; a tap counts where it meets a pixel."""
        if not self.pixels:
            return BLOCK * self.channels * self.filters
        outputs = (self.pixels + 2 * self.padding - self.size) // self.stride + 1
        inputs = [self.stride * i + j - self.padding for i in range(outputs) for j in range(self.size)]
        return BLOCK * self.channels * self.filters * sum(0 <= i < self.pixels for i in inputs) ** 2

    def layers(self) -> list[Layer]:
        """Return it behind a layer that gives it a dx."""
        if not self.pixels:
            return [Linear(self.channels), Linear(self.filters)]
        return [Conv2d(self.channels, 1), Conv2d(self.filters, self.size, self.stride, self.padding), Flatten()]


ROWS = (
    Deep(64, 256, 56),
    Deep(256, 64, 56),
    Deep(512, 128, 28),
    Deep(1024, 256, 14),
    Deep(2048, 512, 7),
    Deep(512, 2048, 7),
    Deep(256, 512, 56, stride=2),
    Deep(3, 64, 224, 7, 2, 3),
    Deep(3, 64, 224, 11, 4, 2),
    Deep(64, 128, 56, 3, 2, 1),
    Deep(128, 256, 28, 3, 2, 1),
    Deep(256, 512, 14, 3, 2, 1),
    Deep(64, 192, 27, 5, 1, 2),
    Deep(512, 512, 14, 3, 1, 1),
    Deep(25088, 4096),
    Deep(9216, 4096),
    Deep(4096, 4096),
    Deep(4096, 1000),
)


class Ours:
    """Pellucid's side."""

    def __init__(self, deep: Deep, threads: int) -> None:
        shape = (1, deep.pixels, deep.pixels) if deep.pixels else (1,)
        self.threads = threads
        self.network = Network(deep.layers(), shape, loss="squared_error", engine="native", n_jobs=threads)
        rng, count = np.random.default_rng(0), BLOCK * threads
        self.images = rng.random((count, *shape), np.float32)  # positive: sums that cancel would hide differences
        self.targets = np.zeros((count, *self.network.output_shape), np.float32)

    def answer(self) -> Answer:
        loss, gradients = self.network.loss_and_gradients(self.images, self.targets)
        return Answer(loss, dict(gradients))

    def seconds(self, which: Pass, times: int) -> float:
        native = self.network._native
        assert native is not None
        return native._runner.time_step(1, which, self.network.flat_parameters, times, self.threads) / times


class Theirs:
    """PyTorch's side, in one memory format."""

    def __init__(self, deep: Deep, ours: Ours, form: torch.memory_format) -> None:
        self.deep = deep
        form = form if deep.pixels else torch.contiguous_format
        self.values = {name: torch.from_numpy(value.copy()) for name, value in ours.network.parameters.items()}
        self.names = list(self.values)
        self.images = torch.from_numpy(ours.images)
        self.scale = 0.5 / len(ours.images)
        first, bias, self.weight, self.bias = self.values.values()
        with torch.no_grad():
            x = F.conv2d(self.images, first, bias) if deep.pixels else F.linear(self.images, first, bias)
            self.x = x.contiguous(memory_format=form)
            self.weight = self.weight.contiguous(memory_format=form)
            self.dy = self._forward(self.x) * (2 * self.scale)

    def answer(self) -> Answer:
        leaves = [value.clone().requires_grad_() for value in self.values.values()]
        apply: Callable[..., Tensor] = F.conv2d if self.deep.pixels else F.linear
        x = apply(self.images, *leaves[:2])
        settings = (self.deep.stride, self.deep.padding) if self.deep.pixels else ()
        loss = self.scale * (apply(x, *leaves[2:], *settings) ** 2).sum()
        loss.backward()
        gradients = {
            name: leaf.grad.numpy() for name, leaf in zip(self.names, leaves, strict=True) if leaf.grad is not None
        }
        return Answer(loss.item(), gradients)

    @torch.no_grad()
    def seconds(self, which: Pass, times: int) -> float:
        started = perf_counter()
        for _ in range(times):
            self._once(which)
        return (perf_counter() - started) / times

    def _forward(self, x: Tensor) -> Tensor:
        if not self.deep.pixels:
            return F.linear(x, self.weight, self.bias)
        return F.conv2d(x, self.weight, self.bias, self.deep.stride, self.deep.padding)

    def _once(self, which: Pass) -> None:
        if which == "forward":
            self._forward(self.x)
        elif not self.deep.pixels:
            _ = self.dy @ self.weight if which == "dx" else self.dy.T @ self.x
        else:
            pair = [self.deep.stride] * 2, [self.deep.padding] * 2, [1, 1]
            mask = [which == "dx", which == "dweight", False]
            torch.ops.aten.convolution_backward(self.dy, self.x, self.weight, None, *pair, False, [0, 0], 1, mask)


def measure(deep: Deep, threads: int, seconds: float) -> list[str]:
    """Return a line for every pass; raise where both sides do not agree."""
    ours = Ours(deep, threads)
    mine = ours.answer()
    sides = [Theirs(deep, ours, form) for form in FORMATS]
    found = worst(differences(mine, sides[0].answer(), idle=()))
    if not found.allowed:
        raise SystemExit(f"{deep.name}: no figures. {found}")
    lines: list[str] = []
    for which in PASSES:
        best = min(sides, key=lambda side: min(side.seconds(which, 1) for _ in range(3)))
        times = max(1, round(SLICE / ours.seconds(which, 1)))
        peer_times = max(1, round(SLICE / best.seconds(which, 1)))
        rounds = alternate(
            lambda: ours.seconds(which, times),  # noqa: B023
            lambda: best.seconds(which, peer_times),  # noqa: B023
            seconds,
            5,
        )
        peak = compiled_part().multiply_add_peak(os.environ.get("PELLUCID_ISA") or instruction_set(), 0.05, threads)
        work = deep.multiply_adds * threads
        shortest = min(one.ours for one in rounds)
        told = ratio(rounds)
        lines.append(
            f"{deep.name:22} {which:8} {shortest * 1e3:8.2f} ms {work / shortest / peak:5.0%} "
            f"{told.median:6.2f} {told.lower:6.2f} – {told.upper:.2f}"
        )
    return lines


def main() -> int:
    """Print a line for every pass of every layer that was asked for."""
    parser = ArgumentParser(prog="python -m benchmarks.deep_kernels", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="how names begin")
    parser.add_argument("--threads", type=int, default=2, help="each has a block of 16 samples")
    parser.add_argument("--seconds", type=float, default=2.0, help="for a pass")
    options = parser.parse_args()
    os.environ["PELLUCID_WINOGRAD"] = "0"  # read when a network is made
    torch.set_num_threads(options.threads)
    print("layer, pass, shortest time, share of the peak, PyTorch's time in ours: median, half of the rounds")
    for deep in ROWS:
        if not options.only or any(deep.name.startswith(name) for name in options.only):
            for line in measure(deep, options.threads, options.seconds):
                print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
