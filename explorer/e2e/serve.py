"""Serve the explorer for one of the networks that the end-to-end tests click through: ``serve.py NAME [PORT]``.

The first line printed is what ``Network.trace`` says of the loss and some cells, as JSON; the second is the address.
The data is scikit-learn's digits, enlarged to what the network takes, so nothing is downloaded; the networks have
learned for a moment, so that their δ are neither uniform nor gone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from pellucid import Network, zoo
from pellucid.data import load_dataset
from pellucid.data.dataset import Dataset
from pellucid.explain.explorer.serve import serve
from pellucid.explain.explorer.session import Session
from pellucid.explain.explorer.subject import Subject

#: side of the images, epochs, network
NETWORKS: dict[str, tuple[int, int, Callable[[], Network]]] = {
    "digits": (8, 1, zoo.digits),
    "fresh": (8, 0, zoo.digits),
    "nguyen": (28, 1, zoo.nguyen),
    "grishin": (32, 1, lambda: zoo.grishin(batch_norm=True, classes=10)),
    "residual": (8, 1, lambda: zoo.resnet_cifar(20, shortcut="projection", input_shape=(1, 8, 8))),
    "googlenet": (32, 0, lambda: zoo.googlenet(input_shape=(1, 32, 32), classes=10)),
    "resnet50": (64, 0, lambda: zoo.resnet(50, input_shape=(1, 64, 64), classes=10)),
}
#: cells of every layer whose numbers are printed, forward and backward
CELLS = 2


def enlarged(data: Dataset, side: int) -> Dataset:
    """Return the digits with 8×8 images grown to side×side: every pixel repeated, zeros around."""
    times = side // 8
    before = (side - 8 * times) // 2
    border = (before, side - 8 * times - before)

    def grow(x: np.ndarray) -> np.ndarray:
        return np.pad(x.repeat(times, axis=2).repeat(times, axis=3), ((0, 0), (0, 0), border, border))

    return replace(data, x_train=grow(data.x_train), x_test=grow(data.x_test))


def expected(subject: Subject) -> dict[str, Any]:
    """Return the loss and some cells of every layer, for the sample and the batch that a session begins with."""
    mode, data = Session(subject).state()["mode"], subject.require_data()
    extra = mode["batch"] - 1
    x = np.concatenate([data.x_test[:1], data.x_train[:extra]])
    y = np.concatenate([data.y_test[:1], data.y_train[:extra]])
    trace = subject.network.trace(x, y, training=mode["training"])
    rng = np.random.default_rng(0)
    cells: list[dict[str, Any]] = []
    for step in trace:
        for what, array in (("value", step.output[0]), ("delta", step.delta[0])):
            strongest = int(abs(array).argmax())
            for place in (strongest, *rng.integers(array.size, size=CELLS - 1)):
                index = [int(i) for i in np.unravel_index(int(place), array.shape)]
                cells.append({"what": what, "node": step.name, "index": index, "value": float(array[tuple(index)])})
    return {"input": subject.network.input_shape, "loss": float(trace.loss), "cells": cells}


def main(name: str, port: str = "0") -> None:
    """Train the network for a moment and serve it."""
    side, epochs, build = NETWORKS[name]
    network, data = build(), enlarged(load_dataset("digits"), side)
    if epochs:
        network.fit(data.x_train, data.y_train, epochs=epochs, batch_size=32, learning_rate=0.05, verbose=0)
    subject = Subject(name, network, data)
    print(json.dumps(expected(subject) if epochs else {"input": None, "loss": None, "cells": []}), flush=True)
    serve(subject, int(port), browse=False, tell=lambda address: print(address, flush=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
