"""AlexNet: the net of 2012 that won with five convolutions, ReLU, dropout, and two GPUs."""

from __future__ import annotations

from pellucid.arrays import Shape
from pellucid.layers import Conv2d, Dropout, Flatten, Linear, MaxPool2d, ReLU, Sequential
from pellucid.network import Network
from pellucid.zoo.adaptive_pool import averaged_to


def alexnet(
    *,
    seed: int = 0,
    dtype: str = "float32",
    engine: str = "auto",
    input_shape: Shape = (3, 224, 224),
    classes: int = 1000,
) -> Network:
    """Return AlexNet for ImageNet, in the form of torchvision, whose weights fit by name.

    ============  ================================  ==========  ==========
    layer         what it does                      output      parameters
    ============  ================================  ==========  ==========
    input         a colour image                    3×224×224
    features.0    64 filters 11×11, stride 4 pad 2  64×55×55        23,296
    features.2    largest of 3×3, stride 2          64×27×27
    features.3    192 filters 5×5, pad 2            192×27×27      307,392
    features.5    largest of 3×3, stride 2          192×13×13
    features.6    384 filters 3×3, pad 1            384×13×13      663,936
    features.8    256 filters 3×3, pad 1            256×13×13      884,992
    features.10   256 filters 3×3, pad 1            256×13×13      590,080
    features.12   largest of 3×3, stride 2          256×6×6
    flatten       row by row                        9216
    classifier.1  fully connected, after dropout    4096        37,752,832
    classifier.4  fully connected, after dropout    4096        16,781,312
    classifier.6  fully connected                   1000         4,097,000
    loss          softmax, cross-entropy
    ============  ================================  ==========  ==========

    A ReLU follows every convolution and all fully connected layers but the last. Together 61,100,840 parameters.
    Weights start with variance 2/fan-in (He et al. 2015), biases at 0.

    The net of 2012 has 96, 256, 384, 384 and 256 filters, the second, fourth and fifth convolution in two groups, one
    a GPU, and local response norm after the first two. This one, torchvision's, is Krizhevsky's later form for one GPU.

    Args:
        seed: fixes the initial weights, and everything random in training.
        dtype: ``"float32"`` or ``"float64"``.
        engine: ``"auto"``, ``"reference"`` or ``"native"``.
        input_shape: (C, H, W); maps of 12×12, 18×18, … before the classifier are averaged to 6×6.
        classes: number of outputs.

    Raises:
        ConfigError: a setting is out of range.
        ShapeError: the maps before the classifier are no multiple of 6×6.

    Source: Epelbaum, "AlexNet"; Krizhevsky et al. 2012, "ImageNet classification with deep convolutional neural
    networks"; Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks".

    Example:
        >>> alexnet(classes=10).parameters["features.0.weight"].shape
        (64, 3, 11, 11)
    """
    features = Sequential(
        [
            Conv2d(64, 11, stride=4, padding=2),
            ReLU(),
            MaxPool2d(3, stride=2),
            Conv2d(192, 5, padding=2),
            ReLU(),
            MaxPool2d(3, stride=2),
            Conv2d(384, 3, padding=1),
            ReLU(),
            Conv2d(256, 3, padding=1),
            ReLU(),
            Conv2d(256, 3, padding=1),
            ReLU(),
            MaxPool2d(3, stride=2),
        ],
        name="features",
    )
    classifier = Sequential(
        [Dropout(0.5), Linear(4096), ReLU(), Dropout(0.5), Linear(4096), ReLU(), Linear(classes)], name="classifier"
    )
    layers = [features, *averaged_to(6, features, input_shape), Flatten(name="flatten"), classifier]
    return Network(layers, input_shape, loss="cross_entropy", seed=seed, dtype=dtype, engine=engine)
