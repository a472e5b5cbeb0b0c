"""Pellucid's side, through the calls that users make: ``fit`` and ``predict``."""

from __future__ import annotations

from typing import Any

from benchmarks import images
from benchmarks.sides import RATE, READING_RATE, Answer, Job, Side, applied, calls
from pellucid import training, zoo
from pellucid.arrays import Tensors

#: imported with this module, since ``fit`` would import it at its first call, into the memory that is measured
_LOOP = training.fit


class _Pellucid:
    """The network, the images, and the weights to go back to."""

    def __init__(self, job: Job) -> None:
        self.work = job.work
        self.images, self.labels = images.read(job.folder, job.work.image_shape)
        settings: dict[str, Any] = {"batch_norm": True} if job.work.batch_norm else {}
        self.network = zoo.build(job.work.model, engine=job.variant, **settings)
        self.start = {name: value.copy() for name, value in self.network.parameters.items()}

    @property
    def told(self) -> str:
        return self.network.engine

    def weights(self) -> Tensors:
        return self.start

    def reset(self) -> None:
        self.network.parameters = self.start


class Training(_Pellucid):
    """Training steps: an epoch over as many images as they take, in shuffled order."""

    def run(self, times: int) -> None:
        self._fit(times, RATE)

    def answer(self) -> Answer:
        self.reset()
        loss = self._fit(1, READING_RATE)
        return Answer(loss, applied(self.start, dict(self.network.parameters)))

    def _fit(self, steps: int, rate: float) -> float:
        rows = slice(steps * self.work.batch)
        history = self.network.fit(
            self.images[rows],
            self.labels[rows],
            epochs=1,
            batch_size=self.work.batch,
            optimizer="sgd",
            learning_rate=rate,
            verbose=0,
        )
        return float(history["loss"][0])


class Prediction(_Pellucid):
    """Predictions, one call after the other, each of the next images."""

    def run(self, times: int) -> None:
        for rows in calls(len(self.images), self.work.batch, times):
            self.network.predict(self.images[rows])

    def answer(self) -> Answer:
        return Answer(prediction=self.network.predict(self.images[: self.work.batch]))


def build(job: Job) -> Side:
    """Return Pellucid's side for a job."""
    return Prediction(job) if job.work.task == "predict" else Training(job)
