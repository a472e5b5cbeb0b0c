from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=(kernel - 1) // 2, bias=False)


class Unit(nn.Module):
    """What a block and a ResNet share; ``norm_last`` is Epelbaum's order."""

    norm_last: bool

    def activated(self, a: Tensor, norm: nn.Module) -> Tensor:
        return norm(functional.relu(a)) if self.norm_last else functional.relu(norm(a))


class Block(Unit):
    def __init__(
        self, inputs: int, maps: int, stride: int, *, bottleneck: bool, norm_last: bool, shortcut: nn.Module | None
    ) -> None:
        super().__init__()
        self.norm_last = norm_last
        outputs = 4 * maps if bottleneck else maps
        if bottleneck:
            self.conv1, self.bn1 = conv(inputs, maps, 1), nn.BatchNorm2d(maps)
            self.conv2, self.bn2 = conv(maps, maps, 3, stride), nn.BatchNorm2d(maps)
            self.conv3, self.bn3 = conv(maps, outputs, 1), nn.BatchNorm2d(outputs)
        else:
            self.conv1, self.bn1 = conv(inputs, maps, 3, stride), nn.BatchNorm2d(maps)
            self.conv2, self.bn2 = conv(maps, maps, 3), nn.BatchNorm2d(maps)
        self.bottleneck = bottleneck
        self.downsample = shortcut

    def forward(self, x: Tensor) -> Tensor:
        kept = x if self.downsample is None else self.downsample(x)
        y = self.activated(self.conv1(x), self.bn1)
        a, norm = self.conv2(y), self.bn2
        if self.bottleneck:
            a, norm = self.conv3(self.activated(a, norm)), self.bn3
        return kept + self.activated(a, norm) if self.norm_last else functional.relu(norm(a) + kept)


def projection(inputs: int, outputs: int, stride: int) -> nn.Module:
    return nn.Sequential(conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))


class Zeros(nn.Module):
    """Every other pixel, and as many maps of zeros as there are maps."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, x.shape[1]))


class ResNet(Unit):
    def __init__(self, depth: int, *, norm_last: bool = False, width: int = 64, classes: int = 1000) -> None:
        super().__init__()
        self.norm_last = norm_last
        bottleneck = depth >= 50
        self.conv1, self.bn1 = conv(3, width, 7, 2), nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        channels = width
        for stage, count in enumerate(BLOCKS[depth]):
            blocks: list[nn.Module] = []
            maps = width * 2**stage
            outputs = 4 * maps if bottleneck else maps
            for number in range(count):
                stride = 2 if stage and not number else 1
                changes = stride == 2 or channels != outputs
                shortcut = projection(channels, outputs, stride) if changes else None
                blocks.append(
                    Block(channels, maps, stride, bottleneck=bottleneck, norm_last=norm_last, shortcut=shortcut)
                )
                channels = outputs
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.activated(self.conv1(x), self.bn1))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))


class CifarResNet(Unit):
    """6n + 2 layers for images of 32×32; ``zeros`` is the shortcut without parameters."""

    def __init__(
        self, depth: int, *, zeros: bool = True, norm_last: bool = False, width: int = 16, classes: int = 10
    ) -> None:
        super().__init__()
        self.norm_last = norm_last
        self.conv1, self.bn1 = conv(3, width, 3), nn.BatchNorm2d(width)
        channels = width
        for stage in range(3):
            blocks: list[nn.Module] = []
            maps = width * 2**stage
            for number in range((depth - 2) // 6):
                halves = stage > 0 and number == 0
                shortcut = (Zeros() if zeros else projection(channels, maps, 2)) if halves else None
                stride = 2 if halves else 1
                blocks.append(Block(channels, maps, stride, bottleneck=False, norm_last=norm_last, shortcut=shortcut))
                channels = maps
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer3(self.layer2(self.layer1(self.activated(self.conv1(x), self.bn1))))
        return self.fc(x.mean((2, 3)))
