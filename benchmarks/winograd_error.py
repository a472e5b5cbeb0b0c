"""How far float32 convolutions lie from float64: the native engine directly, and by Winograd's way.

    python -m benchmarks.winograd_error

The maps that enter are the weights of a first layer, which sees a single 1; so that layer's gradient is dx.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from pellucid import Network
from pellucid.layers import Conv2d, Flatten
from pellucid.losses import SquaredError

if TYPE_CHECKING:
    from collections.abc import Generator

    from pellucid.arrays import Array

PASSES = ("forward", "dx", "dweight")
SIZE = 24


@contextmanager
def _winograd(on: bool) -> Generator[None]:
    before = os.environ.get("PELLUCID_WINOGRAD")
    os.environ["PELLUCID_WINOGRAD"] = "1" if on else "0"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PELLUCID_WINOGRAD"]
        else:
            os.environ["PELLUCID_WINOGRAD"] = before


def errors(kernel: int, channels: int, *, winograd: bool, seed: int = 0) -> dict[str, float]:
    """Return the root mean square error of each pass, as a share of the root mean square of its exact numbers.

    Args:
        kernel: side of the filters.
        channels: maps that enter and that leave, of 24×24 pixels.
        winograd: by Winograd's way; else directly.
        seed: of maps and weights, normal, and of δ, which is −target of a normal target plus the outputs.
    """
    layer = Conv2d(channels, kernel, padding="same", bias=False)
    first = Conv2d(channels, SIZE, padding="full", bias=False, flip=True)
    with _winograd(winograd):
        network = Network([first, layer, Flatten()], (1, 1, 1), loss=SquaredError("sum"), engine="native")
    rng = np.random.default_rng(seed)
    network.flat_parameters[...] = rng.normal(size=network.flat_parameters.size)
    network.parameters["1.weight"][...] /= kernel * channels**0.5
    target = rng.normal(size=(1, *network.output_shape)).astype(np.float32)
    _, gradient, y = network.batch_gradient(np.ones((1, 1, 1, 1), np.float32), target)
    given = network.named(gradient)

    maps = network.parameters["0.weight"].astype(np.float64).swapaxes(0, 1)
    exact, saved = layer.forward(params := {"weight": network.parameters["1.weight"].astype(np.float64)}, maps)
    delta = (y.astype(np.float64) - target).reshape(exact.shape)
    dx, grads = layer.backward(params, saved, delta)
    return {
        "forward": _relative(y.reshape(exact.shape), exact),
        "dx": _relative(given["0.weight"].swapaxes(0, 1), dx),
        "dweight": _relative(given["1.weight"], grads["weight"]),
    }


def _relative(given: Array, exact: Array) -> float:
    return float(np.sqrt(((given - exact) ** 2).mean() / (exact**2).mean()))


def table() -> str:
    """Return the errors as a table in Markdown, in units of 10⁻⁷.

    With one channel forward and dx go the direct way in any case.
    """
    lines = ["| kernel, channels | way | forward | dx | dweight |", "| --- | --- | --- | --- | --- |"]
    for kernel in (3, 5):
        for channels in (6, 64, 512) if kernel == 3 else (1, 6, 64):
            for winograd in (False, True):
                found = errors(kernel, channels, winograd=winograd)
                numbers = " | ".join(f"{found[name] * 1e7:.2g}" for name in PASSES)
                way = ("by rows" if channels == 1 else "Winograd") if winograd else "direct"
                lines.append(f"| {kernel}×{kernel}, {channels} | {way} | {numbers} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
