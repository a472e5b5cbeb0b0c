"""A small net for scikit-learn's 8×8 digits, the data that needs no download."""

from __future__ import annotations

from pellucid.arrays import Shape
from pellucid.layers import Conv2d, Dropout, Flatten, Linear, MaxPool2d, ReLU
from pellucid.network import Network


def digits(
    *,
    seed: int = 0,
    dtype: str = "float32",
    engine: str = "auto",
    input_shape: Shape = (1, 8, 8),
    classes: int = 10,
) -> Network:
    """Return a net that learns scikit-learn's digits in seconds; the default of ``pellucid train``.

    =======  =========================  =======  ==========
    layer    what it does               output   parameters
    =======  =========================  =======  ==========
    input    a grey image               1×8×8
    conv1    16 filters 3×3, pad 1      16×8×8          160
    relu1                               16×8×8
    conv2    32 filters 3×3, pad 1      32×8×8        4,640
    relu2                               32×8×8
    pool     largest of 2×2             32×4×4
    flatten  row by row                 512
    dropout  half of them, in training  512
    fc       fully connected            10            5,130
    loss     softmax, cross-entropy
    =======  =========================  =======  ==========

    Together 9,930 parameters. Weights start with variance 2/fan-in (He et al. 2015), biases at 0.

    Args:
        seed: fixes the initial weights, and everything random in training.
        dtype: ``"float32"`` or ``"float64"``.
        engine: ``"auto"``, ``"reference"`` or ``"native"``.
        input_shape: (C, H, W), for images of another size.
        classes: number of outputs.

    Raises:
        ConfigError: a setting is out of range.
        ShapeError: the images are smaller than 2×2, so that nothing is left after the pooling.

    Example:
        >>> digits().output_shape
        (10,)
    """
    layers = [
        Conv2d(16, 3, padding=1, name="conv1"),
        ReLU(name="relu1"),
        Conv2d(32, 3, padding=1, name="conv2"),
        ReLU(name="relu2"),
        MaxPool2d(2, name="pool"),
        Flatten(name="flatten"),
        Dropout(0.5, name="dropout"),
        Linear(classes, name="fc"),
    ]
    return Network(layers, input_shape, loss="cross_entropy", seed=seed, dtype=dtype, engine=engine)
