"""Do both sides train the same deep network? Looser than :mod:`benchmarks.agreement`, and about all gradients at once.

Behind tens of layers a rounding error sends some sums to the other side of 0, or another pixel through a pool. Each
changes single entries of a gradient by much, and all gradients together by little.
"""

from __future__ import annotations

from math import sqrt
from pathlib import Path

import numpy as np

from benchmarks.agreement import TINY, Difference
from benchmarks.deep_sides import DeepAnswer

#: largest relative difference of losses
LOSS = 1e-4

#: largest norm of the difference of all gradients, in parts of their norm. PyTorch's own two layouts are 0.046 apart in
#: ResNet-50
GRADIENTS = 0.1

#: the same where PyTorch computes in bfloat16, which keeps 8 bits of a number: ResNet-20 shows 0.0002 and 0.05
BFLOAT16_LOSS, BFLOAT16_GRADIENTS = 0.01, 0.2

#: numbers compared at a time. Few: the starting process has to stay small, see :mod:`benchmarks.worker`
PIECE = 1 << 20


def differences(ours: DeepAnswer, theirs: DeepAnswer, *, bfloat16: bool) -> list[Difference]:
    """Return the comparisons of losses and of gradients, loose ones for bfloat16.

    Raises:
        ValueError: the files do not hold as many numbers.
    """
    loss = abs(ours.loss - theirs.loss) / max(abs(theirs.loss), TINY)
    apart = distance(ours.gradients, theirs.gradients)
    for_loss, for_gradients = (BFLOAT16_LOSS, BFLOAT16_GRADIENTS) if bfloat16 else (LOSS, GRADIENTS)
    return [Difference("the loss", loss, for_loss), Difference("the gradient of all parameters", apart, for_gradients)]


def distance(ours: Path, theirs: Path) -> float:
    """Return ‖ours − theirs‖/‖theirs‖ of the numbers in two files."""
    if ours.stat().st_size != theirs.stat().st_size:
        raise ValueError(f"{ours.stat().st_size} and {theirs.stat().st_size} bytes of gradients cannot be compared")
    apart = norm = 0.0
    with ours.open("rb") as mine, theirs.open("rb") as other:
        while (y := np.fromfile(other, np.float32, PIECE).astype(np.float64)).size:
            x = np.fromfile(mine, np.float32, PIECE)
            apart += float(np.sum((x - y) ** 2))
            norm += float(np.sum(y**2))
    return sqrt(apart) / max(sqrt(norm), TINY)
