"""The native engine: a network's program, run by the compiled part."""

from __future__ import annotations

import os
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from pellucid.arrays import Array
from pellucid.engine.program import Program
from pellucid.errors import ConfigError, EngineError
from pellucid.graph import Graph
from pellucid.losses import Loss

#: instruction sets, narrow to wide
INSTRUCTION_SETS = ("baseline", "avx2", "avx512")

#: how often this process, or a parent of it, has forked
_forks = 0


def _after_fork() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):
    # The threads of the parent do not exist in a forked child: OpenMP would wait for them for ever, and so would a
    # runner that another thread had in use.
    os.register_at_fork(after_in_child=_after_fork)


def threads() -> int:
    """Return how many threads to use: ``OMP_NUM_THREADS``, else the processors this process may run on.

    Never more than four for each processor, because the system may refuse to start them, which OpenMP does not survive.

    Raises:
        ConfigError: ``OMP_NUM_THREADS`` is not a whole number of at least 1.
    """
    if _forks:
        return 1
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if asked:
        if not asked.isdecimal() or int(asked) < 1:
            raise ConfigError(f"OMP_NUM_THREADS must be a whole number of at least 1, got {asked!r}")
        return min(int(asked), 4 * processors)
    return processors


def compiled_part() -> Any:
    """Return the compiled module.

    Raises:
        EngineError: Pellucid was installed without a C++ compiler.
    """
    try:
        return import_module("pellucid._native")
    except ImportError as error:
        raise EngineError(
            "there is no native engine: Pellucid was installed without a C++ compiler; install one and reinstall "
            "Pellucid, or use engine='reference'"
        ) from error


class NativeEngine:
    """A network's graph, lowered once, and the memory it runs in.

    Args:
        graph: the layers.
        loss: computed in the same call, with its δ.
        offsets: where each parameter begins in the flat array of all of them.
        parameters: length of that array.

    Raises:
        EngineError: no compiled part, or a layer or loss that it does not have.
        ConfigError: ``PELLUCID_ISA`` names an instruction set that this processor lacks.
    """

    def __init__(self, graph: Graph, loss: Loss, offsets: dict[str, int], parameters: int) -> None:
        native = compiled_part()
        if type(loss).__module__ != "pellucid.losses":
            raise EngineError(f"the native engine does not know the loss {loss!r}")
        self.isa = os.environ.get("PELLUCID_ISA") or native.instruction_set()
        program = Program(graph, offsets)
        self._make = partial(program.runner, native, type(loss).__name__, parameters, self.isa)
        try:
            self._current, self._made_after = self._make(), _forks
        except ValueError as error:
            raise ConfigError(
                f"PELLUCID_ISA={self.isa!r}: {error}; this one has {native.instruction_set()!r} and what is below it "
                f"in {', '.join(INSTRUCTION_SETS)}"
            ) from error
        self._classes = graph.output_shape[0]
        self._input_shape = graph.input_shape

    @property
    def _runner(self) -> Any:
        if self._made_after != _forks:
            self._current, self._made_after = self._make(), _forks
        return self._current

    def outputs(self, images: Array, params: Array, mean: Array | None) -> Array:
        """Return the last layer's outputs (N, K) for checked images, bytes or float32."""
        outputs = np.empty((len(images), self._classes), np.float32)
        self._runner.run(
            _native_images(images), np.arange(len(images)), params, outputs, threads(), mean=self._per_pixel(mean)
        )
        return outputs

    def gradients(
        self, images: Array, target: Array, weight: Array, params: Array, mean: Array | None, seed: int, step: int
    ) -> tuple[float, Array, Array]:
        """Return Σ weight·ℓ, its gradient for the flat parameters, and the outputs (N, K).

        Args:
            images: (N, ...), checked, bytes or floats.
            target: (N, K).
            weight: (N,), already divided by their sum if the loss is a mean.
            params: flat.
            mean: taken off each image; None for none.
            seed, step: of the network, for what layers draw.
        """
        outputs, gradient = np.empty((len(images), self._classes), np.float32), np.empty_like(params)
        value = self._runner.run(
            _native_images(images),
            np.arange(len(images)),
            params,
            outputs,
            threads(),
            mean=self._per_pixel(mean),
            target=np.ascontiguousarray(target, np.float32),
            weight=np.ascontiguousarray(weight, np.float32),
            gradients=gradient,
            seed=seed % 2**64,
            step=step,
            training=True,
        )
        return value, gradient, outputs

    def _per_pixel(self, mean: Array | None) -> Array | None:
        return None if mean is None else np.ascontiguousarray(np.broadcast_to(mean, self._input_shape))


def _native_images(images: Array) -> Array:
    return np.ascontiguousarray(images, None if images.dtype == np.uint8 else np.float32)
