"""Clipping: bounds on gradients before an update, and on weights after it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from pellucid.arrays import Array, Tensors


def clip_by_value(grads: Mapping[str, Array], limit: float) -> Tensors:
    """Return copies with every entry cut off at ±limit: g ← max(−c, min(c, g)). NaN stays NaN."""
    return {name: np.clip(grad, -limit, limit) for name, grad in grads.items()}


def clip_by_norm(grads: Mapping[str, Array], limit: float) -> Tensors:
    """Return copies scaled together so that the norm of all gradients, taken as one vector, is at most ``limit``.

    ::

        ‖g‖ = √(Σ_i g_i²) over all arrays        g ← g · min(1, c/(‖g‖ + 10⁻⁶))

    Source: Pascanu, Mikolov & Bengio 2013, algorithm 1; the 10⁻⁶ is PyTorch's ``clip_grad_norm_``.
    """
    norm = math.sqrt(sum(float(np.square(grad, dtype=np.float64).sum()) for grad in grads.values()))
    scale = min(1.0, limit / (norm + 1e-6))
    return {name: grad * scale for name, grad in grads.items()}


def limit_norms(weight: Array, limit: float) -> None:
    """Scale down, in place, the incoming weights of every output unit whose norm exceeds ``limit``.

    ::

        w_f ← w_f · min(1, c/‖w_f‖)        w_f: all weights with the first index f

    Source: Srivastava et al. 2014, Dropout, §5.1 (max-norm).
    """
    norms = np.sqrt(np.square(weight, dtype=np.float64).sum(axis=tuple(range(1, weight.ndim)), keepdims=True))
    weight *= limit / np.maximum(norms, limit)
