"""Serve the explorer for one of the networks that the end-to-end tests click through: ``serve.py NAME PORT``.

The data is scikit-learn's digits, enlarged to what the network takes, so nothing is downloaded; the networks have
learned for a moment, so that their δ are neither uniform nor gone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from pellucid import Network, zoo
from pellucid.data import load_dataset
from pellucid.data.dataset import Dataset
from pellucid.explain.explorer.serve import serve
from pellucid.explain.explorer.subject import Subject

NETWORKS: dict[str, tuple[int, int, Callable[[], Network]]] = {
    "digits": (8, 2, zoo.digits),
    "nguyen": (28, 2, zoo.nguyen),
    "grishin": (32, 1, lambda: zoo.grishin(batch_norm=True, classes=10)),
    "residual": (8, 1, lambda: zoo.resnet_cifar(20, shortcut="projection", input_shape=(1, 8, 8))),
    "resnet50": (64, 0, lambda: zoo.resnet(50, input_shape=(1, 64, 64), classes=10)),
}


def enlarged(data: Dataset, side: int) -> Dataset:
    """Return the digits with 8×8 images grown to side×side, each pixel repeated, and zeros around."""
    times = side // 8
    margin = (side - 8 * times) // 2

    def grow(x: np.ndarray) -> np.ndarray:
        grown = x.repeat(times, axis=2).repeat(times, axis=3)
        return np.pad(grown, ((0, 0), (0, 0), (margin, side - 8 * times - margin), (margin, side - 8 * times - margin)))

    return replace(data, x_train=grow(data.x_train), x_test=grow(data.x_test))


def main(name: str, port: str) -> None:
    """Train the network for a moment and serve it."""
    side, epochs, build = NETWORKS[name]
    network, data = build(), enlarged(load_dataset("digits"), side)
    if epochs:
        network.fit(data.x_train, data.y_train, epochs=epochs, batch_size=32, learning_rate=0.05, verbose=0)
    serve(Subject(name, network, data), int(port), browse=False, tell=lambda address: print(address, flush=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
