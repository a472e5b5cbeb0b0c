"""LeNet-5, the net that set the pattern: convolution, pooling, convolution, pooling, fully connected layers."""

from __future__ import annotations

from pellucid.arrays import Shape
from pellucid.layers import AvgPool2d, Conv2d, Flatten, Linear, Tanh
from pellucid.network import Network


def lenet5(
    *,
    seed: int = 0,
    dtype: str = "float32",
    engine: str = "auto",
    input_shape: Shape = (1, 28, 28),
    classes: int = 10,
) -> Network:
    """Return LeNet-5 for MNIST, in the form it is commonly taught.

    =======  ======================  ========  ==========  ==============
    layer    what it does            output    parameters  LeCun's layer
    =======  ======================  ========  ==========  ==============
    input    a grey image            1×28×28               Input
    conv1    6 filters 5×5, pad 2    6×28×28          156  C1
    tanh1                            6×28×28               C1
    pool1    mean of 2×2             6×14×14               S2
    conv2    16 filters 5×5          16×10×10       2,416  C3
    tanh2                            16×10×10              C3
    pool2    mean of 2×2             16×5×5                S4
    flatten  row by row              400
    fc1      fully connected         120           48,120  C5
    tanh3                            120                   C5
    fc2      fully connected         84            10,164  F6
    tanh4                            84                    F6
    fc3      fully connected         10               850  Output
    loss     softmax, cross-entropy
    =======  ======================  ========  ==========  ==============

    Together 61,706 parameters. Weights start with variance 2/(fan-in + fan-out) (Glorot & Bengio 2010), biases at 0.

    The net of 1998 is not quite this one:

    - Its images are 32×32, the digits of 28×28 in the middle; padding conv1 by 2 gives C1 the same view.
    - S2 and S4 multiply the sum of the four pixels by a trained coefficient, add a trained bias, and pass it through a
      sigmoid. Here they are plain means.
    - Each of C3's filters sees a choice of S2's maps (Table I), not all six. With that, and S2's and S4's coefficients,
      it counts 60,000 parameters.
    - Its activation is 1.7159·tanh(⅔a). Here it is tanh(a).
    - Its output layer measures the distance of F6 to ten fixed pictures of the digits (radial basis functions), and
      its loss is built on those distances. Here it is linear, with softmax and cross-entropy.
    - Its weights start uniformly between −2.4/fan-in and 2.4/fan-in, and are trained by a stochastic diagonal
      Levenberg–Marquardt method.

    Args:
        seed: fixes the initial weights, and everything random in training.
        dtype: ``"float32"`` or ``"float64"``.
        engine: ``"auto"``, ``"reference"`` or ``"native"``.
        input_shape: (C, H, W), for images of another size.
        classes: number of outputs.

    Raises:
        ConfigError: a setting is out of range.
        ShapeError: the images are smaller than 12×12, so that nothing is left after the second pooling.

    Source: Epelbaum, "LeNet"; LeCun, Bottou, Bengio & Haffner, "Gradient-based learning applied to document
    recognition", 1998, §II.B.

    Example:
        >>> lenet5().output_shape
        (10,)
    """
    layers = [
        Conv2d(6, 5, padding=2, weight_init="glorot", name="conv1"),
        Tanh(name="tanh1"),
        AvgPool2d(2, name="pool1"),
        Conv2d(16, 5, weight_init="glorot", name="conv2"),
        Tanh(name="tanh2"),
        AvgPool2d(2, name="pool2"),
        Flatten(name="flatten"),
        Linear(120, weight_init="glorot", name="fc1"),
        Tanh(name="tanh3"),
        Linear(84, weight_init="glorot", name="fc2"),
        Tanh(name="tanh4"),
        Linear(classes, weight_init="glorot", name="fc3"),
    ]
    return Network(layers, input_shape, loss="cross_entropy", seed=seed, dtype=dtype, engine=engine)
