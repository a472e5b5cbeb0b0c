"""Random numbers that are a function of where they are used, and of nothing else: Philox4x32-10.

A counter of four 32-bit words goes through ten rounds of multiplications keyed by two more, and comes out as four
random words (Salmon, Moraes, Dror, Shaw 2011, Parallel random numbers: as easy as 1, 2, 3). There is no state to hand
on, so any engine, on any number of threads, draws the same numbers for the same entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from pellucid.arrays import Array, Shape

ROUNDS = 10
_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
#: added to the key from round to round: the golden ratio, and √3 − 1
_WEYL = (0x9E3779B9, 0xBB67AE85)
_LOW, _SHIFT = np.uint64(0xFFFFFFFF), np.uint64(32)


def philox(counter: tuple[Array, Array, Array, Array], key: tuple[int, int]) -> tuple[Array, Array, Array, Array]:
    """Return four random words for every counter.

    Args:
        counter: four arrays of uint64 below 2³², of shapes that broadcast.
        key: two numbers below 2³².

    Returns:
        Four arrays of uint64 below 2³².
    """
    a, b, c, d = counter
    for i in range(ROUNDS):
        k, m = ((word + i * weyl) % 2**32 for word, weyl in zip(key, _WEYL, strict=True))
        p, q = _MULTIPLIERS[0] * a, _MULTIPLIERS[1] * c
        a, b, c, d = (q >> _SHIFT) ^ b ^ np.uint64(k), q & _LOW, (p >> _SHIFT) ^ d ^ np.uint64(m), p & _LOW
    return a, b, c, d


@dataclass(frozen=True)
class Stream:
    """The random words of one layer in one training step.

    Word i mod 4 of counter (⌊i/4⌋, t, layer, step) under the key ``seed`` belongs to entry i, in the order C, H, W, of
    sample t. ``native/kernels/dropout.hpp`` draws the same.

    Attributes:
        seed: of the network; its lowest 64 bits count.
        step: number of training batches before this one; its lowest 32 bits count.
        layer: position of the layer's application in the graph.
    """

    seed: int = 0
    step: int = 0
    layer: int = 0

    def words(self, shape: Shape) -> Array:
        """Return a random whole number from 0 to 2³² − 1 for every entry of an array (N, ...), as uint64."""
        entries = prod(shape[1:])
        group = np.arange(-(-entries // 4), dtype=np.uint64)
        sample = np.arange(shape[0], dtype=np.uint64)[:, None]
        layer, step = np.array(self.layer, np.uint64), np.array(self.step % 2**32, np.uint64)
        four = philox((group, sample, layer, step), (self.seed % 2**32, (self.seed >> 32) % 2**32))
        return np.stack(four, axis=-1).reshape(shape[0], 4 * len(group))[:, :entries].reshape(shape)
