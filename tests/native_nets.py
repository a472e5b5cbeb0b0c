"""Small nets for the native engine, one for every kind of layer and option, with numbers to run through them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pellucid import Network
from pellucid.engine import instruction_set
from pellucid.layers import (
    ELU,
    AvgPool2d,
    BatchNorm,
    BatchNorm2d,
    Concat,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    Layer,
    LeakyReLU,
    Linear,
    LocalResponseNorm,
    LPPool2d,
    MaxPool2d,
    Pad2d,
    PadChannels,
    ReLU,
    Residual,
    Sigmoid,
    Softmax,
    Tanh,
)
from pellucid.losses import SquaredError

RNG = np.random.default_rng
SETS = ("baseline", "avx2", "avx512")
LOSSES = ("cross_entropy", "log_loss", "squared_error")

#: layers, and the shape of what they take
NETS: dict[str, tuple[list[Layer], tuple[int, ...]]] = {
    "conv": ([Conv2d(5, 3), Conv2d(4, 2), Flatten(), Linear(3)], (2, 6, 9)),
    "conv same": ([Conv2d(5, (3, 4), padding="same"), Conv2d(3, 3, 2, "same"), Flatten(), Linear(3)], (1, 7, 10)),
    "conv full": ([Conv2d(3, (2, 3), padding="full"), Conv2d(2, 3, (2, 3), "full"), Flatten(), Linear(3)], (2, 4, 5)),
    "conv stride": ([Conv2d(4, 3, 2, 1), Conv2d(5, (3, 2), (1, 3), (2, 1)), Flatten(), Linear(3)], (3, 9, 11)),
    "conv dilation": ([Conv2d(4, 3, dilation=2), Conv2d(3, 2, 1, 2, (3, 2)), Flatten(), Linear(3)], (2, 8, 7)),
    "conv groups": ([Conv2d(6, 3, groups=2), Conv2d(6, 2, groups=6), Flatten(), Linear(3)], (4, 6, 5)),
    "conv flip": ([Conv2d(4, 3, flip=True), Conv2d(3, (2, 3), flip=True, bias=False), Flatten(), Linear(3)], (2, 7, 6)),
    "conv of pixels": ([Conv2d(7, 1), Conv2d(3, (3, 1), 1, (1, 0)), Conv2d(3, 3, padding=1), Flatten()], (5, 1, 1)),
    "max pool": ([Conv2d(4, 2), MaxPool2d(3, 2, 1, ceil_mode=True), MaxPool2d(2, 1), Flatten(), Linear(3)], (2, 9, 8)),
    "max pool dilated": ([Conv2d(3, 1), MaxPool2d((2, 3), 1, dilation=(3, 2)), Flatten(), Linear(3)], (2, 7, 8)),
    "avg pool": ([Conv2d(4, 2), AvgPool2d(3, 2, 1, ceil_mode=True), AvgPool2d((1, 2)), Flatten()], (1, 9, 8)),
    "avg pool inside": ([Conv2d(3, 3), AvgPool2d(3, 1, "same", count_include_pad=False), Flatten()], (1, 7, 6)),
    "global avg pool": ([Conv2d(3, 3, padding=1), GlobalAvgPool2d()], (2, 5, 6)),
    "flatten": ([Conv2d(3, 2), Flatten(), Linear(3)], (1, 4, 6)),
    "flatten columns": ([Conv2d(3, 2), Flatten(column_major=True), Linear(3)], (1, 4, 6)),
    "flatten a vector": ([Flatten(), Linear(4), Flatten(), Linear(3), Flatten()], (5,)),
    "linear": ([Linear(7), Linear(17, bias=False), Linear(3)], (33,)),
    "relu": ([Conv2d(4, 3), ReLU(), Flatten(), Linear(9), ReLU(), Linear(3)], (1, 5, 6)),
    "leaky relu": ([Conv2d(4, 3), LeakyReLU(), Flatten(), Linear(9), LeakyReLU(0.3), Linear(3)], (1, 5, 6)),
    "leaky relu, other slopes": ([Linear(9), LeakyReLU(0.0), Linear(9), LeakyReLU(2.0), Linear(3)], (6,)),
    "elu": ([Conv2d(4, 3), ELU(), Flatten(), Linear(9), ELU(0.4), Linear(3)], (1, 5, 6)),
    "elu of small and large alpha": ([Linear(9), ELU(0.01), Linear(9), ELU(3.0), Linear(3)], (6,)),
    "sigmoid": ([Conv2d(4, 3), Sigmoid(), Flatten(), Linear(9), Sigmoid(), Linear(3)], (1, 5, 6)),
    "tanh": ([Conv2d(4, 3), Tanh(), Flatten(), Linear(9), Tanh(), Linear(3)], (1, 5, 6)),
    "activations in a row": ([ReLU(), Linear(5), Tanh(), Sigmoid(), ELU(), Linear(3), LeakyReLU(0.5)], (4,)),
    "activations after pools": ([Conv2d(4, 2), MaxPool2d(2), ReLU(), AvgPool2d(2), Tanh(), Flatten()], (2, 9, 5)),
    "dropout": ([Conv2d(3, 3), Dropout(0.3), ReLU(), Flatten(), Dropout(), Linear(6), Tanh(), Dropout(0.6)], (2, 6, 9)),
    "dropout of maps": ([Conv2d(3, 2), Dropout(.2), Conv2d(2, 5, 1, 2), Dropout(), MaxPool2d(2), Flatten()], (1, 5, 6)),
    "dropout first": ([Dropout(0.0), Dropout(0.4), Linear(3)], (1,)),
    "lp pool": ([Conv2d(4, 2), LPPool2d(3, 2, 1, 1, True), Tanh(), LPPool2d((1, 2)), Flatten(), Linear(3)], (2, 9, 8)),
    "lp pool dilated": ([Conv2d(3, 1), LPPool2d((2, 3), 1, 0, (3, 2)), Conv2d(2, 3), Flatten()], (2, 7, 8)),
    "lp pool, p = 1": ([Conv2d(3, 2), LPPool2d((2, 3), 1, 1, norm_type=1), Conv2d(2, 2), Flatten()], (2, 6, 5)),
    "lp pool, other p": ([Conv2d(3, 2), ReLU(), LPPool2d(3, 2, 1, norm_type=1.5), LPPool2d(2, norm_type=4.7),
                          Flatten()], (2, 7, 9)),
    "softmax": ([Linear(6), Softmax(), Linear(3), Softmax(), Tanh()], (4,)),
    "softmax of maps": ([Conv2d(4, 2), Softmax(), Conv2d(3, 3, padding=1), Flatten(), Linear(3)], (1, 6, 5)),
    "softmax of one": ([Conv2d(1, 2), Softmax(), Conv2d(1, 2), Flatten()], (1, 4, 7)),
    "response norm": ([Conv2d(7, 3), LocalResponseNorm(5, 0.8), ReLU(), Conv2d(3, 2), LocalResponseNorm(2, 3),
                       Flatten()], (2, 6, 8)),
    "response norm, other powers": ([Conv2d(5, 2), LocalResponseNorm(4, 2.0, 0.5, 2.0), LocalResponseNorm(9, 1.0, 1.3),
                                     LocalResponseNorm(3, 1.0, -0.5), Flatten()], (1, 4, 5)),
    "response norm, little": ([Conv2d(3, 2, padding=2), LocalResponseNorm(1, 0.0), LocalResponseNorm(3, 1.0, 0.0),
                               Conv2d(1, 3, padding=1), LocalResponseNorm(3, 1.0), Flatten()], (1, 3, 1)),
    "one channel": ([Conv2d(1, 3), ReLU(), Conv2d(1, 3), ReLU(), Flatten(), Linear(2)], (1, 7, 12)),
    "many channels": ([Conv2d(37, 3, padding=1), ReLU(), Conv2d(29, 1), MaxPool2d(2), GlobalAvgPool2d()], (23, 6, 4)),
    "tall": ([Conv2d(3, (5, 1)), ReLU(), MaxPool2d((3, 1)), Flatten(), Linear(3)], (1, 23, 1)),
    "wide": ([Conv2d(3, (1, 5)), ReLU(), MaxPool2d((1, 3)), Flatten(), Linear(3)], (1, 1, 23)),
    "nothing to learn": ([AvgPool2d(2), Tanh(), Flatten()], (3, 4, 4)),
}  # fmt: skip


#: the same of nets whose samples or branches meet
JOINED: dict[str, tuple[list[Layer], tuple[int, ...]]] = {
    "batch norm": ([Conv2d(5, 3), BatchNorm2d(), ReLU(), MaxPool2d(2), Conv2d(4, 2), Tanh(), BatchNorm2d(1e-3, 0.3),
                    Flatten(), Linear(3)], (2, 8, 9)),
    "batch norm of pixels": ([BatchNorm(), Conv2d(4, 3, padding=1), BatchNorm(running="cumulative"), Flatten(),
                              Linear(6), BatchNorm(), Sigmoid(), Linear(3)], (1, 5, 6)),
    "batch norm before convolutions": ([Conv2d(9, 3, padding=1), BatchNorm2d(), ReLU(), Conv2d(17, 3, padding=1),
                                        BatchNorm2d(), LeakyReLU(0.3), Conv2d(16, 3, padding=2), BatchNorm2d(),
                                        Conv2d(16, 3, padding=1), BatchNorm2d(), Sigmoid(), Conv2d(16, 3, padding=1),
                                        Flatten(), Linear(3)], (2, 5, 6)),
    "batch norm first": ([BatchNorm2d(), BatchNorm2d(running="cumulative"), AvgPool2d(2), Flatten()], (2, 4, 5)),
    "residual": ([Conv2d(4, 3), ReLU(), Residual([Conv2d(4, 3, padding=1), BatchNorm2d(), ReLU(),
                  Conv2d(4, 3, padding=1), BatchNorm2d()]), ReLU(), Flatten(), Linear(3)], (2, 6, 7)),
    "residual, projected": ([Conv2d(3, 3, padding=1), Residual([Conv2d(6, 3, 2, 1), BatchNorm2d(), ReLU(),
                             Conv2d(6, 3, 1, 1), BatchNorm2d()], [Conv2d(6, 1, 2), BatchNorm2d()]), ReLU(),
                             GlobalAvgPool2d(), Linear(3)], (2, 7, 9)),
    "residual without batch norm": ([Conv2d(4, 2), Residual([Conv2d(4, 3, padding=1), ReLU()]), Tanh(),
                                     Residual([BatchNorm2d(), ReLU(), Conv2d(4, 3, padding=1)]),
                                     Residual([AvgPool2d(3, 1, 1)], [Dropout(0.3)]), Flatten()], (2, 5, 6)),
    "residual of the input": ([Residual([Linear(5), BatchNorm()]), Residual([]), Linear(3)], (5,)),
    "residuals in a row": ([Conv2d(4, 3, padding=1), *[Residual([Conv2d(4, 3, padding=1), ReLU(), BatchNorm2d()])] * 2,
                            Residual([Residual([BatchNorm2d()])]), Flatten()], (2, 5, 4)),
    "concat": ([Conv2d(6, 3), ReLU(), Concat([Conv2d(5, 1), [Conv2d(3, 1), ReLU(), Conv2d(4, 3, padding=1), ReLU()],
                [Conv2d(2, 1), BatchNorm2d(), ReLU(), Conv2d(3, 5, padding=2)], [MaxPool2d(3, 1, 1), Conv2d(2, 1)]]),
                MaxPool2d(3, 2, ceil_mode=True), Flatten(), Linear(3)], (2, 8, 9)),
    "concat of all sorts": ([Conv2d(3, 2), Concat([[LPPool2d(3, 1, 1)], [Softmax(), Concat([Tanh(), [Dropout(0.2)]])],
                             [LocalResponseNorm(3)], [AvgPool2d(3, 1, 1)], []]), Residual([Conv2d(18, 1)]), Flatten()],
                            (1, 6, 5)),
    "channels of zeros": ([Conv2d(3, 3), Residual([Conv2d(7, 3, 2, 1), BatchNorm2d()], [AvgPool2d(1, 2),
                           PadChannels(7)]), ReLU(), PadChannels(9), Flatten(), Linear(3)], (2, 7, 8)),
    "sides of their own": ([Pad2d(((1, 0), (2, 1))), Conv2d(4, 3, padding=((1, 0), (0, 2))), ReLU(),
                            MaxPool2d(2, padding=((1, 0), (0, 1))), AvgPool2d(3, 1, padding=((1, 0), (0, 1))),
                            Flatten(), Linear(3)], (2, 7, 8)),
    "concat of vectors": ([Concat([[Linear(4), Tanh()], [Linear(3), BatchNorm()], []]), Linear(3)], (5,)),
}  # fmt: skip


def build(layers: list[Layer], shape: tuple[int, ...], *, seed: int = 0, **settings: Any) -> Network:
    """Return a native network whose biases are not 0."""
    network = Network(layers, shape, engine="native", seed=seed, **settings)
    assert network.engine == "native"
    for name, value in network.parameters.items():
        if name.endswith("bias"):
            value[...] = RNG(seed).normal(size=value.shape) / 3
    return network


def samples(network: Network, n: int, *, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs, and class numbers or values to reach."""
    rng = RNG(seed)
    x = rng.normal(size=(n, *network.input_shape)).astype(np.float32)
    if isinstance(network.loss, SquaredError):
        return x, rng.normal(size=(n, *network.output_shape)).astype(np.float32)
    return x, rng.integers(0, network.output_shape[0], n)


def set_isa(monkeypatch: pytest.MonkeyPatch, isa: str | None) -> None:
    """Force an instruction set, or skip where this processor has none of that name."""
    if isa is None:
        monkeypatch.delenv("PELLUCID_ISA", raising=False)
        return
    widest = instruction_set()
    if widest not in SETS or SETS.index(isa) > SETS.index(widest):
        pytest.skip(f"this processor has {widest}, not {isa}")
    monkeypatch.setenv("PELLUCID_ISA", isa)
