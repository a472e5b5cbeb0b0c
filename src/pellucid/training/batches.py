"""Which samples are held out, and in what order the others come: both fixed by the seed."""

from __future__ import annotations

import numpy as np

from pellucid.arrays import Array


def split(target: Array, fraction: float, seed: int) -> tuple[Array, Array]:
    """Return the rows to train on and the rows to validate with, both ascending.

    Samples with equal targets are a class, and every class gives the same share: ⌊g·v/n⌋ or ⌈g·v/n⌉ of its g samples,
    v of n being held out in all. Where no two targets are equal, as in regression, the draw is uniform.

    Args:
        target: (N, K).
        fraction: share to hold out; v is fraction·n, rounded.
        seed: fixes the draw.
    """
    rng = np.random.default_rng(seed)
    samples = len(target)
    held = round(fraction * samples)
    _, kind = np.unique(target, axis=0, return_inverse=True)
    # Classes in random order, else a draw without classes would always hold out the same.
    kind = rng.permutation(samples)[kind.reshape(-1)]
    shuffled = rng.permutation(samples)
    by_class = shuffled[np.argsort(kind[shuffled], kind="stable")]
    validation = by_class[(np.arange(held) * samples + samples // 2) // max(held, 1)]
    return np.setdiff1d(np.arange(samples), validation), np.sort(validation)


def order(samples: int, seed: int, step: int, shuffle: bool) -> Array:
    """Return the order of the samples in one epoch.

    Args:
        samples: how many there are.
        seed: the network's seed.
        step: the batches the network had seen when the epoch began. It never comes twice, so neither does an order,
            also when ``fit`` is called again.
        shuffle: False keeps the samples as they are.
    """
    return np.random.default_rng([seed, step]).permutation(samples) if shuffle else np.arange(samples)


def cut(rows: Array, batch_size: int) -> list[Array]:
    """Return rows in batches; the last may be smaller, but one row left over joins the batch before it."""
    starts = list(range(0, len(rows), batch_size))
    if len(rows) % batch_size == 1 and len(starts) > 1:
        starts.pop()
    return [rows[start:end] for start, end in zip(starts, [*starts[1:], len(rows)], strict=True)]
