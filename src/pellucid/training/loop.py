"""The training loop."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NoReturn

import numpy as np

from pellucid.arrays import Array, Tensors
from pellucid.errors import ConfigError, NonFiniteError
from pellucid.inputs import require_count
from pellucid.losses import Loss
from pellucid.metrics import METRICS
from pellucid.network import Network
from pellucid.optimizers import Optimizer, resolve_optimizer
from pellucid.schedules import Schedule, resolve_schedule
from pellucid.training import batches, samples
from pellucid.training.callbacks import Callback
from pellucid.training.history import History
from pellucid.training.nonfinite import finite, first_cause
from pellucid.training.progress import reporter
from pellucid.training.samples import Samples
from pellucid.training.snapshot import LastGood


def fit(
    network: Network,
    x: Any,
    y: Any,
    *,
    epochs: int = 5,
    batch_size: int = 64,
    optimizer: str | Optimizer = "sgd",
    learning_rate: float | Schedule | None = None,
    validation_data: tuple[Any, Any] | tuple[Any, Any, Any] | None = None,
    validation_split: float = 0.0,
    callbacks: Sequence[Callback] = (),
    shuffle: bool = True,
    sample_weight: Any | None = None,
    verbose: int = 1,
) -> History:
    """Train a network on mini-batches; also called as ``network.fit(x, y, ...)``.

    One step takes the gradients of the batch's loss and lets the optimizer change the parameters in place. Everything
    random follows from the network's seed and step, so the same call on an equal network gives the same weights bit for
    bit, whatever listens or is shown.

    A further call goes on from the weights there are. Samples then come in new orders, since an epoch's order is drawn
    by the seed and the step it begins with. The optimizer starts afresh, without the velocities of the last call, and
    so does the learning rate's schedule.

    Args:
        network: what to train. If its ``input_mean`` is to be taken from data and is not known yet, it is taken from
            these samples, less those held out.
        x: inputs (N, *input_shape), as for :meth:`Network.forward <pellucid.Network.forward>`; ``uint8`` stays so in
            memory.
        y: class numbers (N,), or targets (N, K).
        epochs: passes over the data.
        batch_size: samples of one step. The last batch of an epoch may be smaller; a single sample left over joins
            the batch before it, since batch normalization cannot train on one.
        optimizer: ``"sgd"``, ``"momentum"``, ``"nesterov"``, ``"adagrad"``, ``"rmsprop"``, ``"adadelta"``, ``"adam"``,
            ``"adamax"``, ``"adamw"``, or an object of :mod:`pellucid.optimizers`.
        learning_rate: a number or a schedule of :mod:`pellucid.schedules`, in place of the named optimizer's own. A
            schedule is asked before every batch, with time epoch + batch/batches.
        validation_data: ``(x, y)`` or ``(x, y, sample_weight)`` to evaluate after every epoch.
        validation_split: share of the samples to hold out and evaluate instead, drawn by the seed; every class gives
            the same share. The rest is trained on.
        callbacks: told of every epoch and batch, in this order; see :class:`Callback`.
        shuffle: draw a new order for every epoch; False takes the samples as they come.
        sample_weight: (N,), not negative; a sample of weight 2 counts as two of weight 1, one of weight 0 is left out.
        verbose: 1 shows a bar on a terminal, elsewhere prints a line an epoch; 0 shows nothing.

    Returns:
        The history: a row for every epoch that was finished. The training figures are means over the batches as they
        were trained on, each counting as the samples in it weigh, penalties and dropout included; so an epoch's loss
        lags behind that of the weights it ends with. The validation figures are :meth:`Network.evaluate`'s. With
        ``reduction="sum"`` both losses are sums over all samples instead.

        Ctrl-C ends the training at any moment with a warning and the history so far: the network then has the weights,
        running statistics and step of a whole number of steps.

    Raises:
        ConfigError: a setting is out of range; validation data in the wrong form, or asked for in two ways, or a split
            that leaves no samples; a callback that is none.
        DataError, ShapeError: samples, labels or weights that the network cannot train on.
        NonFiniteError: a loss, a gradient, a weight or a running statistic became NaN or infinite. The message names
            epoch, batch (both from 1) and the first layer to go wrong; the network has the weights, running statistics
            and step it had when the loss was last finite.

    Example:
        >>> import numpy as np
        >>> from pellucid import Network
        >>> from pellucid.layers import Linear
        >>> x = np.random.default_rng(0).normal(size=(100, 2))
        >>> network = Network([Linear(2)], input_shape=(2,))
        >>> history = fit(network, x, (x[:, 0] > x[:, 1]).astype(int), epochs=20, verbose=0)
        >>> history["accuracy"][-1] > 0.9
        True
    """
    require_count("epochs", epochs)
    require_count("batch_size", batch_size)
    for callback in callbacks:
        if not isinstance(callback, Callback):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"callbacks must be objects of subclasses of Callback, got {callback!r}")
    resolved = resolve_optimizer(optimizer, learning_rate)
    data = samples.check(network, x, y, sample_weight)
    rows, validation = samples.hold_out(network, data, validation_data, validation_split)
    network.centre_on(data.images, rows)
    listeners = [reporter(verbose), *callbacks]
    return _Training(network, data, rows, validation, resolved, int(epochs), int(batch_size), shuffle, listeners).run()


@dataclass
class _Training:
    """One call of :func:`fit`, its arguments checked."""

    network: Network
    data: Samples
    rows: Array
    validation: Samples | None
    optimizer: Optimizer
    epochs: int
    batch_size: int
    shuffle: bool
    callbacks: Sequence[Callback]

    def __post_init__(self) -> None:
        self.rate = resolve_schedule(self.optimizer.learning_rate)
        self.params = self._for_optimizer(self.network.flat_parameters)
        self.optimizer_state = self.optimizer.start(self.params)
        self.bounded = [self.network.parameters[name] for name in self.network.regularized]
        self.last_good = LastGood(self.network)
        self.metric = self.network.loss.metric_name(self.data.target)
        figures = ("loss", self.metric)
        held = () if self.validation is None else tuple(f"val_{name}" for name in figures)
        self.history = History(("epoch", *figures, *held, "learning_rate", "seconds"))

    def run(self) -> History:
        try:
            try:
                self._run_epochs()
            except BaseException:
                self.last_good.recover()
                raise
            finally:
                self._tell("on_train_end", self.history.rows[-1] if self.history.rows else {})
        except KeyboardInterrupt:
            self.last_good.recover()  # a second Ctrl-C may have come just before this was done above
            self.history.stopped = "interrupted"
            warnings.warn(
                f"training interrupted after {len(self.history)} of {self.epochs} epochs; the network keeps what it "
                f"learnt in {self.network.step} steps",
                stacklevel=3,
            )
        return self.history

    def _run_epochs(self) -> None:
        for callback in self.callbacks:
            callback.network = self.network
            callback.stop_training = False
        count = len(batches.cut(self.rows, self.batch_size))
        self._tell("on_train_begin", {"epochs": self.epochs, "batches": count, "columns": self.history.columns})
        for epoch in range(self.epochs):
            self._run_epoch(epoch)
            if self._stopped():
                self.history.stopped = "early stopping"
                return

    def _run_epoch(self, epoch: int) -> None:
        started = perf_counter()
        self._tell("on_epoch_begin", epoch, {})
        order = batches.order(len(self.rows), self.network.seed, self.network.step, self.shuffle)
        cut = batches.cut(self.rows[order], self.batch_size)
        means, rate = _Means(self.network.loss, self.metric), 0.0
        for batch, rows in enumerate(cut):
            rate = self.rate(epoch + batch / len(cut), self.epochs)
            self._step(f"epoch {epoch + 1}, batch {batch + 1}", self.data.take(rows), rate, means)
            self._tell("on_batch_end", batch, means.logs())
            if self._stopped():
                break
        row = {"epoch": epoch + 1, **means.logs(), **self._validate(epoch), "learning_rate": rate}
        self.history.rows.append({**row, "seconds": perf_counter() - started})
        self._tell("on_epoch_end", epoch, self.history.rows[-1])

    def _step(self, where: str, batch: Samples, rate: float, means: _Means) -> None:
        network = self.network
        self.last_good.begin()
        with np.errstate(all="ignore"):  # what overflows is reported below, with its layer
            value, gradient, outputs = network.batch_gradient(batch.images, batch.target, batch.given)
            if not np.isfinite(value):
                self._fail(f"{where}: the loss is {value}. {first_cause(network, batch)}", rate)
            self.last_good.confirm()
            if not finite(network.state.values()):
                told = _not_finite("the running statistic", network.state)
                self._fail(f"{where}: {told}. {first_cause(network, batch)}", rate)
            if not finite([gradient]):
                told = _not_finite("the gradient of", network.named(gradient))
                self._fail(f"{where}: {told}. {first_cause(network, batch)}", rate)
            self.optimizer.apply(self.params, self._for_optimizer(gradient), self.optimizer_state, rate, self.bounded)
            if not finite([network.flat_parameters]):
                self._fail(f"{where}: after the update, {_not_finite('the parameter', network.parameters)}.", rate)
            means.add(value, outputs, batch)
        network.step += 1
        self.last_good.end()

    def _for_optimizer(self, flat: Array) -> Tensors:
        """Return parameters, or their gradient, as one array if that makes no difference, else by name."""
        return {"parameters": flat} if self.optimizer.elementwise else self.network.named(flat)

    def _validate(self, epoch: int) -> dict[str, float]:
        if self.validation is None:
            return {}
        held = self.validation
        with np.errstate(all="ignore"):
            figures = self.network.evaluate(held.images, held.target, sample_weight=held.given)
        if not np.isfinite(figures["loss"]):
            self._fail(f"epoch {epoch + 1}: the validation loss is {figures['loss']}.", None)
        return {f"val_{name}": value for name, value in figures.items()}

    def _fail(self, what: str, rate: float | None) -> NoReturn:
        self.last_good.put_back()
        used = "" if rate is None else f" (it was {rate:g})"
        raise NonFiniteError(
            f"{what} The network is back at its last good weights, those of step {self.network.step}. Lower the "
            f"learning rate{used}, or bound the gradients with the optimizer's clip_norm, e.g. clip_norm=1.0"
        )

    def _stopped(self) -> bool:
        return any(callback.stop_training for callback in self.callbacks)

    def _tell(self, moment: str, *what: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, moment)(*what)


class _Means:
    """Loss and metric over the batches of an epoch so far, each batch counting as its samples weigh."""

    def __init__(self, loss: Loss, metric: str) -> None:
        self._loss, self._metric = loss, metric
        self._value = self._score = self._weight = 0.0

    def add(self, value: float, outputs: Array, batch: Samples) -> None:
        """Count a batch whose loss is ``value``."""
        weight = float(batch.weight.sum())
        self._value += value * weight if self._loss.reduction == "mean" else value
        self._score += float(batch.weight @ METRICS[self._metric](self._loss.activation(outputs), batch.target))
        self._weight += weight

    def logs(self) -> dict[str, float]:
        """Return the figures by name."""
        divisor = self._weight if self._loss.reduction == "mean" else 1.0
        return {"loss": self._value / divisor, self._metric: self._score / self._weight}


def _not_finite(what: str, arrays: Mapping[str, Array]) -> str:
    first = next(name for name, array in arrays.items() if not finite([array]))
    return f"{what} {first!r} is not finite"
