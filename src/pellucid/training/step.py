"""One step of a training: natively in one call, or with NumPy where something of the user's own has a part in it."""

from __future__ import annotations

from math import isfinite
from typing import Protocol

import numpy as np

from pellucid.arrays import Array, Tensors
from pellucid.data.stream import Stream
from pellucid.engine.update import NativeTraining
from pellucid.network import Network
from pellucid.optimizers import Optimizer, OptimizerState
from pellucid.training.nonfinite import Fault, finite
from pellucid.training.samples import Samples


class Step(Protocol):
    """Gradient and update of one batch. Unless loss, statistics and gradient are finite, there is no update."""

    @property
    def gradient(self) -> Array:
        """Of the last batch, flat; there for the asking only where it was not finite."""
        ...

    @property
    def previous(self) -> Array | None:
        """The parameters before the last update, flat; None where they are lost."""
        ...

    @property
    def updates(self) -> int:
        """How many steps have begun to change the parameters."""
        ...

    @property
    def optimizer_state(self) -> OptimizerState:
        """What the optimizer remembers; steps change it in place."""
        ...

    def __call__(self, rows: Array, place: int, rate: float) -> tuple[float, Fault | None]:
        """Do the step.

        Args:
            rows: of the samples.
            place: the row of the outputs where those of the batch begin.
            rate: η.

        Returns:
            J, and what went wrong.
        """
        ...


def choose_step(network: Network, data: Samples, optimizer: Optimizer, outputs: Array) -> Step:
    """Return how this network, loss and optimizer do their steps.

    Args:
        network: what learns.
        data: all samples.
        optimizer: its update.
        outputs: (rows, K), where steps put the network's outputs.

    Raises:
        DataError: numbers too large for the native engine's float32.
    """
    stream = data.images if isinstance(data.images, Stream) else None
    images = data.images.none() if isinstance(data.images, Stream) else data.images
    training = network.native_training(optimizer, images, data.target, data.weight, outputs, data.augment)
    return NumpyStep(network, data, optimizer, outputs) if training is None else NativeStep(network, training, stream)


class NativeStep:
    """A step in one native call; it looks for what is not finite by itself.

    Args:
        network: what learns.
        training: its native part.
        stream: where each step's images are read from; None if the native part has all of them.
    """

    def __init__(self, network: Network, training: NativeTraining, stream: Stream | None = None) -> None:
        self._network, self._state = network, list(network.state.values())
        self._training, self._stream, self._kept = training, stream, True

    @property
    def gradient(self) -> Array:
        """Of the last batch, flat, where it was not finite."""
        return self._training.previous

    @property
    def previous(self) -> Array | None:
        """The parameters before the last update, flat; None after a penalty that is not finite."""
        return self._training.previous if self._kept else None

    @property
    def updates(self) -> int:
        """How many steps have changed the parameters."""
        return self._training.updates

    @property
    def optimizer_state(self) -> OptimizerState:
        """What the optimizer remembers; the native engine changes its arrays."""
        return self._training.state

    def __call__(self, rows: Array, place: int, rate: float) -> tuple[float, Fault | None]:
        """Do the step."""
        images = None if self._stream is None else self._stream[rows]
        value, gradient_finite, params_finite, self._kept = self._training.step(
            rows, place, rate, self._network.step, images
        )
        if not isfinite(value):
            return value, Fault.LOSS
        if self._state and not finite(self._state):
            return value, Fault.STATISTICS
        if not gradient_finite:
            return value, Fault.GRADIENT
        return value, None if params_finite else Fault.PARAMETERS


class NumpyStep:
    """A gradient from either engine, and the optimizer's own NumPy."""

    def __init__(self, network: Network, data: Samples, optimizer: Optimizer, outputs: Array) -> None:
        self._network, self._data, self._optimizer, self._outputs = network, data, optimizer, outputs
        self._params = self._for_optimizer(network.flat_parameters)
        self.optimizer_state = optimizer.start(self._params)
        self._bounded = [network.parameters[name] for name in network.regularized]
        self.gradient = np.zeros_like(network.flat_parameters)
        self.previous, self.updates = network.flat_parameters.copy(), 0

    def __call__(self, rows: Array, place: int, rate: float) -> tuple[float, Fault | None]:
        """Do the step."""
        network, data = self._network, self._data
        images, augmented = data.images[rows], data.augment is not None
        if augmented:
            images = data.inputs(network, images, rows)
        with np.errstate(all="ignore"):  # the caller tells what overflows
            value, self.gradient, outputs = network.batch_gradient(images, *data.wanted(rows), prepared=augmented)
            if not isfinite(value):
                return value, Fault.LOSS
            if not finite(network.state.values()):
                return value, Fault.STATISTICS
            if not finite([self.gradient]):
                return value, Fault.GRADIENT
            gradient = self._for_optimizer(self.gradient)
            np.copyto(self.previous, network.flat_parameters)
            self.updates += 1  # now that they can be put back
            self._optimizer.apply(self._params, gradient, self.optimizer_state, rate, self._bounded)
        self._outputs[place : place + len(rows)] = outputs
        return value, None if finite([network.flat_parameters]) else Fault.PARAMETERS

    def _for_optimizer(self, flat: Array) -> Tensors:
        """Return parameters, or their gradient, as one array if that makes no difference, else by name."""
        return {"parameters": flat} if self._optimizer.elementwise else self._network.named(flat)
