from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class BasicConv2d(nn.Module):
    def __init__(
        self, paper: bool, inputs: int, outputs: int, kernel: int, *, stride: int = 1, padding: int = 0
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding, bias=paper)
        self.bn = None if paper else nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        a = self.conv(x)
        return functional.relu(a if self.bn is None else self.bn(a))


class Inception(nn.Module):
    def __init__(
        self, paper: bool, inputs: int, ch1x1: int, ch3x3red: int, ch3x3: int, ch5x5red: int, ch5x5: int, pool: int
    ) -> None:
        super().__init__()
        wide = {"kernel": 5, "padding": 2} if paper else {"kernel": 3, "padding": 1}
        self.branch1 = BasicConv2d(paper, inputs, ch1x1, 1)
        self.branch2 = nn.Sequential(
            BasicConv2d(paper, inputs, ch3x3red, 1), BasicConv2d(paper, ch3x3red, ch3x3, 3, padding=1)
        )
        self.branch3 = nn.Sequential(
            BasicConv2d(paper, inputs, ch5x5red, 1), BasicConv2d(paper, ch5x5red, ch5x5, **wide)
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(3, stride=1, padding=1, ceil_mode=True), BasicConv2d(paper, inputs, pool, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class GoogLeNet(nn.Module):
    """Without auxiliary heads; ``paper`` has biases, response norm and 5×5 instead of batch norm and 3×3."""

    def __init__(self, *, paper: bool = False, width: int = 16, classes: int = 1000) -> None:
        super().__init__()

        def n(filters: int) -> int:
            return filters * width // 16

        def inception(inputs: int, *filters: int) -> Inception:
            return Inception(paper, n(inputs), *map(n, filters))

        self.conv1 = BasicConv2d(paper, 3, n(64), 7, stride=2, padding=3)
        self.maxpool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.norm1 = nn.LocalResponseNorm(5) if paper else nn.Identity()
        self.conv2 = BasicConv2d(paper, n(64), n(64), 1)
        self.conv3 = BasicConv2d(paper, n(64), n(192), 3, padding=1)
        self.norm2 = nn.LocalResponseNorm(5) if paper else nn.Identity()
        self.maxpool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception3a = inception(192, 64, 96, 128, 16, 32, 32)
        self.inception3b = inception(256, 128, 128, 192, 32, 96, 64)
        self.maxpool3 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception4a = inception(480, 192, 96, 208, 16, 48, 64)
        self.inception4b = inception(512, 160, 112, 224, 24, 64, 64)
        self.inception4c = inception(512, 128, 128, 256, 24, 64, 64)
        self.inception4d = inception(512, 112, 144, 288, 32, 64, 64)
        self.inception4e = inception(528, 256, 160, 320, 32, 128, 128)
        self.maxpool4 = nn.MaxPool2d(3 if paper else 2, stride=2, ceil_mode=True)
        self.inception5a = inception(832, 256, 160, 320, 32, 128, 128)
        self.inception5b = inception(832, 384, 192, 384, 48, 128, 128)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.4 if paper else 0.2)
        self.fc = nn.Linear(n(1024), classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm1(self.maxpool1(self.conv1(x)))
        x = self.maxpool2(self.norm2(self.conv3(self.conv2(x))))
        x = self.maxpool3(self.inception3b(self.inception3a(x)))
        for name in "abcde":
            x = self.get_submodule(f"inception4{name}")(x)
        x = self.inception5b(self.inception5a(self.maxpool4(x)))
        return self.fc(self.dropout(self.avgpool(x).flatten(1)))
