"""GoogLeNet: inception modules, four branches of different reach side by side."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pellucid.arrays import Shape
from pellucid.errors import ConfigError
from pellucid.layers import (
    BatchNorm2d,
    Concat,
    Conv2d,
    Dropout,
    GlobalAvgPool2d,
    Layer,
    Linear,
    LocalResponseNorm,
    MaxPool2d,
    ReLU,
    Sequential,
)
from pellucid.network import Network

Form: TypeAlias = Literal["torchvision", "paper"]

#: filters: 1×1; 1×1 and 3×3; 1×1 and 5×5 (torchvision: 3×3); 1×1 after the pool (Szegedy et al., Table 1)
MODULES = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


def googlenet(
    *,
    form: Form = "torchvision",
    aux: bool = False,
    seed: int = 0,
    dtype: str = "float32",
    engine: str = "auto",
    input_shape: Shape = (3, 224, 224),
    classes: int = 1000,
) -> Network:
    """Return GoogLeNet for ImageNet, in the form of torchvision, whose weights fit by name, or in that of the paper.

    =============  ==================================  ==========
    layer          what it does                        output
    =============  ==================================  ==========
    input          a colour image                      3×224×224
    conv1          64 filters 7×7, stride 2 pad 3      64×112×112
    maxpool1       largest of 3×3, stride 2            64×56×56
    [norm1]        local response norm
    conv2          64 filters 1×1                      64×56×56
    conv3          192 filters 3×3, pad 1              192×56×56
    [norm2]        local response norm
    maxpool2       largest of 3×3, stride 2            192×28×28
    inception3a–b  inception modules                   480×28×28
    maxpool3       largest of 3×3, stride 2            480×14×14
    inception4a–e  inception modules                   832×14×14
    maxpool4       largest of 2×2 [3×3], stride 2      832×7×7
    inception5a–b  inception modules                   1024×7×7
    avgpool        mean of each map                    1024
    dropout        a fifth [40 %] of them              1024
    fc             fully connected                     1000
    loss           softmax, cross-entropy
    =============  ==================================  ==========

    In brackets: the paper's form. A module joins the maps of four branches: 1×1; 1×1, 3×3; 1×1, 5×5; largest of 3×3,
    1×1. (Epelbaum's text says that they are averaged, and then calls the joint a concat layer; see errata.) Where
    torchvision's form departs: a batch norm (ε = 0.001) after each convolution instead of biases and response norm,
    and 3×3 in place of 5×5. Pools round up.

    Together 6,624,904 parameters, 6,998,552 in the paper's form. Weights of convolutions start with variance 2/fan-in
    (He et al. 2015), of the linear layer uniformly within ±1/√fan-in; biases at 0. The paper leaves the response norm's
    settings open; here they are Caffe's (n = 5, α = 10⁻⁴, β = 0.75, k = 1).

    Args:
        form: ``"torchvision"`` or ``"paper"``.
        aux: must be False: the two auxiliary classifiers are outputs of their own, and a network has one output.
        seed: fixes the initial weights, and everything random in training.
        dtype: ``"float32"`` or ``"float64"``.
        engine: ``"auto"``, ``"reference"`` or ``"native"``.
        input_shape: (C, H, W), for images of another size.
        classes: number of outputs.

    Raises:
        ConfigError: a setting is out of range.
        ShapeError: the images are too small for the pools.

    Source: Epelbaum, "GoogleNet"; Szegedy et al. 2015, "Going deeper with convolutions", Table 1.
    """
    if form not in ("torchvision", "paper"):
        raise ConfigError(f"form must be 'torchvision' or 'paper'; got {form!r}")
    if aux:
        raise ConfigError(
            "googlenet has no auxiliary classifiers here, for a Network has one output: leave out aux=True. They do "
            "not take part in predictions; of torchvision's weights, leave out those whose names begin with 'aux'"
        )
    paper = form == "paper"
    norms = [LocalResponseNorm(5, name=f"norm{i}") for i in (1, 2)] if paper else [None, None]
    modules = {number: inception(form, *filters, name=f"inception{number}") for number, filters in MODULES.items()}
    layers = [
        unit(form, 64, 7, stride=2, name="conv1"),
        MaxPool2d(3, stride=2, ceil_mode=True, name="maxpool1"),
        norms[0],
        unit(form, 64, 1, name="conv2"),
        unit(form, 192, 3, name="conv3"),
        norms[1],
        MaxPool2d(3, stride=2, ceil_mode=True, name="maxpool2"),
        *(modules[number] for number in ("3a", "3b")),
        MaxPool2d(3, stride=2, ceil_mode=True, name="maxpool3"),
        *(modules[number] for number in ("4a", "4b", "4c", "4d", "4e")),
        MaxPool2d(3 if paper else 2, stride=2, ceil_mode=True, name="maxpool4"),
        *(modules[number] for number in ("5a", "5b")),
        GlobalAvgPool2d(name="avgpool"),
        Dropout(0.4 if paper else 0.2, name="dropout"),
        Linear(classes, weight_init="uniform", name="fc"),
    ]
    return Network(
        [layer for layer in layers if layer is not None],
        input_shape, loss="cross_entropy", seed=seed, dtype=dtype, engine=engine,
    )  # fmt: skip


def inception(
    form: Form, ones: int, few: int, threes: int, fewer: int, fives: int, pooled: int, *, name: str
) -> Concat:
    """Return an inception module; the arguments are its branches' filters, in the order of the paper's table."""
    widest = 5 if form == "paper" else 3
    branches = [
        unit(form, ones, 1, name="branch1"),
        Sequential([unit(form, few, 1), unit(form, threes, 3)], name="branch2"),
        Sequential([unit(form, fewer, 1), unit(form, fives, widest)], name="branch3"),
        Sequential([MaxPool2d(3, stride=1, padding=1, ceil_mode=True), unit(form, pooled, 1)], name="branch4"),
    ]
    return Concat(branches, name=name)


def unit(form: Form, filters: int, kernel: int, *, stride: int = 1, name: str | None = None) -> Sequential:
    """Return a convolution that leaves maps their size, but for the stride, with what belongs to it."""
    paper = form == "paper"
    layers: list[Layer] = [Conv2d(filters, kernel, stride, padding=kernel // 2, bias=paper, name="conv")]
    if not paper:
        layers.append(BatchNorm2d(eps=1e-3, name="bn"))
    return Sequential([*layers, ReLU(name="relu")], name=name)
