"""Network: a description and an input shape become parameters, predictions and gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pellucid import blueprint, inputs
from pellucid.arrays import Array, Shape, Tensors
from pellucid.engine import lower, reference
from pellucid.engine.inheritance import speaks_for
from pellucid.engine.room import require_room, require_room_for_parameters, sample_bytes
from pellucid.engine.threads import check_n_jobs, threads
from pellucid.errors import ConfigError, DataError
from pellucid.graph import INPUT, Graph
from pellucid.layers.base import Layer, Symbol
from pellucid.losses import Loss, SquaredError, resolve_loss
from pellucid.regularizers import Penalty
from pellucid.tensor_table import TensorTable, flat_views, offsets, views
from pellucid.tracing import Step, Trace

if TYPE_CHECKING:
    from pellucid.augmentation import Augmentation
    from pellucid.data.stream import Images
    from pellucid.engine.update import NativeTraining
    from pellucid.optimizers import Optimizer
    from pellucid.summary import Summary
    from pellucid.training.history import History


class Network:
    """A convolutional network: layers, parameters, and a loss.

    Args:
        layers: a list of layers, one layer (often a :class:`~pellucid.layers.Sequential`), or the last symbol of the
            functional form.
        input_shape: (C, H, W) or (K,), without the batch; left out for the functional form.
        loss: ``"cross_entropy"``, ``"log_loss"``, ``"squared_error"``, or a :class:`~pellucid.losses.Loss`.
        seed: fixes initial weights, dropout, and the order of samples in :meth:`fit`.
        dtype: ``"float32"`` or ``"float64"``.
        engine: ``"auto"``, ``"reference"`` or ``"native"``; see ``docs/native-engine.md``.
        input_mean: subtracted from every input. An array, (C,) for one mean a channel or the input's shape for one a
            pixel; or ``"channel"`` or ``"pixel"`` to take it from the training data at the first :meth:`fit`
            (Epelbaum, "Input layer", μ_f and μ_fjk). Not for regression.
        regularization: penalties such as ``L2(1e-4)``, added to the loss.
        n_jobs: threads of the native engine: a number, -1 for one on every processor, -2 for one less, and so on; None
            for OpenMP's setting (``OMP_NUM_THREADS``, threadpoolctl). The results do not depend on it.

    Raises:
        ConfigError: a setting is out of range or contradicts another.
        ShapeError: a layer does not fit; the message shows the chain of shapes up to it.
        EngineError: the engine asked for cannot run here.
        TooLargeError: the parameters, or a single sample on its way through, do not fit into memory.

    Example:
        >>> from pellucid import Network
        >>> from pellucid.layers import Conv2d, Flatten, Linear, ReLU
        >>> net = Network([Conv2d(6, 5), ReLU(), Flatten(), Linear(10)], input_shape=(1, 28, 28))
        >>> list(net.parameters)
        ['0.weight', '0.bias', '3.weight', '3.bias']
    """

    def __init__(
        self,
        layers: Sequence[Layer] | Layer | Symbol | Graph,
        input_shape: Shape | None = None,
        *,
        loss: str | Loss = "cross_entropy",
        seed: int = 0,
        dtype: str = "float32",
        engine: str = "auto",
        input_mean: str | Any | None = None,
        regularization: Sequence[Penalty] = (),
        n_jobs: int | None = None,
    ) -> None:
        _require_dtype(dtype)
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:  # pyright: ignore
            raise ConfigError(f"seed must be a whole number and not negative, got {seed!r}")
        self.graph = layers if isinstance(layers, Graph) else Graph(layers, input_shape)
        self.loss = resolve_loss(loss)
        self.seed = int(seed)
        self.dtype = np.dtype(dtype)
        self.regularization = tuple(regularization)
        #: number of training batches seen; random layers draw by seed and step
        self.step = 0
        require_room_for_parameters(self.graph, self.dtype)
        self._sample_bytes = sample_bytes(self.graph, self.dtype)
        params, state = self.graph.init_tensors(np.random.default_rng(seed), self.dtype)
        # One array with a view for every parameter: what the native engine reads, and names, are the same numbers.
        self._flat, self._params = flat_views(params, self.dtype)
        flat_state, self._state = flat_views(state, self.dtype)
        self._regularized = [
            f"{n.name}.{key}"
            for n in self.graph.nodes
            for key in n.layer.regularized
            if f"{n.name}.{key}" in self._params
        ]
        self._offsets = offsets(self._params)
        self._asked_engine = engine
        starts = self._offsets | offsets(self._state)
        self._native = lower(engine, self.graph, self.loss, starts, self._flat.size, flat_state)
        self.n_jobs = n_jobs
        self._mean: Array | None = None
        #: "channel" or "pixel" if the input mean is to be taken, or was taken, from the training data
        self.input_mean_from: str | None = None
        if input_mean is not None:
            if isinstance(self.loss, SquaredError):
                raise ConfigError(
                    "input_mean is not for regression (Epelbaum, 'Input layer'): leave it out with squared_error"
                )
            given = inputs.check_mean(input_mean, self.input_shape, self.dtype)
            self._mean, self.input_mean_from = (None, given) if isinstance(given, str) else (given, None)

    @property
    def input_shape(self) -> Shape:
        """Shape of one sample, without the batch."""
        return self.graph.input_shape

    @property
    def output_shape(self) -> Shape:
        """Shape of one output, without the batch."""
        return self.graph.output_shape

    @property
    def engine(self) -> str:
        """The engine that runs this network: ``"native"`` or ``"reference"``."""
        return "reference" if self._native is None else "native"

    @property
    def n_jobs(self) -> int | None:
        """Threads of the native engine, -1 for one on every processor, None for OpenMP's setting; may be set."""
        return self._n_jobs

    @n_jobs.setter
    def n_jobs(self, value: int | None) -> None:
        self._n_jobs = check_n_jobs(value)
        if self._native is not None:
            self._native.n_jobs = self._n_jobs

    @property
    def parameters(self) -> TensorTable:
        """Learnable arrays by name; ``net.parameters["0.weight"] = array`` copies the array in."""
        return TensorTable(self._params)

    @parameters.setter
    def parameters(self, values: Mapping[str, Any]) -> None:
        table = self.parameters
        checked = {name: table.check(name, value) for name, value in values.items()}
        for name, value in checked.items():
            table[name] = value

    @property
    def flat_parameters(self) -> Array:
        """All parameters one behind the other, as :attr:`parameters` lists them: the very numbers, not a copy."""
        return self._flat

    def named(self, flat: Array) -> Tensors:
        """Return views of an array laid out like :attr:`flat_parameters`, by parameter name."""
        return views(flat, self._params, self._offsets)

    @property
    def state(self) -> TensorTable:
        """Running statistics by name; assigned like :attr:`parameters`."""
        return TensorTable(self._state)

    @property
    def input_mean(self) -> Array | None:
        """What is subtracted from every input, (C, 1, 1) or the input's shape; None before it is known."""
        return self._mean

    @property
    def regularized(self) -> tuple[str, ...]:
        """Names of the parameters that L1, L2 and max-norm act on."""
        return tuple(self._regularized)

    def forward(self, x: Any, *, batch_size: int = 256) -> Array:
        """Return the last layer's output, before the loss's own activation, shape (N, *output_shape).

        Args:
            x: images (N, C, H, W), or (N, H, W) for one channel; vectors (N, K). ``uint8`` counts as pixels and is
                divided by 255; numbers of any other type are taken as they are. A
                :class:`~pellucid.data.Source` is read ``batch_size`` samples at a time.
            batch_size: samples run at a time; bounds the memory, and changes the result by rounding at most.

        Raises:
            DataError: no samples, NaN or infinity, or numbers that are not real.
            ShapeError: samples of the wrong shape.
            TooLargeError: there is no memory for ``batch_size`` samples at once.
        """
        return self._infer(inputs.check_inputs(x, self.input_shape, threads(self.n_jobs)), batch_size)

    def predict(self, x: Any, *, batch_size: int = 256) -> Array:
        """Return the prediction: :meth:`forward` through the loss's activation (softmax, sigmoid or identity)."""
        return self._infer(inputs.check_inputs(x, self.input_shape, threads(self.n_jobs)), batch_size, activated=True)

    def evaluate(self, x: Any, y: Any, *, sample_weight: Any | None = None, batch_size: int = 256) -> dict[str, float]:
        """Return ``{"loss": ..., "accuracy": ...}`` over the samples.

        Instead of accuracy, several labels a sample give ``"binary_accuracy"``, values ``"mae"``; see
        :mod:`pellucid.metrics`.

        The loss leaves penalties out, and is a mean over samples if the loss's reduction is ``"mean"``.

        Raises:
            DataError, ShapeError: as :meth:`forward`, or labels that do not fit.
        """
        images, target = self.check_set(x, y)
        return self.loss.figures(self._infer(images, batch_size), target, sample_weight)

    def loss_and_gradients(self, x: Any, y: Any, *, sample_weight: Any | None = None) -> tuple[float, Tensors]:
        """Return J and ∂J/∂parameter by name, for one batch, as training does (batch statistics, dropout).

        Running statistics move on as they do in training; parameters and :attr:`step` do not.

        Raises:
            DataError, ShapeError: as :meth:`evaluate`.
        """
        images, target = self.check_samples(x, y)
        value, gradient, _ = self.batch_gradient(images, target, sample_weight)
        return value, self.named(gradient)

    def batch_gradient(
        self, images: Array, target: Array, sample_weight: Array | None = None, *, prepared: bool = False
    ) -> tuple[float, Array, Array]:
        """Return J, its gradient and the outputs for a batch that :meth:`check_samples` has passed.

        The gradient is laid out like :attr:`flat_parameters`. Images that are ``prepared`` have gone through
        :meth:`prepare` already.
        """
        if self._native is not None:
            weight = self.loss.weights(target, sample_weight)
            if self.loss.reduction == "mean":
                weight = weight / weight.sum()
            value, gradient, outputs = self._native.gradients(
                self._pixels(images), target, weight, self._flat, None if prepared else self._mean, self.seed, self.step
            )
        else:
            self._require_room(len(images))
            x = images if prepared else self.prepare(images)
            _, outputs, value, _, gradients = self._both_ways(x, target, self._state, sample_weight)
            gradient, _ = flat_views({name: gradients[name] for name in self._params}, self.dtype)
        if self.regularization:
            value += self._penalize(self.named(gradient))
        return value, gradient, outputs

    def native_training(
        self,
        optimizer: Optimizer,
        images: Array,
        target: Array,
        weight: Array,
        outputs: Array,
        augment: Augmentation | None = None,
    ) -> NativeTraining | None:
        """Return what does a whole step in one native call; None if NumPy must have a part in it.

        Args:
            optimizer: its update.
            images, target: all samples, as :meth:`check_samples` returns them.
            weight: w, (N,), from the loss's ``weights``.
            outputs: (rows, K), where steps put the outputs.
            augment: what happens to the images on the way in.

        Raises:
            DataError: numbers too large for float32.
        """
        from pellucid.engine.update import NativeTraining, native_update

        update = native_update(optimizer, self.regularization)
        known = augment is None or speaks_for(type(augment), "native", "apply")
        if self._native is None or update is None or not known:
            return None
        regularized = [
            (self._offsets[name], len(self._params[name]), self._params[name][0].size) for name in self._regularized
        ]
        return NativeTraining(
            self._native, optimizer, update, self._flat, regularized, outputs,
            images=self._pixels(images), mean=self._mean, target=target, weight=weight, seed=self.seed,
            **({} if augment is None else augment.native()),
        )  # fmt: skip

    def trace(self, x: Any, y: Any, *, training: bool = True) -> Trace:
        """Return every layer's output, δ and gradients for one batch, named and in order; changes nothing.

        Args:
            x, y: as in :meth:`loss_and_gradients`.
            training: use batch statistics and dropout, as while training; else running statistics, no dropout.
        """
        images, target = self.check_samples(x, y)
        state = {name: value.copy() for name, value in self._state.items()}
        start = self.prepare(images)
        run, outputs, value, deltas, gradients = self._both_ways(start, target, state, training=training)
        if self.regularization:
            gradients = {name: np.array(gradient) for name, gradient in gradients.items()}
            value += self._penalize(gradients)
        steps = tuple(
            Step(n.name, n.layer, n.inputs, run.values[n.name], deltas[n.name], reference.own(gradients, n))
            for n in self.graph.nodes
        )
        prediction = self.loss.activation(outputs)
        return Trace(start, deltas[INPUT], steps, prediction, target, value, training, self.step)

    def fit(self, x: Any, y: Any, **settings: Any) -> History:
        """Train; see :func:`pellucid.training.fit` for every setting.

        Returns:
            The history: loss and metric of every epoch.
        """
        from pellucid.training.loop import fit

        return fit(self, x, y, **settings)

    def summary(self) -> Summary:
        """Return a table of layers, output shapes, parameters, multiply-adds and memory; print it to read it."""
        from pellucid.summary import Summary

        planned = None if self._native is None else self._native.planned_memory()
        return Summary(self.graph, self._params, self.dtype, planned)

    def save(self, path: str | Path) -> None:
        """Write a model file (safetensors; the description as JSON in its metadata), whole or not at all.

        Raises:
            FileWriteError: the file cannot be written; one that was there stays as it was.
        """
        blueprint.save(self, Path(path))

    @classmethod
    def load(cls, path: str | Path, *, engine: str = "auto", n_jobs: int | None = None) -> Network:
        """Read a model file written by :meth:`save`; ``engine`` and ``n_jobs``, as for a new network, are not in it.

        Raises:
            ModelFileError: the file is missing, cut, damaged, of an unknown format, names unknown layers, or its
                tensors are not those of the network it describes.
        """
        return blueprint.load(cls, Path(path), engine, n_jobs)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the bytes of a model file, which are checked, and the engine and ``n_jobs`` asked for."""
        return blueprint.from_bytes, (type(self), blueprint.to_bytes(self), self._asked_engine, self.n_jobs)

    def describe(self) -> dict[str, Any]:
        """Return everything but the numbers, as plain JSON types."""
        return blueprint.describe(self)

    def tensors(self) -> Tensors:
        """Return every array a model file holds: parameters, running statistics, the input mean."""
        return blueprint.tensors(self)

    @classmethod
    def rebuild(
        cls, description: dict[str, Any], tensors: Tensors, *, engine: str = "auto", n_jobs: int | None = None
    ) -> Network:
        """Rebuild a network from :meth:`describe` and :meth:`tensors`.

        Raises:
            ModelFileError: an unknown format; missing, extra or misshapen tensors.
        """
        return blueprint.rebuild(cls, description, tensors, engine, n_jobs)

    def copy(self, *, dtype: str | None = None) -> Network:
        """Return an independent network with the same weights, in another dtype if one is given."""
        _require_dtype(dtype or self.dtype.name)
        tensors = {k: v.astype(dtype or v.dtype) for k, v in self.tensors().items()}
        if dtype in (None, self.dtype.name):
            engine = self.engine  # one that fell back does so again, and has been warned about
        else:
            engine = "reference" if self._asked_engine == "reference" else "auto"
        description = {**self.describe(), "dtype": dtype or self.dtype.name}
        network = Network.rebuild(description, tensors, engine=engine, n_jobs=self.n_jobs)
        network._asked_engine = self._asked_engine
        return network

    def centre_on(self, images: Images, rows: Array | None = None) -> None:
        """Set :attr:`input_mean` from images, or some rows of them, if its kind was asked for and it is not known."""
        if self._mean is None and self.input_mean_from is not None:
            self._mean = inputs.training_mean(images, self.input_mean_from, rows).astype(self.dtype)

    def check_images(self, x: Any) -> Array:
        """Return inputs as (N, *input_shape), not yet scaled or centred; see :meth:`forward` for what is taken.

        Raises:
            DataError: no samples, NaN or infinity, or numbers that are not real.
            ShapeError: samples of the wrong shape.
        """
        return inputs.check_images(x, self.input_shape)

    def check_samples(self, x: Any, y: Any) -> tuple[Array, Array]:
        """Return checked inputs and encoded targets (N, K) of the same length.

        Raises:
            DataError, ShapeError: as :meth:`check_images`, or labels that do not fit.
        """
        images = self.check_images(x)
        return images, self._check_targets(y, len(images))

    def check_set(self, x: Any, y: Any) -> tuple[Images, Array]:
        """Return what :meth:`check_samples` does; for a source a stream, whose numbers are checked as they are read."""
        images = inputs.check_inputs(x, self.input_shape, threads(self.n_jobs))
        return images, self._check_targets(y, len(images))

    def prepare(self, images: Array) -> Array:
        """Return checked inputs in the network's dtype, pixels divided by 255, the input mean taken off.

        Raises:
            DataError: numbers too large for the dtype.
        """
        return inputs.prepare(images, self.dtype, self._mean)

    def _check_targets(self, y: Any, samples: int) -> Array:
        target = self.loss.encode(y, self.output_shape, self.dtype)
        if samples != len(target):
            raise DataError(f"there are {samples} inputs but {len(target)} targets")
        return target

    def _infer(self, images: Images, batch_size: int, *, activated: bool = False) -> Array:
        inputs.require_count("batch_size", batch_size)
        with closing(inputs.in_pieces(images, batch_size)) as pieces:
            parts = [self._outputs(piece, activated) for piece in pieces]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _outputs(self, images: Array, activated: bool) -> Array:
        if self._native is not None:
            return self._native.outputs(self._pixels(images), self._flat, self._mean, activated=activated)
        self._require_room(len(images))
        outputs = reference.infer(self.graph, self._params, self._state, self.prepare(images))
        return self.loss.activation(outputs) if activated else outputs

    def _require_room(self, samples: int) -> None:
        require_room(samples * self._sample_bytes, f"a batch of {samples:,} samples", "use a smaller batch_size")

    def _pixels(self, images: Array) -> Array:
        """Return checked images as the native engine takes them, copied only if they are neither bytes nor float32."""
        taken = images.dtype == np.uint8 or images.dtype == np.float32
        return images if taken else inputs.prepare(images, self.dtype, None)

    def _both_ways(
        self, x: Array, target: Array, state: Tensors, sample_weight: Array | None = None, *, training: bool = True
    ) -> tuple[reference.Pass, Array, float, Tensors, Tensors]:
        """Return the reference engine's pass, the outputs, the loss without penalties, δ and gradients by name."""
        run = reference.forward(self.graph, self._params, state, x, training=training, seed=self.seed, step=self.step)
        outputs = run.values[self.graph.nodes[-1].name]
        value, delta = self.loss.value_and_delta(outputs, target, sample_weight)
        return run, outputs, value, *reference.backward(self.graph, self._params, run, delta)

    def _penalize(self, gradients: Tensors) -> float:
        """Add the penalties' gradients to those of the loss, and return the penalties' sum."""
        total = 0.0
        for name in self._regularized:
            for penalty in self.regularization:
                total += penalty.value(self._params[name])
                gradients[name] += penalty.gradient(self._params[name])
        return total


def _require_dtype(dtype: str) -> None:
    if dtype not in ("float32", "float64"):
        raise ConfigError(f"dtype must be 'float32' or 'float64', got {dtype!r}")
