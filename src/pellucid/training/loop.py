"""The training loop."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from time import perf_counter
from typing import Any, NoReturn

import numpy as np

from pellucid.arrays import Array
from pellucid.augmentation import Augmentation
from pellucid.errors import ConfigError, NonFiniteError
from pellucid.inputs import require_count
from pellucid.network import Network
from pellucid.optimizers import Optimizer, resolve_optimizer
from pellucid.schedules import Schedule, resolve_schedule
from pellucid.training import batches, samples
from pellucid.training.callbacks import Callback, TerminateOnNaN
from pellucid.training.checkpoint import Changing, Position
from pellucid.training.checkpoints import Checkpoints, Saver
from pellucid.training.figures import Figures, room_for_outputs
from pellucid.training.fingerprint import fingerprint
from pellucid.training.history import History
from pellucid.training.nonfinite import Fault, what_is_not_finite
from pellucid.training.progress import reporter
from pellucid.training.samples import Samples
from pellucid.training.snapshot import LastGood, Snapshot
from pellucid.training.step import choose_step


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
    augment: Augmentation | None = None,
    checkpoints: Checkpoints | None = None,
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
        x: inputs (N, *input_shape), as for :meth:`Network.forward <pellucid.Network.forward>`. ``uint8`` and
            ``float32`` in C order, memory-mapped too, are read where they lie; the native engine makes one copy of
            anything else. A :class:`~pellucid.data.Source` is read batch by batch while training, ahead of the steps:
            for more than fits into memory.
        y: class numbers (N,), or targets (N, K).
        epochs: passes over the data.
        batch_size: samples of one step. The last batch of an epoch may be smaller; a single sample left over joins
            the batch before it, since batch normalization cannot train on one.
        optimizer: ``"sgd"``, ``"momentum"``, ``"nesterov"``, ``"adagrad"``, ``"rmsprop"``, ``"adadelta"``, ``"adam"``,
            ``"adamax"``, ``"adamw"``, or an object of :mod:`pellucid.optimizers`.
        learning_rate: a number or a schedule of :mod:`pellucid.schedules`, in place of the named optimizer's own. A
            schedule is asked before every batch, with time epoch + batch/batches. Callbacks may scale it.
        validation_data: ``(x, y)`` or ``(x, y, sample_weight)`` to evaluate after every epoch.
        validation_split: share of the samples to hold out and evaluate instead, drawn by the seed; every class gives
            the same share. The rest is trained on.
        callbacks: told of every epoch and batch, in this order; see :class:`Callback`.
        shuffle: draw a new order for every epoch; False takes the samples as they come.
        sample_weight: (N,), not negative; a sample of weight 2 counts as two of weight 1, one of weight 0 is left out.
        augment: random crops, mirror images and cutouts of what is trained on; what is validated with stays as it is.
        checkpoints: where and when to save the training, and whether to go on from what was saved there; see
            :class:`Checkpoints`.
        verbose: 1 shows a bar on a terminal, elsewhere prints a line an epoch; 0 shows nothing.

    Returns:
        The history: a row for every epoch that was finished. The training figures are means over the batches as they
        were trained on, each counting as the samples in it weigh, penalties, dropout and augmentation included; so
        an epoch's loss lags behind that of the weights it ends with. The validation figures are
        :meth:`Network.evaluate`'s. With ``reduction="sum"`` both losses are sums over all samples instead.

        Ctrl-C ends the training at any moment with a warning and the history so far: the network then has the weights,
        running statistics and step of a whole number of steps.

    Raises:
        CheckpointError: no checkpoint can be read, or they are of another training; or there are some, and
            ``resume`` is False.
        FileWriteError: a checkpoint cannot be written. Those before it are still there, and the network has what it
            learnt.
        ConfigError: a setting is out of range; validation data in the wrong form, or asked for in two ways, or a split
            that leaves no samples; a callback that is none; an augmentation that does not fit the inputs.
        DataError, ShapeError: samples, labels or weights that the network cannot train on. Of a source, also in the
            middle of the training, when a batch cannot be read or contains NaN: the network keeps what it has learnt.
        NonFiniteError: a loss, a gradient, a weight or a running statistic became NaN or infinite. The message names
            epoch, batch (both from 1) and the first layer to go wrong; the network has the weights, running statistics
            and step it had when the loss was last finite. With the callback TerminateOnNaN it is a warning instead.

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
    if isinstance(callbacks, Callback):
        raise ConfigError(f"callbacks must be a list, such as [{type(callbacks).__name__}(...)], got one alone")
    for callback in callbacks:
        if not isinstance(callback, Callback):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"callbacks must be objects of subclasses of Callback, got {callback!r}")
    if augment is not None:
        if not isinstance(augment, Augmentation):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"augment must be an Augmentation, got {augment!r}")
        augment.check(network.input_shape)
    if not isinstance(checkpoints, Checkpoints | None):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f"checkpoints must be a Checkpoints, such as Checkpoints('folder'), got {checkpoints!r}")
    resolved = resolve_optimizer(optimizer, learning_rate)
    data = replace(samples.check(network, x, y, sample_weight), augment=augment)
    rows, validation = samples.hold_out(network, data, validation_data, validation_split)
    network.centre_on(data.images, rows)
    listeners = [reporter(verbose), *callbacks]
    training = _Training(network, data, rows, validation, resolved, int(epochs), int(batch_size), shuffle, listeners)
    if checkpoints is not None:
        training.save_to(checkpoints)
    return training.run()


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
        longest = min(self.batch_size + 1, len(self.rows))  # the last batch may take one sample more
        self.outputs = room_for_outputs(self.data, longest, self.network.dtype)
        self.step = choose_step(self.network, self.data, self.optimizer, self.outputs)
        self.metric = self.network.loss.metric_name(self.data.target)
        figures = ("loss", self.metric)
        held = () if self.validation is None else tuple(f"val_{name}" for name in figures)
        self.history = History(("epoch", *figures, *held, "learning_rate", "seconds"))
        self.position = Position(self.network.step)
        self.saver: Saver | None = None
        self.last_good = LastGood(self.network, self.step)

    def save_to(self, checkpoints: Checkpoints) -> None:
        """Save this training as it goes on; where it is to be resumed, it then stands where it stood."""
        known_by = fingerprint(
            self.network, self.data, self.rows, self.validation, self.optimizer, self.batch_size, self.shuffle
        )
        training = Changing(self.network, self.step.optimizer_state, self.callbacks, self.history)
        self.saver = Saver(checkpoints, training, known_by)
        before = Snapshot(self.network)
        try:
            self.position = self.saver.open(self.position, self.epochs)
        except BaseException:  # Ctrl-C may have come when half of the numbers were read
            self.network.step = before.step
            before.put_back()
            raise
        self.last_good = LastGood(self.network, self.step)

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
        except NonFiniteError as error:
            if not any(isinstance(callback, TerminateOnNaN) for callback in self.callbacks):
                raise
            self.history.stopped = "not finite"
            warnings.warn(f"training ended: {error}", stacklevel=3)
        return self.history

    def _run_epochs(self) -> None:
        for callback in self.callbacks:
            callback.network = self.network
            callback.stop_training = False
        self._begin()
        for epoch in range(self.position.epoch, self.epochs):
            if self.history.stopped:  # just now, or before training was resumed
                return
            self._run_epoch(self.position)
            if self._stopped():
                self.history.stopped = "early stopping"
            self.position = Position(self.network.step, epoch + 1)
            if self.saver is not None:
                self.saver.end_epoch(self.position, last=self.history.stopped is not None or epoch + 1 == self.epochs)

    def _begin(self) -> None:
        epoch, count = self.position.epoch, len(batches.cut(self.rows, self.batch_size))
        columns = self.history.columns
        self._tell("on_train_begin", {"epochs": self.epochs, "batches": count, "epoch": epoch, "columns": columns})
        if self.position.batch:
            self._tell("on_epoch_begin", epoch, {})
        if self.saver is not None:
            self.saver.begin(self.position)

    def _run_epoch(self, position: Position) -> None:
        epoch, started = position.epoch, perf_counter() - position.seconds
        if not position.batch:
            self._tell("on_epoch_begin", epoch, {})
        order = batches.order(len(self.rows), self.network.seed, position.start, self.shuffle)
        cut = batches.cut(self.rows[order].astype(np.int64, copy=False), self.batch_size)
        figures = Figures(self.network.loss, self.metric, self.data, self.outputs, position.sums)
        rate = self._run_batches(cut, position, figures, started)
        row = {"epoch": epoch + 1, **figures.logs(), **self._validate(epoch), "learning_rate": rate}
        self.history.rows.append({**row, "seconds": perf_counter() - started})
        self._tell("on_epoch_end", epoch, self.history.rows[-1])

    def _run_batches(self, cut: Sequence[Array], position: Position, figures: Figures, started: float) -> float:
        """Do the rest of an epoch's steps, and return the last one's learning rate."""
        epoch, rate = position.epoch, 0.0
        with self.data.ahead(cut[position.batch :]):
            for batch in range(position.batch, len(cut)):
                factor = prod(callback.rate_factor for callback in self.callbacks)
                rate = float(factor * self.rate(epoch + batch / len(cut), self.epochs))
                self._step((epoch + 1, batch + 1), cut[batch], rate, figures)
                self._tell("on_batch_end", batch, figures.logs())
                if self._stopped():
                    break
                if self.saver is not None and batch + 1 < len(cut) and self.saver.due():
                    self.saver.save(Position(position.start, epoch, batch + 1, figures.sums, perf_counter() - started))
        return rate

    def _step(self, where: tuple[int, int], rows: Array, rate: float, figures: Figures) -> None:
        self.last_good.begin()
        value, fault = self.step(rows, figures.place(len(rows)), rate)
        if fault is not Fault.LOSS:
            self.last_good.confirm()
        if fault is not None:
            told = what_is_not_finite(fault, value, self.network, self.step.gradient, self.data, rows)
            self._fail(f"epoch {where[0]}, batch {where[1]}: {told}", rate)
        figures.add(value, rows)
        self.network.step += 1
        self.last_good.end()

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
