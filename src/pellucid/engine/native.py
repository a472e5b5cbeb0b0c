"""The native engine: a network's program, run by the compiled part."""

from __future__ import annotations

import os
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from pellucid.arrays import Array
from pellucid.engine.memory import PlannedMemory
from pellucid.engine.program import LANE_BYTES, LANES, Program
from pellucid.engine.room import largest_output, require_room
from pellucid.engine.threads import forks, threads
from pellucid.errors import ConfigError, DataError, EngineError, TooLargeError
from pellucid.graph import Graph
from pellucid.losses import Loss

#: instruction sets, narrow to wide
INSTRUCTION_SETS = ("baseline", "avx2", "avx512")


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
        offsets: where each parameter begins in the flat array of all of them, and each running statistic in its own.
        parameters: length of the parameters' array.
        state: running statistics, flat; training changes them in place.

    Raises:
        EngineError: no compiled part, or a layer or loss that it does not have.
        ConfigError: ``PELLUCID_ISA`` names an instruction set that this processor lacks.
        TooLargeError: a block of 16 samples does not fit into memory.
    """

    def __init__(self, graph: Graph, loss: Loss, offsets: dict[str, int], parameters: int, state: Array) -> None:
        native = compiled_part()
        if type(loss).__module__ != "pellucid.losses":
            raise EngineError(f"the native engine does not know the loss {loss!r}")
        self.isa = os.environ.get("PELLUCID_ISA") or native.instruction_set()
        program = Program(graph, offsets)
        require_room(
            program.bytes_of(LANES, 1, 0, training=True),
            "16 samples at once, as the native engine takes them,",
            f"{largest_output(graph)}: make it smaller, or use engine='reference', with a batch_size below 16",
        )
        self.program, self._parameters = program, parameters
        self._state = state if state.size else None
        self._make = partial(program.runner, native, type(loss).__name__, parameters, state.size, self.isa)
        try:
            self._current, self._made_after = self._make(), forks()
        except ValueError as error:
            raise ConfigError(
                f"PELLUCID_ISA={self.isa!r}: {error}; this one has {native.instruction_set()!r} and what is below it "
                f"in {', '.join(INSTRUCTION_SETS)}"
            ) from error
        self._weighted_mean = loss.reduction == "mean"
        #: threads to run on; see :func:`~pellucid.engine.threads.threads`
        self.n_jobs: int | None = None
        #: samples of a training batch, or to be predicted at once, that memory is known to hold
        self._room_for = self._room_to_predict = 0
        #: row numbers of the last prediction
        self._rows = np.arange(0)
        self._classes = graph.output_shape[0]
        self._input_shape = graph.input_shape

    @property
    def _runner(self) -> Any:
        if self._made_after != forks():
            self._current, self._made_after = self._make(), forks()
        return self._current

    def outputs(self, images: Array, params: Array, mean: Array | None, *, activated: bool = False) -> Array:
        """Return the last layer's outputs (N, K) for checked images, bytes or float32.

        ``activated`` ones have gone through the loss's activation.

        Raises:
            TooLargeError: there is no memory for so many samples at once.
        """
        count, workers = len(images), threads(self.n_jobs)
        if count > self._room_to_predict:
            self._require_room(count, workers, gradients=False)
            self._room_to_predict = count
        rows = self._rows
        if len(rows) != count:
            rows = self._rows = np.arange(count)
        outputs = np.empty((count, self._classes), np.float32)
        self._run(_native_images(images), rows, params, outputs, workers, self._per_pixel(mean), activated=activated)
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

        Raises:
            TooLargeError: there is no memory for so many samples at once.
        """
        workers = threads(self.n_jobs)
        self._require_statistics(len(images))
        self._require_room(len(images), workers, gradients=True)
        outputs, gradient = np.empty((len(images), self._classes), np.float32), np.empty_like(params)
        value = self._run(
            _native_images(images),
            np.arange(len(images)),
            params,
            outputs,
            workers,
            mean=self._per_pixel(mean),
            target=_native(target, np.float32),
            weight=_native(weight, np.float32),
            gradients=gradient,
            seed=seed % 2**64,
            step=step,
            training=True,
        )
        return value, gradient, outputs

    def training(
        self, images: Array, mean: Array | None, target: Array, weight: Array, seed: int, **arrays: Any
    ) -> Any:
        """Return the compiled part's own ``Training`` on a whole data set, for :meth:`step`.

        Args:
            images, target, mean: as for :meth:`gradients`; read where they lie if type and order allow. An array of
                no images says that every step brings its own.
            weight: w, (N,), not divided by anything.
            seed: of the network, for what layers draw.
            arrays: what else it takes: the settings of an augmentation, too.
        """
        return compiled_part().Training(
            images=_native_images(images),
            mean=self._per_pixel(mean),
            target=_native(target, np.float32),
            weight=_native(weight, np.float64),
            weighted_mean=self._weighted_mean,
            seed=seed % 2**64,
            state=self._state,
            **arrays,
        )

    def step(
        self,
        training: Any,
        rows: Array,
        place: int,
        rate: float,
        step: int,
        network_step: int,
        images: Array | None = None,
    ) -> tuple[float, bool, bool, bool]:
        """Do one step of a :meth:`training`, the t-th; see :meth:`NativeTraining.step`.

        Raises:
            TooLargeError: there is no memory for so many samples at once.
        """
        workers = threads(self.n_jobs)
        self._require_statistics(len(rows))
        if len(rows) > self._room_for:
            self._require_room(len(rows), workers, gradients=True)
            self._room_for = len(rows)
        try:
            return training.step(self._runner, rows, place, rate, step, workers, network_step, images)
        except MemoryError as error:
            raise _no_memory_left(len(rows)) from error

    def planned_memory(self) -> PlannedMemory:
        """Return what :meth:`~pellucid.network.Network.summary` tells of the plan."""
        program = self.program
        return PlannedMemory(
            program.training.size * LANE_BYTES, program.prediction.size * LANE_BYTES, program.statistics > 0
        )

    def _require_statistics(self, samples: int) -> None:
        if samples * self.program.values_of_a_statistic == 1:
            raise DataError(
                "a batch of one sample gives batch norm a single value for a statistic, which has no variance; train "
                "with batches of two samples or more (a last batch of one sample counts too)"
            )

    def _require_room(self, samples: int, workers: int, *, gradients: bool) -> None:
        """Count what the compiled part will ask for."""
        need = self.program.bytes_of(samples, workers, self._parameters, training=gradients)
        require_room(need + 4 * samples * self._classes, f"a batch of {samples:,} samples", "use a smaller batch_size")

    def _run(self, images: Array, *arrays: Any, **options: Any) -> float:
        try:
            return self._runner.run(images, *arrays, state=self._state, **options)
        except MemoryError as error:
            raise _no_memory_left(len(images)) from error

    def _per_pixel(self, mean: Array | None) -> Array | None:
        return None if mean is None else np.ascontiguousarray(np.broadcast_to(mean, self._input_shape))


def _no_memory_left(samples: int) -> TooLargeError:
    return TooLargeError(f"there is no memory left for a batch of {samples:,} samples; use a smaller batch_size")


def _native_images(images: Array) -> Array:
    return _native(images, np.uint8 if images.dtype == np.uint8 else np.float32)


def _native(array: Array, dtype: type[np.generic]) -> Array:
    """Return the array as the compiled part takes it: one row behind the other, every number on its own boundary."""
    if array.dtype == dtype and array.flags.c_contiguous and array.flags.aligned:
        return array
    return np.require(array, dtype, ("C", "A"))
