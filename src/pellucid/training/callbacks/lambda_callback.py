"""LambdaCallback: a callback from functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from pellucid.errors import ConfigError
from pellucid.training.callbacks.base import Callback, Logs

OfTrain: TypeAlias = Callable[[Logs], Any]
OfEpochOrBatch: TypeAlias = Callable[[int, Logs], Any]


class LambdaCallback(Callback):
    """Call functions at the moments of a training, each with what :class:`Callback`'s method of that name is given.

    As Keras's, without the moments that there are not here (``on_train_batch_begin``), and ``on_batch_end`` for
    ``on_train_batch_end``. What the functions return is ignored.

    Args:
        on_epoch_begin, on_epoch_end: called with the epoch, from 0, and the logs.
        on_train_begin, on_train_end: called with the logs.
        on_batch_end: called with the batch, from 0, and the logs.

    Raises:
        ConfigError: an argument cannot be called.

    Example:
        >>> LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs["loss"]))  # doctest: +ELLIPSIS
        <...LambdaCallback object at ...>
    """

    def __init__(
        self,
        on_epoch_begin: OfEpochOrBatch | None = None,
        on_epoch_end: OfEpochOrBatch | None = None,
        on_train_begin: OfTrain | None = None,
        on_train_end: OfTrain | None = None,
        on_batch_end: OfEpochOrBatch | None = None,
    ) -> None:
        given = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_batch_end": on_batch_end,
        }
        for moment, function in given.items():
            if function is None:
                continue
            if not callable(function):
                raise ConfigError(f"LambdaCallback: {moment} must be a function, got {function!r}")
            setattr(self, moment, function)
