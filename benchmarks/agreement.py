"""Do both sides compute the same? No ratio is given where they do not."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from benchmarks.sides import Answer

#: largest relative difference of losses
LOSS = 1e-5

#: largest difference between entries of a gradient, in parts of its largest entry
GRADIENT = 1e-4

#: the same where the gradient is nothing but rounding errors, in parts of the network's largest entry. Large, because
#: black pixels have no variance and batch normalization multiplies their errors by up to 1/√ε = 316 a layer.
IDLE = 1e-2

#: largest difference of probabilities
PREDICTION = 1e-5

#: keeps a gradient of zeros from being divided by
TINY = 1e-30


@dataclass(frozen=True)
class Difference:
    """How far the sides are apart in one thing, and how far they may be."""

    what: str
    error: float
    tolerance: float

    @property
    def allowed(self) -> bool:
        """Whether they agree; NaN never does."""
        return self.error <= self.tolerance

    def __str__(self) -> str:
        sign = "≤" if self.allowed else "not ≤"
        return f"{self.what} differs by {self.error:.1e}, {sign} {self.tolerance:.0e}"


def differences(ours: Answer, theirs: Answer, idle: Collection[str]) -> list[Difference]:
    """Return every comparison that both answers allow.

    Args:
        ours, theirs: what the sides computed.
        idle: parameters whose gradient is 0 but for rounding.

    Raises:
        ValueError: the answers are not of the same form.
    """
    if ours.gradients.keys() != theirs.gradients.keys():
        raise ValueError(f"the sides differ in {sorted(ours.gradients.keys() ^ theirs.gradients.keys())}")
    found: list[Difference] = []
    if ours.loss is not None and theirs.loss is not None:
        found.append(Difference("the loss", abs(ours.loss - theirs.loss) / max(abs(theirs.loss), TINY), LOSS))
    if ours.prediction is not None and theirs.prediction is not None:
        error = float(abs(ours.prediction - theirs.prediction).max())
        found.append(Difference("the prediction", error, PREDICTION))
    sizes = {name: float(abs(gradient).max()) for name, gradient in theirs.gradients.items()}
    for name, gradient in ours.gradients.items():
        scale, tolerance = (max(sizes.values()), IDLE) if name in idle else (sizes[name], GRADIENT)
        error = float(abs(gradient - theirs.gradients[name]).max()) / max(scale, TINY)
        found.append(Difference(f"the gradient of {name}", error, tolerance))
    return found


def worst(found: list[Difference]) -> Difference:
    """Return the difference that is largest for what it may be, NaN counting as largest."""
    return max(found, key=lambda one: np.inf if np.isnan(one.error) else one.error / one.tolerance)
