"""A convolution in a network of its own: held against the reference engine there, and measured by itself."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from benchmarks.kernels import BLOCK, KernelJob, Pass
from benchmarks.rounds import Round, alternate
from benchmarks.sides import Answer
from pellucid import Network
from pellucid.engine import instruction_set
from pellucid.engine.native import compiled_part
from pellucid.layers import Conv2d, Flatten

#: seconds of one measurement of the kernel, and of one of the peak: short beside the changes of the clock
SLICE = 0.02

#: where the kernel stands among the network's steps
STEP = 1


class KernelSide:
    """The network, and a block of samples for every thread."""

    def __init__(self, job: KernelJob) -> None:
        kernel = self.kernel = job.kernel
        os.environ["PELLUCID_WINOGRAD"] = "0" if kernel.way == "direct" else "1"  # read when the network is made
        # The step before the kernel gives it a dx, and learns from nothing else.
        layers = [Conv2d(kernel.channels, 1), Conv2d(kernel.channels, kernel.size, padding="same"), Flatten()]
        self.network = Network(layers, kernel.image_shape, loss="squared_error", engine=job.engine)
        rng, count = np.random.default_rng(0), BLOCK * job.threads
        self.images = rng.normal(size=(count, *kernel.image_shape)).astype(np.float32)
        self.targets = rng.normal(size=(count, *self.network.output_shape)).astype(np.float32)

    @property
    def told(self) -> str:
        return self.network.engine

    def answer(self) -> Answer:
        """Return loss and gradients of a batch of one block a thread."""
        loss, gradients = self.network.loss_and_gradients(self.images, self.targets)
        return Answer(loss, dict(gradients))

    def rounds(self, which: Pass, threads: int, seconds: float, least: int) -> list[Round]:
        """Measure one pass and the processor's peak in turn: the seconds of a multiply-add on all threads together."""
        self.answer()  # leaves the numbers in memory that the pass meets in training
        native, runner = compiled_part(), self._runner
        isa = os.environ.get("PELLUCID_ISA") or instruction_set()

        def kernel(repetitions: int) -> float:
            taken = runner.time_step(STEP, which, self.network.flat_parameters, repetitions, threads)
            return taken / (repetitions * threads * self.kernel.multiply_adds)

        def peak() -> float:
            return 1 / native.multiply_add_peak(isa, SLICE, threads)

        kernel(1)  # wakes threads and fills caches
        repetitions = max(1, round(SLICE / (kernel(1) * threads * self.kernel.multiply_adds)))
        return alternate(lambda: kernel(repetitions), peak, seconds, least)

    @property
    def _runner(self) -> Any:
        native = self.network._native
        assert native is not None
        return native._runner


def build(job: KernelJob) -> KernelSide:
    """Return the side for a kernel."""
    return KernelSide(job)
