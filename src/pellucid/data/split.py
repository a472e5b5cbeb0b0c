"""Which samples are kept for testing: a share of every class, the same ones everywhere and for ever."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from numbers import Real
from pathlib import Path

import numpy as np

from pellucid.arrays import Array
from pellucid.errors import ConfigError, DataError


def held_out(
    where: Path, keys: Sequence[bytes], labels: Array, class_names: Sequence[str], share: float, seed: int
) -> Array:
    """Tell which samples to test with, (N,), bool.

    Of every class the samples whose keys have the smallest SHA-256, taken together with the seed. A sample thus stays
    on its side whatever order the samples come in, and nearly always when others are added.

    Args:
        where: the samples are from, for the error.
        keys: what tells a sample from all others: its place, or its file's.
        labels: (N,), class numbers.
        class_names: for the error.
        share: of the samples of each class, rounded; at least one.
        seed: another one gives another choice.

    Raises:
        ConfigError: ``share`` is not between 0 and 1, or ``seed`` no whole number.
        DataError: a class has so few samples that none are left to train on.
    """
    if not (isinstance(share, Real) and 0 < share < 1):
        raise ConfigError(f"test_share must be more than 0 and less than 1, got {share!r}")
    if not isinstance(seed, (int, np.integer)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f"seed must be a whole number, got {seed!r}")
    drawn = [hashlib.sha256(b"%d/%b" % (seed, key)).digest() for key in keys]
    chosen = np.zeros(len(labels), dtype=bool)
    for label, name in enumerate(class_names):
        members = np.flatnonzero(labels == label)
        count = max(1, round(share * len(members)))
        if not len(members):
            continue
        if count == len(members):
            raise DataError(
                f"{where}: class {name!r} has {len(members)} {'sample' if len(members) == 1 else 'samples'}; with a "
                f"test_share of {share} none would be left to train on"
            )
        chosen[sorted(members, key=lambda i: drawn[i])[:count]] = True
    return chosen


def split_rows(where: Path, x: Array, y: Array, class_names: Sequence[str], share: float, seed: int) -> list[Array]:
    """Return x and y to train with, and x and y to test with; a sample's key is its row. For the rest, see above."""
    test = held_out(where, [b"%d" % row for row in range(len(y))], y, class_names, share, seed)
    return [x[~test], y[~test], x[test], y[test]]
