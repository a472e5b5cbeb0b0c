"""The same networks in PyTorch, their parameters under the same names."""

from __future__ import annotations

from collections import OrderedDict
from math import prod

from torch import Tensor, nn

from benchmarks.works import Work


class BatchNormPerActivation(nn.BatchNorm1d):
    """Grishin's batch normalization: every single activation by its own mean and variance."""

    def __init__(self, *shape: int) -> None:
        super().__init__(prod(shape))

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.flatten(1)).view(input.shape)


def nguyen() -> nn.Sequential:
    return _named(
        conv1=nn.Conv2d(1, 6, 5),
        relu1=nn.ReLU(),
        pool1=nn.MaxPool2d(2),
        conv2=nn.Conv2d(6, 12, 5),
        relu2=nn.ReLU(),
        pool2=nn.MaxPool2d(2),
        flatten=nn.Flatten(),
        fc=nn.Linear(192, 10),
    )


def lenet5() -> nn.Sequential:
    return _named(
        conv1=nn.Conv2d(1, 6, 5, padding=2),
        tanh1=nn.Tanh(),
        pool1=nn.AvgPool2d(2),
        conv2=nn.Conv2d(6, 16, 5),
        tanh2=nn.Tanh(),
        pool2=nn.AvgPool2d(2),
        flatten=nn.Flatten(),
        fc1=nn.Linear(400, 120),
        tanh3=nn.Tanh(),
        fc2=nn.Linear(120, 84),
        tanh4=nn.Tanh(),
        fc3=nn.Linear(84, 10),
    )


def grishin(batch_norm: bool) -> nn.Sequential:
    def normalized(name: str, *shape: int) -> dict[str, nn.Module]:
        return {name: BatchNormPerActivation(*shape)} if batch_norm else {}

    return _named(
        conv1=nn.Conv2d(1, 6, 5, padding=2),
        **normalized("bn1", 6, 32, 32),
        elu1=nn.ELU(),
        pool1=nn.MaxPool2d(2),
        conv2=nn.Conv2d(6, 16, 5, padding=2),
        **normalized("bn2", 16, 16, 16),
        elu2=nn.ELU(),
        pool2=nn.MaxPool2d(2),
        flatten=nn.Flatten(),
        fc1=nn.Linear(1024, 65),
        **normalized("bn3", 65),
        elu3=nn.ELU(),
        fc2=nn.Linear(65, 12),
    )


def build(work: Work) -> nn.Sequential:
    """Return the network of a work."""
    if work.model == "grishin":
        return grishin(work.batch_norm)
    return {"nguyen": nguyen, "lenet5": lenet5}[work.model]()


def _named(**layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(layers))
