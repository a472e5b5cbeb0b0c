"""ResNet for small images: three stages of two-convolution blocks, 20 to 110 layers deep."""

from __future__ import annotations

from typing import Literal

from pellucid.arrays import Shape
from pellucid.errors import ConfigError
from pellucid.layers import AvgPool2d, BatchNorm2d, GlobalAvgPool2d, Layer, Linear, PadChannels, ReLU, Sequential
from pellucid.network import Network
from pellucid.zoo.choices import Order, in_order, of_depth
from pellucid.zoo.resnet import basic_block, convolution, projection, stage

#: blocks in each of the three stages, n of the paper's 6n + 2 layers
DEPTHS = {20: 3, 32: 5, 44: 7, 56: 9, 110: 18}


def resnet_cifar(
    depth: int,
    *,
    shortcut: Literal["zeros", "projection"] = "zeros",
    order: Order = "standard",
    seed: int = 0,
    dtype: str = "float32",
    engine: str = "auto",
    input_shape: Shape = (3, 32, 32),
    classes: int = 10,
) -> Network:
    """Return ResNet-20, 32, 44, 56 or 110 for CIFAR.

    =======  ===============================  ========  =======================
    layer    what it does                     output    blocks by depth
                                                        (20, 32, 44, 56, 110)
    =======  ===============================  ========  =======================
    input    a colour image                   3×32×32
    conv1    16 filters 3×3, pad 1            16×32×32
    layer1   blocks of 16 maps                16×32×32  3, 5, 7, 9, 18
    layer2   blocks of 32, the first halves   32×16×16  3, 5, 7, 9, 18
    layer3   blocks of 64, the first halves   64×8×8    3, 5, 7, 9, 18
    avgpool  mean of each map                 64
    fc       fully connected                  10
    loss     softmax, cross-entropy
    =======  ===============================  ========  =======================

    Blocks, and their names, are those of :func:`~pellucid.zoo.resnet`. Together 269,722, 464,154, 658,586, 853,018 and
    1,727,962 parameters; projections add 2,752. Weights of convolutions start with variance 2/fan-out (He et al. 2015),
    of the linear layer uniformly within ±1/√fan-in; its biases at 0.

    Args:
        depth: 20, 32, 44, 56 or 110 layers with weights.
        shortcut: how a block's input meets twice the maps of half the size: ``"zeros"`` takes every other pixel and
            appends maps of zeros, without parameters (the paper's A, used on CIFAR); ``"projection"`` is a 1×1
            convolution with batch norm (its B).
        order: ``"standard"`` or ``"epelbaum"``, as in :func:`~pellucid.zoo.resnet`.
        seed: fixes the initial weights, and everything random in training.
        dtype: ``"float32"`` or ``"float64"``.
        engine: ``"auto"``, ``"reference"`` or ``"native"``.
        input_shape: (C, H, W), for images of another size.
        classes: number of outputs.

    Raises:
        ConfigError: a setting is out of range.
        ShapeError: the input is not (C, H, W).

    Source: Epelbaum, "ResNet"; He et al. 2016, "Deep residual learning for image recognition", §3.3 and §4.2.
    """
    count = of_depth("resnet_cifar", DEPTHS, depth)
    if shortcut not in ("zeros", "projection"):
        raise ConfigError(f"shortcut must be 'zeros' or 'projection'; got {shortcut!r}")
    halve = _zeros if shortcut == "zeros" else projection
    stem = convolution(16, 3, name="conv1")
    layers: list[Layer] = in_order(order, stem, BatchNorm2d(name="bn1"), ReLU(name="relu"))
    for number, channels in enumerate((16, 32, 64), start=1):
        stride = 1 if number == 1 else 2
        bodies = [basic_block(channels, stride), *(basic_block(channels) for _ in range(count - 1))]
        layers.append(stage(f"layer{number}", bodies, None if stride == 1 else halve(channels, stride), order))
    layers += [GlobalAvgPool2d(name="avgpool"), Linear(classes, weight_init="uniform", name="fc")]
    return Network(layers, input_shape, loss="cross_entropy", seed=seed, dtype=dtype, engine=engine)


def _zeros(channels: int, stride: int) -> Layer:
    """Return the shortcut without parameters (He et al.'s A); windows of one pixel pick every other one."""
    return Sequential([AvgPool2d(1, stride), PadChannels(channels)], name="downsample")
