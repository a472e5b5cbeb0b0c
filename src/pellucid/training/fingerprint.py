"""What a training is known by: its settings, and checksums of its data."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from pellucid.arrays import Array
from pellucid.description import to_json
from pellucid.network import Network
from pellucid.optimizers import Optimizer
from pellucid.training.samples import Samples

#: inputs looked at: data sets may be too large to be read as a whole
_FEW = 64


def fingerprint(
    network: Network,
    data: Samples,
    rows: Array,
    validation: Samples | None,
    optimizer: Optimizer,
    batch_size: int,
    shuffle: bool,
) -> dict[str, Any]:
    """Return, as plain JSON types, all that decides what a training comes to, save for the number of epochs.

    All targets and weights go into the checksums, and a few inputs. How long a training is to be may change: one that
    was to have ten epochs can go on to twenty.
    """
    described = network.describe()
    held = () if validation is None else (_few(validation), validation.target, validation.weight)
    known = {
        "layers": described["network"],
        **{name: described[name] for name in ("loss", "regularization", "seed", "dtype")},
        "input_mean": None if network.input_mean is None else _digest(network.input_mean),
        "optimizer": to_json(optimizer),
        "batch_size": batch_size,
        "shuffle": bool(shuffle),
        "augment": to_json(data.augment),
        "samples": len(data),
        "x": _digest(_few(data)),
        "y": _digest(data.target),
        "sample_weight": _digest(data.weight),
        "validation": _digest(rows, *held),
    }
    return json.loads(json.dumps(known))


def differences(saved: dict[str, Any], given: dict[str, Any]) -> list[str]:
    """Name the settings that are not the same, with both values where those are numbers or short."""
    told: list[str] = []
    for name in sorted(saved.keys() | given.keys()):
        before, now = saved.get(name), given.get(name)
        if before != now:
            shown = [json.dumps(value) for value in (before, now)]
            short = not any(isinstance(value, str) for value in (before, now)) and max(map(len, shown)) <= 80
            told.append(f"{name} was {shown[0]} and is {shown[1]}" if short else f"{name} is another")
    return told


def _few(data: Samples) -> Array:
    rows = np.unique(np.linspace(0, len(data) - 1, _FEW).astype(np.int64))
    return data.images[rows]


def _digest(*arrays: Array) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
