"""Training a step at a time, on a thread of its own, so that one can watch, pause, and go on."""

from __future__ import annotations

from math import isfinite

import numpy as np

from pellucid.arrays import Array, Tensors
from pellucid.explain.explorer.curve import Curve
from pellucid.explain.explorer.subject import Subject
from pellucid.network import Network
from pellucid.optimizers import Optimizer, OptimizerState, resolve_optimizer

#: steps between two looks at the test samples, until there are very many
HELD_EVERY = 25


class Training:
    """Gradient descent on a session's network, and the curves of it.

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
        self._optimizer: tuple[str, Optimizer, OptimizerState] | None = None
        #: steps done
        self.steps = 0
        #: of the batches, and of the looks at the test samples
        self.points, self.held = Curve(1), Curve(HELD_EVERY)

    def step(self, optimizer: str, learning_rate: float, batch_size: int) -> str | None:
        """Do one step; return in words why there can be no further one, or None.

        At NaN or infinity the network goes back to the parameters and running statistics that last gave a finite loss.

        Args:
            optimizer: a name of :data:`pellucid.optimizers.OPTIMIZERS`; it remembers its steps until another is asked
                for.
            learning_rate: η.
            batch_size: samples.
        """
        network, data = self._network, self._subject.require_data()
        if not self.held.after(-1):
            self._look()
        rows = self._next_rows(batch_size)
        images, target = network.check_samples(data.x_train[rows], data.y_train[rows])
        now = self._numbers()
        with np.errstate(all="ignore"):
            value, gradient, outputs = network.batch_gradient(images, target)
            if isfinite(value):
                self._good = now
            self._update(optimizer, gradient, learning_rate)
        if not isfinite(value) or not np.isfinite(network.flat_parameters).all():
            params, state = self._good
            self._optimizer = None
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
        score = float(np.mean(network.loss.scores(metric, outputs, target)))
        self.steps += 1
        if self.points.wants(self.steps):
            self.points.add(self.steps, value, score)
        if self.held.wants(self.steps):
            self._look()
        return None

    def _update(self, name: str, gradient: Array, learning_rate: float) -> None:
        own: Tensors = {"parameters": self._network.flat_parameters}
        if self._optimizer is None or self._optimizer[0] != name:
            optimizer = resolve_optimizer(name)
            self._optimizer = name, optimizer, optimizer.start(own)
        _, optimizer, state = self._optimizer
        optimizer.apply(own, {"parameters": gradient}, state, learning_rate)

    def _numbers(self) -> tuple[Array, Tensors]:
        """Return copies of the parameters and the running statistics."""
        state = {name: value.copy() for name, value in self._network.state.items()}
        return self._network.flat_parameters.copy(), state

    def _look(self) -> None:
        """Measure the network with test samples."""
        with np.errstate(all="ignore"):
            figures = self._network.evaluate(*self._subject.held())
        loss, (accuracy,) = figures.pop("loss"), figures.values()
        self.held.add(self.steps, loss, accuracy)

    def _next_rows(self, batch_size: int) -> Array:
        """Return the rows of the next batch; every sample comes once before any comes again."""
        while len(self._order) < batch_size:
            samples = len(self._subject.require_data().x_train)
            again = np.random.default_rng([self._network.seed, self._network.step]).permutation(samples)
            self._order = np.concatenate([self._order, again])
        rows, self._order = self._order[:batch_size], self._order[batch_size:]
        return rows
