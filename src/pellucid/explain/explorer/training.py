"""Training a step at a time, on a thread of its own, so that one can watch, pause, and go on."""

from __future__ import annotations

from math import isfinite

import numpy as np

from pellucid.arrays import Array, Tensors
from pellucid.explain.explorer.subject import Subject
from pellucid.metrics import METRICS
from pellucid.network import Network
from pellucid.optimizers import SGD

#: steps between two looks at the test samples
HELD_EVERY = 25


class Training:
    """Plain stochastic gradient descent on a session's network, and the curves of it.

    Args:
        subject: whose data is trained on.
        network: what learns, in place.

    Raises:
        DataError: there is no data set.
    """

    def __init__(self, subject: Subject, network: Network) -> None:
        self._subject, self._network = subject, network
        subject.require_data()
        self._order = np.arange(0)
        self._good = self._numbers()
        #: a point for every step, and one for every look at the test samples
        self.points: list[dict[str, float]] = []
        self.held: list[dict[str, float]] = []

    @property
    def steps(self) -> int:
        """Steps done."""
        return len(self.points)

    def step(self, learning_rate: float, batch_size: int) -> str | None:
        """Do one step; return in words why there can be no further one, or None.

        At NaN or infinity the network goes back to the parameters and running statistics that last gave a finite loss.
        """
        network, data = self._network, self._subject.require_data()
        if not self.held:
            self._look()
        rows = self._next_rows(batch_size)
        images, target = network.check_samples(data.x_train[rows], data.y_train[rows])
        now = self._numbers()
        optimizer = SGD(learning_rate)
        with np.errstate(all="ignore"):
            value, gradient, outputs = network.batch_gradient(images, target)
            if isfinite(value):
                self._good = now
            own: Tensors = {"parameters": network.flat_parameters}
            optimizer.apply(own, {"parameters": gradient}, optimizer.start(own), learning_rate, [])
        if not isfinite(value) or not np.isfinite(network.flat_parameters).all():
            params, state = self._good
            network.flat_parameters[...] = params
            for name, kept in state.items():
                network.state[name] = kept
            what = "a loss that is" if not isfinite(value) else "weights that are"
            return (
                f"step {self.steps + 1} met {what} not finite; the network is back at the last weights with a finite "
                f"loss. Lower the learning rate, {learning_rate:g}"
            )
        network.step += 1
        metric = network.loss.metric_name(target)
        score = float(np.mean(METRICS[metric](network.loss.activation(outputs), target)))
        self.points.append({"step": self.steps + 1, "loss": value, "accuracy": score})
        if self.steps % HELD_EVERY == 0:
            self._look()
        return None

    def _numbers(self) -> tuple[Array, Tensors]:
        """Return copies of the parameters and the running statistics."""
        state = {name: value.copy() for name, value in self._network.state.items()}
        return self._network.flat_parameters.copy(), state

    def _look(self) -> None:
        """Measure the network with test samples."""
        figures = self._network.evaluate(*self._subject.held())
        loss = figures.pop("loss")
        self.held.append({"step": self.steps, "loss": loss, "accuracy": next(iter(figures.values()))})

    def _next_rows(self, batch_size: int) -> Array:
        """Return the rows of the next batch; every sample comes once before any comes again."""
        while len(self._order) < batch_size:
            samples = len(self._subject.require_data().x_train)
            again = np.random.default_rng([self._network.seed, self._network.step]).permutation(samples)
            self._order = np.concatenate([self._order, again])
        rows, self._order = self._order[:batch_size], self._order[batch_size:]
        return rows
