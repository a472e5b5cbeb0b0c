"""VGG: nothing but 3×3 convolutions and 2×2 pools, eleven to nineteen layers deep."""

from __future__ import annotations

from pellucid.arrays import Shape
from pellucid.initializers import He
from pellucid.layers import BatchNorm2d, Conv2d, Dropout, Flatten, Layer, Linear, MaxPool2d, ReLU, Sequential
from pellucid.network import Network
from pellucid.zoo.adaptive_pool import averaged_to
from pellucid.zoo.choices import Order, in_order, of_depth

#: convolutions before each of the five pools (Simonyan & Zisserman's configurations A, B, D and E)
DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


def vgg(
    depth: int,
    *,
    batch_norm: bool = False,
    order: Order = "standard",
    seed: int = 0,
    dtype: str = "float32",
    engine: str = "auto",
    input_shape: Shape = (3, 224, 224),
    classes: int = 1000,
) -> Network:
    """Return VGG-11, 13, 16 or 19 for ImageNet, in the form of torchvision, whose weights fit by name.

    ============  ===================================  =========  ===========  ========================
    layer         what it does                         output     parameters   convolutions by depth
                                                                  of VGG-16    (11, 13, 16, 19)
    ============  ===================================  =========  ===========  ========================
    input         a colour image                       3×224×224
    features.…    64 filters 3×3 pad 1, pool 2×2       64×112×112      38,720  1, 2, 2, 2
    features.…    128 filters 3×3 pad 1, pool 2×2      128×56×56      221,440  1, 2, 2, 2
    features.…    256 filters 3×3 pad 1, pool 2×2      256×28×28    1,475,328  2, 2, 3, 4
    features.…    512 filters 3×3 pad 1, pool 2×2      512×14×14    5,899,776  2, 2, 3, 4
    features.…    512 filters 3×3 pad 1, pool 2×2      512×7×7      7,079,424  2, 2, 3, 4
    flatten       row by row                           25088
    classifier.0  fully connected                      4096       102,764,544
    classifier.3  fully connected, after dropout       4096        16,781,312
    classifier.6  fully connected, after dropout       1000         4,097,000
    loss          softmax, cross-entropy
    ============  ===================================  =========  ===========  ========================

    A ReLU follows every convolution and all fully connected layers but the last. Together 132,863,336, 133,047,848,
    138,357,544 and 143,667,240 parameters; batch norm adds 5,504, 5,888, 8,448 and 11,008. Weights of convolutions
    start with variance 2/fan-out, of linear layers with 2/fan-in (He et al. 2015); biases at 0.

    Args:
        depth: 11, 13, 16 or 19 layers with weights.
        batch_norm: normalize the maps of every convolution, which the paper, older than batch norm, does not.
        order: with ``batch_norm``, where it stands: ``"standard"`` before each ReLU, ``"epelbaum"`` after it.
        seed: fixes the initial weights, and everything random in training.
        dtype: ``"float32"`` or ``"float64"``.
        engine: ``"auto"``, ``"reference"`` or ``"native"``.
        input_shape: (C, H, W); maps of 14×14, 21×21, … before the classifier are averaged to 7×7.
        classes: number of outputs.

    Raises:
        ConfigError: a setting is out of range.
        ShapeError: the maps before the classifier are no multiple of 7×7.

    Source: Epelbaum, "VGG"; Simonyan & Zisserman 2015, "Very deep convolutional networks for large-scale image
    recognition", Table 1.
    """
    features = vgg_features(of_depth("vgg", DEPTHS, depth), batch_norm, order)
    classifier = Sequential(
        [Linear(4096), ReLU(), Dropout(0.5), Linear(4096), ReLU(), Dropout(0.5), Linear(classes)], name="classifier"
    )
    layers = [features, *averaged_to(7, features, input_shape), Flatten(name="flatten"), classifier]
    return Network(layers, input_shape, loss="cross_entropy", seed=seed, dtype=dtype, engine=engine)


def vgg_features(convolutions: tuple[int, ...], batch_norm: bool, order: Order) -> Sequential:
    """Return the layers before the classifier: stages of 3×3 convolutions, each ended by a pool."""
    layers: list[Layer] = []
    for filters, count in zip((64, 128, 256, 512, 512), convolutions, strict=True):
        for _ in range(count):
            convolution = Conv2d(filters, 3, padding=1, weight_init=He(mode="fan_out"))
            unit = in_order(order, convolution, BatchNorm2d(), ReLU())
            layers += unit if batch_norm else [convolution, ReLU()]
        layers.append(MaxPool2d(2))
    return Sequential(layers, name="features")
