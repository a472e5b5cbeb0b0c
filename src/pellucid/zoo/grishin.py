"""Grishin's net: his eight layers for 32×32 images of twelve classes, with or without batch normalization."""

from __future__ import annotations

from pellucid.arrays import Shape
from pellucid.layers import ELU, BatchNorm, Conv2d, Flatten, Layer, Linear, MaxPool2d
from pellucid.network import Network


def grishin(
    *,
    batch_norm: bool = False,
    column_major: bool = False,
    seed: int = 0,
    dtype: str = "float32",
    engine: str = "auto",
    input_shape: Shape = (1, 32, 32),
    classes: int = 12,
) -> Network:
    """Return Grishin's net, in the form of Part II or, with ``batch_norm``, of Part IV.

    =======  ======================  ========  ==========  =================  ==============
    layer    what it does            output    parameters  Grishin's symbols  section
    =======  ======================  ========  ==========  =================  ==============
    input    a grey image            1×32×32               a⁽¹⁾               Layer 1
    conv1    6 filters 5×5, pad 2    6×32×32          156  w⁽¹⁾, b⁽¹⁾; z⁽²⁾   §1
    [bn1]    normalize each pixel    6×32×32       12,288  α⁽²⁾, β⁽²⁾; Y⁽²²⁾  §18, 21 to 22
    elu1                             6×32×32               a⁽²⁾, A⁽²³⁾        §1
    pool1    largest of 2×2          6×16×16               a⁽³⁾, p⁽³⁾         §2
    conv2    16 filters 5×5, pad 2   16×16×16       2,416  w⁽³⁾, b⁽³⁾; z⁽⁴⁾   §3
    [bn2]    normalize each pixel    16×16×16       8,192  α⁽⁴⁾, β⁽⁴⁾; Y⁽⁴²⁾  §18, 41 to 42
    elu2                             16×16×16              a⁽⁴⁾, A⁽⁴³⁾        §3
    pool2    largest of 2×2          16×8×8                a⁽⁵⁾, p⁽⁵⁾         §4
    flatten  see ``column_major``    1024                  a⁽⁶⁾               §5
    fc1      fully connected         65            66,625  Θ⁽⁶⁾, b⁽⁶⁾; z⁽⁷⁾   §6
    [bn3]    normalize each unit     65               130  α⁽⁷⁾, β⁽⁷⁾; Y⁽⁷²⁾  §18, 71 to 72
    elu3                             65                    a⁽⁷⁾, A⁽⁷³⁾        §6
    fc2      fully connected         12               792  Θ⁽⁷⁾, b⁽⁷⁾; z⁽⁸⁾   §7
    loss     sigmoid, log loss                             a⁽⁸⁾, J            §7, §9
    =======  ======================  ========  ==========  =================  ==============

    Together 69,989 parameters, 90,599 with batch normalization. His learnable parameters (the tables of §8 and §20) by
    our names, the shape being ours:

    ============  ==============  ==========  ===========
    ours          shape           Grishin's   gradient
    ============  ==============  ==========  ===========
    conv1.weight  (6, 1, 5, 5)    w⁽¹⁾        §17, §20
    conv1.bias    (6,)            b⁽¹⁾        §17, §20
    bn1.weight    (6, 32, 32)     α⁽²⁾        §20
    bn1.bias      (6, 32, 32)     β⁽²⁾        §20
    conv2.weight  (16, 6, 5, 5)   w⁽³⁾        §17, §20
    conv2.bias    (16,)           b⁽³⁾        §17, §20
    bn2.weight    (16, 16, 16)    α⁽⁴⁾        §20
    bn2.bias      (16, 16, 16)    β⁽⁴⁾        §20
    fc1.weight    (65, 1024)      Θ⁽⁶⁾        §17, §20
    fc1.bias      (65,)           b⁽⁶⁾        §17, §20
    bn3.weight    (65,)           α⁽⁷⁾        §20
    bn3.bias      (65,)           β⁽⁷⁾        §20
    fc2.weight    (12, 65)        Θ⁽⁷⁾        §17, §20
    fc2.bias      (12,)           b⁽⁷⁾        §17, §20
    ============  ==============  ==========  ===========

    With batch normalization he keeps the biases b⁽¹⁾, b⁽³⁾ and b⁽⁶⁾, and so does this net, though the means taken off
    right after make them idle. He does not say where the weights start: here they are drawn with variance 2/fan-in
    (He et al. 2015), and biases are 0.

    Args:
        batch_norm: normalize every activation over the batch before each ELU.
        column_major: flatten each map column by column, his s₆ = 64(k₅ − 1) + 8(v₅ − 1) + u₅, instead of row by row.
            Matters only when Θ⁽⁶⁾ is exchanged with code that follows his order.
        seed: fixes the initial weights, and everything random in training.
        dtype: ``"float32"`` or ``"float64"``.
        engine: ``"auto"``, ``"reference"`` or ``"native"``.
        input_shape: (C, H, W), for images of another size.
        classes: number of outputs.

    Raises:
        ConfigError: a setting is out of range.
        ShapeError: the images are smaller than 4×4, so that nothing is left after the second pooling.

    Source: Grishin, Part I (the layout), Part II (§1 to §7), Part IV (§18).

    Example:
        >>> grishin(batch_norm=True).parameters["bn1.weight"].shape
        (6, 32, 32)
    """

    def normalized(name: str) -> list[Layer]:
        return [BatchNorm(name=name)] if batch_norm else []

    layers = [
        Conv2d(6, 5, padding=2, name="conv1"),
        *normalized("bn1"),
        ELU(name="elu1"),
        MaxPool2d(2, name="pool1"),
        Conv2d(16, 5, padding=2, name="conv2"),
        *normalized("bn2"),
        ELU(name="elu2"),
        MaxPool2d(2, name="pool2"),
        Flatten(column_major, name="flatten"),
        Linear(65, name="fc1"),
        *normalized("bn3"),
        ELU(name="elu3"),
        Linear(classes, name="fc2"),
    ]
    return Network(layers, input_shape, loss="log_loss", seed=seed, dtype=dtype, engine=engine)
