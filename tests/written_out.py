"""A small network, and the same network written out stage by stage from nothing but NumPy and SciPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.signal import correlate2d

from pellucid import Network
from pellucid.layers import Conv2d, Flatten, Linear, MaxPool2d, ReLU

Arrays = dict[str, np.ndarray]
LABELS = [2, 0, 1]


def small(**settings: Any) -> Network:
    """Two 3×3 filters over 6×6 pixels, ReLU, 2×2 maximum, three classes; float64 with biases that are not 0."""
    layers = [Conv2d(2, 3, name="conv"), ReLU(), MaxPool2d(2), Flatten(), Linear(3, name="out")]
    network = Network(layers, (1, 6, 6), **{"dtype": "float64", "seed": 2, **settings})
    network.parameters["conv.bias"] = [1.3, 0.9]
    network.parameters["out.bias"] = [0.1, 0.2, -0.4]
    return network


def pixels(count: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 1, 6, 6))


def convolve(p: Arrays, x: np.ndarray) -> np.ndarray:
    maps = [[correlate2d(s[0], w[0], "valid") for w in p["conv.weight"]] for s in x]
    return np.array(maps) + p["conv.bias"][:, None, None]


def rectify(p: Arrays, x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, 0)


def pool(p: Arrays, x: np.ndarray) -> np.ndarray:
    corners = [x[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)]
    return np.max(corners, axis=0)


def flatten(p: Arrays, x: np.ndarray) -> np.ndarray:
    return np.array([s.ravel() for s in x])


def connect(p: Arrays, x: np.ndarray) -> np.ndarray:
    return np.array([p["out.weight"].dot(s) + p["out.bias"] for s in x])


STAGES: list[Callable[[Arrays, np.ndarray], np.ndarray]] = [convolve, rectify, pool, flatten, connect]


def run(network: Network, x: np.ndarray, start: int = 0) -> list[np.ndarray]:
    """Return the outputs of the stages from ``start`` on."""
    outputs = []
    for stage in STAGES[start:]:
        x = stage(dict(network.parameters), x)
        outputs.append(x)
    return outputs


def softmax(a: np.ndarray) -> np.ndarray:
    return np.array([[np.exp(v) / sum(np.exp(row)) for v in row] for row in a])


def mean_cross_entropy(a: np.ndarray, labels: list[int]) -> float:
    return -float(np.mean([np.log(p[k]) for p, k in zip(softmax(a), labels, strict=True)]))


def slopes(value: Callable[[], float], at: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """Return the central differences of ``value()`` with respect to every entry of ``at``, which it reads."""
    result = np.empty_like(at)
    for place in np.ndindex(at.shape):
        kept = at[place]
        at[place] = kept + step
        up = value()
        at[place] = kept - step
        result[place] = (up - value()) / (2 * step)
        at[place] = kept
    return result
