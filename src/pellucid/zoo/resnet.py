"""ResNet: blocks that add a small change to what comes in, up to 152 layers deep."""

from __future__ import annotations

from collections.abc import Sequence

from pellucid.arrays import Shape
from pellucid.initializers import He
from pellucid.layers import BatchNorm2d, Conv2d, GlobalAvgPool2d, Layer, Linear, MaxPool2d, ReLU, Residual, Sequential
from pellucid.network import Network
from pellucid.zoo.choices import Order, in_order, of_depth

#: blocks in each of the four stages, and whether they are bottlenecks (He et al., Table 1)
DEPTHS = {
    18: ((2, 2, 2, 2), False),
    34: ((3, 4, 6, 3), False),
    50: ((3, 4, 6, 3), True),
    101: ((3, 4, 23, 3), True),
    152: ((3, 8, 36, 3), True),
}


def resnet(
    depth: int,
    *,
    order: Order = "standard",
    seed: int = 0,
    dtype: str = "float32",
    engine: str = "auto",
    input_shape: Shape = (3, 224, 224),
    classes: int = 1000,
) -> Network:
    """Return ResNet-18, 34, 50, 101 or 152 for ImageNet, in the form of torchvision, whose weights fit by name.

    =======  ================================  ==========  ============================  ==============
    layer    what it does                      output      blocks by depth               bottlenecks
                                                           (18, 34, 50, 101, 152)        (50, 101, 152)
    =======  ================================  ==========  ============================  ==============
    input    a colour image                    3×224×224
    conv1    64 filters 7×7, stride 2 pad 3    64×112×112
    maxpool  largest of 3×3, stride 2 pad 1    64×56×56
    layer1   blocks of 64 maps                 64×56×56    2, 3, 3, 3, 3                 256×56×56
    layer2   blocks of 128, the first halves   128×28×28   2, 4, 4, 4, 8                 512×28×28
    layer3   blocks of 256, the first halves   256×14×14   2, 6, 6, 23, 36               1024×14×14
    layer4   blocks of 512, the first halves   512×7×7     2, 3, 3, 3, 3                 2048×7×7
    avgpool  mean of each map                  512                                       2048
    fc       fully connected                   1000
    loss     softmax, cross-entropy
    =======  ================================  ==========  ============================  ==============

    A block is two convolutions 3×3, or as a bottleneck 1×1, 3×3 and 1×1 with four times the maps, plus its own input,
    which passes a 1×1 convolution ("downsample") where the shape changes. A block that halves does so in its first
    3×3 convolution. Convolutions have no bias: the batch norm behind each has one. Together 11,689,512, 21,797,672,
    25,557,032, 44,549,160 and 60,192,808 parameters. Weights of convolutions start with variance 2/fan-out (He et al.
    2015), of the linear layer uniformly within ±1/√fan-in; its biases at 0.

    Args:
        depth: 18, 34, 50, 101 or 152 layers with weights.
        order: ``"standard"``: batch norm before each ReLU, and a block's last ReLU after its sum (He et al.).
            ``"epelbaum"``: "BN operations have been put after ReLU ones, and the final ReLU is before the plus
            operation". Weights learned in one order are of no use in the other, though their names and shapes agree.
        seed: fixes the initial weights, and everything random in training.
        dtype: ``"float32"`` or ``"float64"``.
        engine: ``"auto"``, ``"reference"`` or ``"native"``.
        input_shape: (C, H, W), for images of another size.
        classes: number of outputs.

    Raises:
        ConfigError: a setting is out of range.
        ShapeError: the input is not (C, H, W).

    Source: Epelbaum, "ResNet", "Batchpropagation through a ResNet module"; He et al. 2016, "Deep residual learning for
    image recognition", Table 1. The stride of a bottleneck in its 3×3 convolution, not its first, is torchvision's.
    """
    counts, is_bottleneck = of_depth("resnet", DEPTHS, depth)
    block, expansion = (bottleneck, 4) if is_bottleneck else (basic_block, 1)
    stem = convolution(64, 7, stride=2, name="conv1")
    layers: list[Layer] = in_order(order, stem, BatchNorm2d(name="bn1"), ReLU(name="relu"))
    layers.append(MaxPool2d(3, stride=2, padding=1, name="maxpool"))
    for number, (channels, count) in enumerate(zip((64, 128, 256, 512), counts, strict=True), start=1):
        stride = 1 if number == 1 else 2
        widens = stride == 2 or is_bottleneck
        shortcut = projection(expansion * channels, stride) if widens else None
        bodies = [block(channels, stride), *(block(channels) for _ in range(count - 1))]
        layers.append(stage(f"layer{number}", bodies, shortcut, order))
    layers += [GlobalAvgPool2d(name="avgpool"), Linear(classes, weight_init="uniform", name="fc")]
    return Network(layers, input_shape, loss="cross_entropy", seed=seed, dtype=dtype, engine=engine)


def basic_block(channels: int, stride: int = 1) -> list[Conv2d]:
    """Return the convolutions of a block of two."""
    return [convolution(channels, 3, stride, name="conv1"), convolution(channels, 3, name="conv2")]


def bottleneck(channels: int, stride: int = 1) -> list[Conv2d]:
    """Return the convolutions of a block whose 3×3 convolution sees few maps: 1×1, 3×3, 1×1 (Epelbaum's figure)."""
    return [
        convolution(channels, 1, name="conv1"),
        convolution(channels, 3, stride, name="conv2"),
        convolution(4 * channels, 1, name="conv3"),
    ]


def convolution(filters: int, kernel: int, stride: int = 1, name: str | None = None) -> Conv2d:
    """Return a convolution that leaves maps their size, but for the stride."""
    start = He(mode="fan_out")
    return Conv2d(filters, kernel, stride, padding=kernel // 2, bias=False, weight_init=start, name=name)


def projection(channels: int, stride: int) -> Layer:
    """Return the shortcut that learns how to change the number of maps (He et al.'s B)."""
    return Sequential([convolution(channels, 1, stride), BatchNorm2d()], name="downsample")


def stage(name: str, bodies: Sequence[Sequence[Conv2d]], shortcut: Layer | None, order: Order) -> Sequential:
    """Return blocks one after the other; the first one's input takes the shortcut, the others' goes straight on."""
    layers: list[Layer] = []
    for number, convolutions in enumerate(bodies):
        layers += residual(str(number), convolutions, None if number else shortcut, order)
    return Sequential(layers, name=name)


def residual(name: str, convolutions: Sequence[Conv2d], shortcut: Layer | None, order: Order) -> list[Layer]:
    """Return a block: each convolution with batch norm and ReLU, plus the block's input."""
    body: list[Layer] = []
    for number, conv in enumerate(convolutions, start=1):
        body += in_order(order, conv, BatchNorm2d(name=f"bn{number}"), ReLU(name=f"relu{number}"))
    if order == "epelbaum":
        return [Residual(body, shortcut, name=name)]
    return [Residual(body[:-1], shortcut, name=name), ReLU(name=f"{name}.relu")]
