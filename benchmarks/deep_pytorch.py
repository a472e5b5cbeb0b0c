"""PyTorch's side for a deep network: torchvision's, by the steps that the small networks are trained with."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from benchmarks import images
from benchmarks.deep_sides import DeepAnswer, DeepJob, write_gradients
from benchmarks.deep_works import BFLOAT16
from benchmarks.pytorch import train
from benchmarks.sides import RATE, READING_RATE
from benchmarks.torch_nets.alexnet import AlexNet
from benchmarks.torch_nets.googlenet import GoogLeNet
from benchmarks.torch_nets.resnet import CifarResNet, ResNet
from benchmarks.torch_nets.vgg import VGG

#: by the zoo's names
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "alexnet": AlexNet,
    "vgg16": partial(VGG, 16),
    "googlenet": GoogLeNet,
    "resnet18": partial(ResNet, 18),
    "resnet50": partial(ResNet, 50),
    "resnet20_cifar": partial(CifarResNet, 20),
}


class Training:
    """The images, and the network, which is built when it is first needed: it is part of the memory to train it."""

    def __init__(self, job: DeepJob) -> None:
        torch.set_num_threads(job.threads)
        self.job, self.told = job, job.variant
        layout, mode, *precision = job.variant.split(", ")
        self.format = torch.channels_last if layout == "channels_last" else torch.contiguous_format
        self.bfloat16 = precision == [BFLOAT16]
        self.loss = torch.compile(self._loss, dynamic=False) if mode == "compiled" else self._loss
        pixels, labels = images.read(job.folder, job.work.image_shape)
        self.images, self.labels = torch.from_numpy(pixels), torch.from_numpy(labels)

    @cached_property
    def net(self) -> nn.Module:
        return NETWORKS[self.job.work.model]().to(memory_format=self.format)  # pyright: ignore[reportCallIssue]

    def reset(self) -> None:
        self.net.load_state_dict(load_file(self.job.weights))

    def run(self, times: int) -> None:
        self._train(times, RATE)

    def answer(self) -> DeepAnswer:
        """Do a step without dropout, in which the sides could never agree."""
        self.reset()
        before = {name: value.detach().numpy().copy() for name, value in self.net.named_parameters()}
        dropouts = [module for module in self.net.modules() if isinstance(module, nn.Dropout)]
        for dropout in dropouts:
            dropout.eval()
        loss = self._train(1, READING_RATE)
        for dropout in dropouts:
            dropout.train()
        after = {name: value.detach().numpy() for name, value in self.net.named_parameters()}
        return DeepAnswer(loss.item(), write_gradients(self.job.folder / "theirs", before, after))

    def _train(self, steps: int, rate: float) -> Tensor:
        return train(self.net, self.loss, self.images, self.labels, self.job.work.batch, steps, rate)

    def _loss(self, pixels: Tensor, target: Tensor) -> Tensor:
        x = pixels.to(torch.float32, memory_format=self.format).div_(255)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            sums = self.net(x)
        return F.cross_entropy(sums.float(), target)


def build(job: DeepJob) -> Training:
    """Return PyTorch's side for a job."""
    return Training(job)
