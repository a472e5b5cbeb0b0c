"""PyTorch's side, written as fast as plain PyTorch gets: the batch taken by index, a fused update, nothing recorded."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch._dynamo  # the optimizer imports it at its first step, into the memory that is measured
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from benchmarks import images, pytorch_nets
from benchmarks.sides import RATE, READING_RATE, Answer, Job, Side, applied, calls
from pellucid.arrays import Tensors

#: images of one forward pass when predicting many; none of 50, 100, 500, 1,000 and 10,000 was clearly faster
CHUNK = 250


class _PyTorch:
    """The network in the variant's layout, the images as tensors, and the weights to go back to."""

    def __init__(self, job: Job) -> None:
        torch.set_num_threads(job.threads)
        assert job.weights is not None
        self.work, self.start = job.work, job.weights
        self.layout, self.mode = job.variant.split(", ")
        self.format = torch.channels_last if self.layout == "channels_last" else torch.contiguous_format
        pixels, labels = images.read(job.folder, job.work.image_shape)
        self.images, self.labels = torch.from_numpy(pixels), torch.from_numpy(labels)
        self.net = pytorch_nets.build(job.work).to(memory_format=self.format)  # pyright: ignore[reportCallIssue]
        self.reset()

    @property
    def told(self) -> str:
        return f"{self.layout}, {self.mode}"

    def weights(self) -> Tensors:
        return self.start

    def reset(self) -> None:
        with torch.no_grad():
            for name, parameter in self.net.named_parameters():
                parameter.copy_(torch.from_numpy(self.start[name]).view(parameter.shape))

    def outputs(self, pixels: Tensor) -> Tensor:
        return self.net(pixels.to(torch.float32, memory_format=self.format).div_(255))


class Training(_PyTorch):
    """Training steps over shuffled images, without the cost of a DataLoader."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        if job.work.model == "grishin":
            self.targets, compute = F.one_hot(self.labels, 12).float(), self._log_loss
        else:
            self.targets, compute = self.labels, self._cross_entropy
        self.loss = torch.compile(compute, dynamic=False) if self.mode == "compiled" else compute

    def run(self, times: int) -> None:
        self._train(times, RATE)

    def answer(self) -> Answer:
        self.reset()
        loss = self._train(1, READING_RATE)
        after = {name: value.detach().numpy() for name, value in self.net.named_parameters()}
        return Answer(loss.item(), applied(self.start, after))

    def _train(self, steps: int, rate: float) -> Tensor:
        return train(self.net, self.loss, self.images, self.targets, self.work.batch, steps, rate)

    def _cross_entropy(self, pixels: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(self.outputs(pixels), target)

    def _log_loss(self, pixels: Tensor, target: Tensor) -> Tensor:
        sums = F.binary_cross_entropy_with_logits(self.outputs(pixels), target, reduction="sum")
        return sums / len(pixels)


def train(
    net: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    images: Tensor,
    targets: Tensor,
    batch: int,
    steps: int,
    rate: float,
) -> Tensor:
    """Do so many training steps and return the last one's loss."""
    optimizer = torch.optim.SGD(net.parameters(), lr=rate, fused=True)
    value = torch.zeros(())
    for rows in torch.randperm(steps * batch).split(batch):
        optimizer.zero_grad()
        value = loss(images.index_select(0, rows), targets.index_select(0, rows))
        value.backward()
        optimizer.step()
    return value


class Prediction(_PyTorch):
    """Predictions, one after the other, each of the next images."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.net.eval()
        self.compute = torch.compile(self._compute, dynamic=False) if self.mode == "compiled" else self._compute

    def run(self, times: int) -> None:
        for rows in calls(len(self.images), self.work.batch, times):
            self._predict(self.images[rows])

    def answer(self) -> Answer:
        return Answer(prediction=self._predict(self.images[: self.work.batch]).numpy())

    @torch.inference_mode()
    def _predict(self, pixels: Tensor) -> Tensor:
        if len(pixels) <= CHUNK:
            return self.compute(pixels)
        return torch.cat([self.compute(chunk) for chunk in pixels.split(CHUNK)])

    def _compute(self, pixels: Tensor) -> Tensor:
        return self.outputs(pixels).softmax(1)


def build(job: Job) -> Side:
    """Return PyTorch's side for a job."""
    return Prediction(job) if job.work.task == "predict" else Training(job)
