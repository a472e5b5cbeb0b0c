"""ONNX Runtime's side: predictions only."""

from __future__ import annotations

import numpy as np
import onnxruntime

from benchmarks import images, onnx_graph
from benchmarks.sides import Answer, Job, Side, calls
from benchmarks.works import IN_CHUNKS
from pellucid.arrays import Array, Tensors

#: images of one call in the variant that predicts many in chunks
CHUNK = 250


class Prediction:
    """Predictions, one after the other, each of the next images."""

    def __init__(self, job: Job) -> None:
        assert job.weights is not None
        self.work, self.start, self.told = job.work, job.weights, job.variant
        self.chunk = CHUNK if job.variant == IN_CHUNKS else job.work.batch
        self.images, _ = images.read(job.folder, job.work.image_shape)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = job.threads
        graph = onnx_graph.nguyen(job.weights).SerializeToString()
        self.session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def weights(self) -> Tensors:
        return self.start

    def reset(self) -> None:
        """Nothing has changed."""

    def run(self, times: int) -> None:
        for rows in calls(len(self.images), self.work.batch, times):
            self._predict(self.images[rows])

    def answer(self) -> Answer:
        return Answer(prediction=self._predict(self.images[: self.work.batch]))

    def _predict(self, pixels: Array) -> Array:
        if self.chunk >= len(pixels):
            return self._run(pixels)
        return np.concatenate([self._run(pixels[i : i + self.chunk]) for i in range(0, len(pixels), self.chunk)])

    def _run(self, pixels: Array) -> Array:
        return self.session.run(None, {"pixels": pixels})[0]  # pyright: ignore[reportReturnType]


def build(job: Job) -> Side:
    """Return ONNX Runtime's side for a job."""
    return Prediction(job)
