"""Nguyen's net: two convolutions and one fully connected layer for 28×28 digits."""

from __future__ import annotations

from pellucid.arrays import Shape
from pellucid.layers import Conv2d, Flatten, Linear, MaxPool2d, ReLU
from pellucid.network import Network


def nguyen(
    *,
    seed: int = 0,
    dtype: str = "float32",
    engine: str = "auto",
    input_shape: Shape = (1, 28, 28),
    classes: int = 10,
) -> Network:
    """Return Nguyen's net for MNIST.

    =======  ======================  =======  ==========  ================  =========
    layer    what it does            output   parameters  Nguyen's symbols  equation
    =======  ======================  =======  ==========  ================  =========
    input    a grey image            1×28×28              I
    conv1    6 filters 5×5           6×24×24         156  k¹, b¹; S¹        (1)
    relu1                            6×24×24              C¹                (1)
    pool1    largest of 2×2          6×12×12              P¹                (2)
    conv2    12 filters 5×5          12×8×8        1,812  k², b²; S²        (3)
    relu2                            12×8×8               C²                (3)
    pool2    largest of 2×2          12×4×4               P²                (4)
    flatten  row by row              192                  f                 (5), (39)
    fc       fully connected         10            1,930  w, b; S           (5)
    loss     softmax, cross-entropy                       O, L              (5), (6)
    =======  ======================  =======  ==========  ================  =========

    Together 3,898 parameters; ``conv1.weight`` is his k¹, ``conv1.bias`` his b¹, and so on. He does not say where the
    weights start: here they are drawn with variance 2/fan-in (He et al. 2015), and biases are 0.

    Args:
        seed: fixes the initial weights, and everything random in training.
        dtype: ``"float32"`` or ``"float64"``.
        engine: ``"auto"``, ``"reference"`` or ``"native"``.
        input_shape: (C, H, W), for images of another size.
        classes: number of outputs.

    Raises:
        ConfigError: a setting is out of range.
        ShapeError: the images are smaller than 16×16, so that nothing is left after the second pooling.

    Source: Nguyen §2, §3.

    Example:
        >>> nguyen().output_shape
        (10,)
    """
    layers = [
        Conv2d(6, 5, name="conv1"),
        ReLU(name="relu1"),
        MaxPool2d(2, name="pool1"),
        Conv2d(12, 5, name="conv2"),
        ReLU(name="relu2"),
        MaxPool2d(2, name="pool2"),
        Flatten(name="flatten"),
        Linear(classes, name="fc"),
    ]
    return Network(layers, input_shape, loss="cross_entropy", seed=seed, dtype=dtype, engine=engine)
