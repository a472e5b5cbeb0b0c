"""VGG for small images: the same convolutions with batch norm, and one linear layer."""

from __future__ import annotations

from pellucid.arrays import Shape
from pellucid.layers import Flatten, Linear
from pellucid.network import Network
from pellucid.zoo.choices import Order, of_depth
from pellucid.zoo.vgg import DEPTHS, vgg_features


def vgg_cifar(
    depth: int,
    *,
    order: Order = "standard",
    seed: int = 0,
    dtype: str = "float32",
    engine: str = "auto",
    input_shape: Shape = (3, 32, 32),
    classes: int = 10,
) -> Network:
    """Return VGG-11, 13, 16 or 19 for CIFAR: five stages take 32×32 pixels to 512×1×1, which one layer classifies.

    Its layers are those of :func:`~pellucid.zoo.vgg` with batch norm, named ``features.…``; then ``flatten`` and
    ``classifier`` (512 inputs). Together 9,231,114, 9,416,010, 14,728,266 and 20,040,522 parameters, against VGG-16's
    138 million, most of which are in its two wide fully connected layers. Weights of convolutions start with variance
    2/fan-out (He et al. 2015), of the linear layer uniformly within ±1/√fan-in; biases at 0.

    Args:
        depth: 11, 13, 16 or 19, as in :func:`~pellucid.zoo.vgg`, though there are two layers fewer.
        order: where batch norm stands: ``"standard"`` before each ReLU, ``"epelbaum"`` after it.
        seed: fixes the initial weights, and everything random in training.
        dtype: ``"float32"`` or ``"float64"``.
        engine: ``"auto"``, ``"reference"`` or ``"native"``.
        input_shape: (C, H, W), for images of another size.
        classes: number of outputs.

    Raises:
        ConfigError: a setting is out of range.
        ShapeError: the images are smaller than 32×32, so that nothing is left after the fifth pooling.

    Source: Epelbaum, "VGG"; Simonyan & Zisserman 2015, Table 1; Ioffe & Szegedy 2015 for batch norm. The form for
    CIFAR is not in the papers but in common use.
    """
    layers = [
        vgg_features(of_depth("vgg_cifar", DEPTHS, depth), True, order),
        Flatten(name="flatten"),
        Linear(classes, weight_init="uniform", name="classifier"),
    ]
    return Network(layers, input_shape, loss="cross_entropy", seed=seed, dtype=dtype, engine=engine)
