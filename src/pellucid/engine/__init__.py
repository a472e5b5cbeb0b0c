"""Engines: what runs a network's layers.

The reference engine calls each layer's own NumPy forward and backward. The native engine runs a network that it has
lowered to native steps, in float32, one call a batch.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from pellucid.errors import ConfigError, EngineError, EngineWarning, TooLargeError

if TYPE_CHECKING:
    from pellucid.arrays import Array
    from pellucid.engine.native import NativeEngine
    from pellucid.graph import Graph
    from pellucid.losses import Loss

ENGINES = ("auto", "reference", "native")


def lower(
    engine: str, graph: Graph, loss: Loss, offsets: dict[str, int], parameters: int, state: Array
) -> NativeEngine | None:
    """Return the native engine for a network, or None if the reference engine is to run it.

    Args:
        engine: ``"auto"`` takes the native engine where it can run the network; ``"native"`` insists on it.
            Where a layer or the loss stands in the way, ``"auto"`` warns once, with an
            :class:`~pellucid.errors.EngineWarning` that names it; float64, and no compiled part, are no reason to.
        graph, loss: of the network.
        offsets: where each parameter begins in the flat array of all of them, and each running statistic in its own.
        parameters: length of the parameters' array.
        state: running statistics, flat, in the network's dtype.

    Raises:
        ConfigError: there is no such engine, or ``PELLUCID_ISA`` names an instruction set that is not there.
        EngineError: ``"native"`` was asked for and cannot run the network here; the message names the layer.
        TooLargeError: ``"native"`` was asked for, and 16 samples at once do not fit into memory.
    """
    from pellucid.engine.native import NativeEngine

    if engine not in ENGINES:
        raise ConfigError(f"no engine called {engine!r}; there are {', '.join(ENGINES)}")
    dtype = state.dtype
    if engine == "reference" or (engine == "auto" and (dtype != np.float32 or instruction_set() is None)):
        return None
    try:
        if dtype != np.float32:
            raise EngineError(f"the native engine computes in float32, not {dtype}; use engine='reference'")
        return NativeEngine(graph, loss, offsets, parameters, state)
    except (EngineError, TooLargeError) as error:  # the reference engine takes as few samples at once as it is given
        if engine == "native":
            raise
        warnings.warn(
            f"the network runs on the slower reference engine: {error}; engine='reference' says that this is meant",
            EngineWarning,
            stacklevel=3,
        )
        return None


def instruction_set() -> str | None:
    """Return what the compiled part found on this processor ("avx512", "avx2", "neon", "baseline").

    None if Pellucid was installed without a C++ compiler: everything then runs on the reference engine.
    """
    try:
        from pellucid._native import instruction_set as found
    except ImportError:
        return None
    return found()


def uses_threads() -> bool:
    """Tell whether the compiled part was built with OpenMP; without it, it runs on one thread."""
    try:
        from pellucid._native import openmp
    except ImportError:
        return False
    return openmp
