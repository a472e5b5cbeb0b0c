from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from pellucid import Network
from pellucid.estimator.architecture import default_layers, make_network
from pellucid.layers import Conv2d, Flatten, Linear, MaxPool2d, ReLU


def blocks(layers: list[object]) -> str:
    """Write layers down as scikit-learn's users might: ``c32 p c64 f``."""
    names = {ReLU: "", MaxPool2d: "p", Flatten: "f", Linear: "l"}
    told = [f"c{x.out_channels}" if isinstance(x, Conv2d) else names[type(x)] for x in layers]  # type: ignore[index]
    return " ".join(filter(None, told))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((5,), "l l"),
        ((3, 1, 1), "f l l"),
        ((1, 1, 2), "c32 f l"),
        ((1, 4, 3), "c32 f l"),
        ((1, 5, 2), "c32 p c64 f l"),
        ((1, 8, 8), "c32 p c64 f l"),
        ((1, 28, 28), "c32 p c64 p c128 p f l"),
        ((3, 32, 32), "c32 p c64 p c128 p f l"),
        ((3, 224, 224), "c32 p c64 p c128 p c128 p c128 p c128 p f l"),
        ((2, 1, 100), "c32 p c64 p c128 p c128 p c128 p f l"),
    ],
    ids=str,
)
def test_the_default_network(shape: tuple[int, ...], expected: str) -> None:
    assert blocks(default_layers(shape, 3)) == expected


def test_it_fits_any_image() -> None:
    sides = [1, 2, 3, 4, 5, 7, 9, 16, 17, 31]
    for channels, height, width in product([1, 2], sides, sides):
        network = Network(default_layers((channels, height, width), 3), (channels, height, width))
        assert network.output_shape == (3,)
        flat = next(node for node in network.graph.nodes if isinstance(node.layer, Flatten))
        assert max(flat.input_shapes[0][1:]) <= 4


def test_the_smallest_images_are_learnt() -> None:
    rng = np.random.default_rng(0)
    for shape in [(1,), (1, 1, 1), (1, 1, 2), (2, 2, 1), (1, 3, 3)]:
        x = rng.normal(size=(256, *shape))
        y = (x.reshape(256, -1).sum(axis=1) > 0).astype(int)
        network = make_network(None, shape, 2, loss="cross_entropy", seed=0, alpha=0.0, engine="auto", n_jobs=1)
        network.fit(x, y, epochs=30, optimizer="adam", learning_rate=0.01, verbose=0)
        assert network.evaluate(x, y)["accuracy"] > 0.95
