"""How a correlation passes gradients back: both gradients are correlations themselves (Binding, appendix B)."""

from __future__ import annotations

from typing import Any, NamedTuple

from pellucid.arrays import Array
from pellucid.correlation.direct import correlate_direct
from pellucid.correlation.methods import turned
from pellucid.correlation.modes import Mode, check_operands, crop, pad, real_array
from pellucid.errors import ShapeError


class Gradients(NamedTuple):
    """∂E/∂x, ∂E/∂w and ∂E/∂b, in the shapes of x, w and b."""

    dx: Array
    dw: Array
    db: float


def correlate_gradients(x: Any, w: Any, dy: Any, mode: Mode = "valid") -> Gradients:
    """Return the gradients of an error E through y = correlate(x, w, mode) + b.

    Legend: dy = ∂E/∂y = δ, dx = ∂E/∂x = δ̄ (Binding); x₀ is x with the zeros of its mode around it, δ₀ is δ with R − 1
    zeros around it (a *full* correlation), w₁₈₀ the kernel turned by 180°.

    For y[i, j] = b + Σ_m Σ_n w[m, n]·x₀[i + m, j + n]::

        db       = Σ_i Σ_j  δ[i, j]                                                       (B.2), (B.13)
        dw[m, n] = Σ_i Σ_j  δ[i, j] · x₀[i + m, j + n]      dw  = x₀ ⊗ δ, valid           (B.6), (B.17), (B.18)
        dx₀[u, v] = Σ_i Σ_j δ[i, j] · w[u − i, v − j]       dx₀ = δ₀ ⊗ w₁₈₀               (B.8), (B.23), (B.27)

    (w is 0 outside itself), and dx is dx₀ without the places where the zeros were: nobody waits for their gradient.
    Binding treats *valid*, where x₀ = x. For *full* the crop undoes what makes δ₀ ⊗ w₁₈₀ full, so that dx is the
    *valid* correlation of δ with w₁₈₀.

    Args:
        x: (W,) or (H, W).
        w: (R,) or (R, Q).
        dy: ∂E/∂y, of the shape of ``correlate(x, w, mode)``.
        mode: that of the forward pass.

    Raises:
        ShapeError: dy has another shape than the output; else as :func:`~pellucid.correlation.correlate`.
        ConfigError, DataError: as :func:`~pellucid.correlation.correlate`.

    Source: Binding appendix B.

    Example:
        >>> correlate_gradients([1, 2, 3, 4], [1, 10], [1, 0, 2])
        Gradients(dx=array([ 1., 10.,  2., 20.]), dw=array([ 7., 10.]), db=3.0)
    """
    x, w = check_operands(x, w)
    padded = pad(x, w.shape, mode)
    outputs = tuple(length - kernel + 1 for length, kernel in zip(padded.shape, w.shape, strict=True))
    delta = real_array("dy", dy).astype(x.dtype)
    if delta.shape != outputs:
        raise ShapeError(
            f"dy has shape {delta.shape}, but x {x.shape} and w {w.shape} give an output of shape {outputs} in mode "
            f"{mode!r}; dy is the gradient of that output, element by element"
        )
    dpadded = correlate_direct(pad(delta, w.shape, "full"), turned(w))
    return Gradients(
        dx=crop(dpadded, w.shape, mode),
        dw=correlate_direct(padded, delta),
        db=float(delta.sum()),
    )
