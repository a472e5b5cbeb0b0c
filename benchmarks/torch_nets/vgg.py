from __future__ import annotations

from torch import Tensor, nn

CONVOLUTIONS = {11: "1 1 2 2 2", 13: "2 2 2 2 2", 16: "2 2 3 3 3", 19: "2 2 4 4 4"}


class VGG(nn.Module):
    """For ImageNet, or with ``cifar`` for images of 32×32; ``norm_last`` is Epelbaum's order."""

    def __init__(
        self,
        depth: int,
        *,
        batch_norm: bool = False,
        norm_last: bool = False,
        cifar: bool = False,
        width: int = 64,
        classes: int = 1000,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for count, times in zip(CONVOLUTIONS[depth].split(), (1, 2, 4, 8, 8), strict=True):
            for _ in range(int(count)):
                layers.append(nn.Conv2d(channels, times * width, 3, padding=1))
                channels = times * width
                if batch_norm:
                    layers += (
                        [nn.ReLU(), nn.BatchNorm2d(channels)] if norm_last else [nn.BatchNorm2d(channels), nn.ReLU()]
                    )
                else:
                    layers.append(nn.ReLU())
            layers.append(nn.MaxPool2d(2, stride=2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.Identity() if cifar else nn.AdaptiveAvgPool2d(7)
        if cifar:
            self.classifier: nn.Module = nn.Linear(channels, classes)
        else:
            self.classifier = nn.Sequential(
                nn.Linear(channels * 49, 64 * width),
                nn.ReLU(),
                nn.Dropout(),
                nn.Linear(64 * width, 64 * width),
                nn.ReLU(),
                nn.Dropout(),
                nn.Linear(64 * width, classes),
            )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))
