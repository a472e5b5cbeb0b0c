"""JAX's side, on the processor: Nguyen's net, every step or call one compiled function."""

from __future__ import annotations

import os

import numpy as np

from benchmarks import images
from benchmarks.sides import RATE, READING_RATE, Answer, Job, Side, applied, calls
from pellucid.arrays import Array, Tensors

# Read when the backend starts, at the first array.
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
from jax import lax, nn
from jax import numpy as jnp

#: images of one call when predicting many; 10,000 at once took longer
CHUNK = 250


class _Jax:
    """The images, and the weights to go back to; the variant is the layout and the way to pool."""

    def __init__(self, job: Job) -> None:
        assert job.weights is not None
        self.work, self.start, self.told = job.work, job.weights, job.variant
        self.layout, self.pooling = job.variant.split(", ")
        self.pixels, self.labels = images.read(job.folder, job.work.image_shape)
        self.reset()

    def weights(self) -> Tensors:
        return self.start

    def reset(self) -> None:
        self.params = {name: jnp.array(value) for name, value in self.start.items()}

    def outputs(self, params: dict[str, jax.Array], pixels: jax.Array) -> jax.Array:
        x = pixels.astype(jnp.float32) / 255
        # One channel: both layouts are the same numbers in the same order.
        x = x.reshape(-1, 1, 28, 28) if self.layout == "NCHW" else x.reshape(-1, 28, 28, 1)
        for name in ("conv1", "conv2"):
            x = self._convolution(x, params[f"{name}.weight"], params[f"{name}.bias"])
            x = self._max_pool(nn.relu(x))
        if self.layout == "NHWC":
            x = x.transpose(0, 3, 1, 2)
        return x.reshape(len(x), -1) @ params["fc.weight"].T + params["fc.bias"]

    def _convolution(self, x: jax.Array, weight: jax.Array, bias: jax.Array) -> jax.Array:
        dimensions = (self.layout, "OIHW", self.layout)
        y = lax.conv_general_dilated(x, weight, (1, 1), "VALID", dimension_numbers=dimensions)
        return y + (bias if self.layout == "NHWC" else bias[:, None, None])

    def _max_pool(self, x: jax.Array) -> jax.Array:
        rows = 2 if self.layout == "NCHW" else 1
        if self.pooling == "reduce_window":
            window = tuple(2 if axis in (rows, rows + 1) else 1 for axis in range(4))
            return lax.reduce_window(x, -jnp.inf, lax.max, window, window, "VALID")
        height, width = x.shape[rows : rows + 2]
        cut = x.reshape(*x.shape[:rows], height // 2, 2, width // 2, 2, *x.shape[rows + 2 :])
        return cut.max((rows + 1, rows + 3))


class Training(_Jax):
    """Training steps over shuffled images, taken by index within the compiled step."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.images, self.targets = jnp.array(self.pixels), jnp.array(self.labels)
        self.step = jax.jit(self._step, donate_argnums=0)

    def run(self, times: int) -> None:
        self._train(times, RATE)

    def answer(self) -> Answer:
        self.reset()
        loss = self._train(1, READING_RATE)
        after = {name: np.asarray(value) for name, value in self.params.items()}
        return Answer(loss.item(), applied(self.start, after))

    def _train(self, steps: int, rate: float) -> jax.Array:
        rows = np.random.default_rng(0).permutation(steps * self.work.batch)
        loss = jnp.zeros(())
        for some in rows.reshape(steps, self.work.batch):
            self.params, loss = self.step(self.params, self.images, self.targets, some, rate)
        jax.block_until_ready(self.params)  # else the steps would still be under way
        return loss

    def _step(
        self, params: dict[str, jax.Array], pixels: jax.Array, labels: jax.Array, rows: jax.Array, rate: float
    ) -> tuple[dict[str, jax.Array], jax.Array]:
        loss, gradients = jax.value_and_grad(self._loss)(params, pixels[rows], labels[rows])
        return {name: value - rate * gradients[name] for name, value in params.items()}, loss

    def _loss(self, params: dict[str, jax.Array], pixels: jax.Array, labels: jax.Array) -> jax.Array:
        scores = nn.log_softmax(self.outputs(params, pixels))
        return -jnp.take_along_axis(scores, labels[:, None], axis=1).mean()


class Prediction(_Jax):
    """Predictions, one after the other, each of the next images."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.compute = jax.jit(lambda params, pixels: nn.softmax(self.outputs(params, pixels)))

    def run(self, times: int) -> None:
        for rows in calls(len(self.pixels), self.work.batch, times):
            self._predict(self.pixels[rows])

    def answer(self) -> Answer:
        return Answer(prediction=self._predict(self.pixels[: self.work.batch]))

    def _predict(self, pixels: Array) -> Array:
        chunks = [self.compute(self.params, pixels[i : i + CHUNK]) for i in range(0, len(pixels), CHUNK)]
        return np.concatenate([np.asarray(chunk) for chunk in chunks])


def build(job: Job) -> Side:
    """Return JAX's side for a job."""
    os.environ["NPROC"] = str(job.threads)  # the threads that XLA starts
    return Prediction(job) if job.work.task == "predict" else Training(job)
