"""Callback: what listens to a training and may steer or stop it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from pellucid.network import Network

Logs: TypeAlias = Mapping[str, Any]


class Callback:
    """Base of all callbacks. Override the moments you need; the names are Keras's.

    Epochs and batches count from 0 here, as in Keras; :class:`~pellucid.training.History` counts epochs from 1. What
    a callback raises ends the training and reaches the caller of ``fit``.

    Where a training is resumed from a checkpoint in the middle of an epoch, :meth:`on_train_begin` and that epoch's
    :meth:`on_epoch_begin` come again, with the network as it was; after them :meth:`load_state_dict`.

    Attributes:
        network: the network being trained; ``fit`` sets it before :meth:`on_train_begin`. Changes to its weights count.
        stop_training: set it to True, at any moment, to end training after the batch and epoch in progress: no more
            batches, but the epoch is still validated and recorded.
        rate_factor: what the schedule's learning rate is multiplied with, from the next batch on; the factors of
            several callbacks multiply.

    Example:
        >>> class PrintLoss(Callback):
        ...     def on_epoch_end(self, epoch, logs):
        ...         print(epoch, logs["loss"])
    """

    network: Network
    stop_training: bool = False
    rate_factor: float = 1.0

    def on_train_begin(self, logs: Logs) -> None:
        """Listen to the start.

        Args:
            logs: ``"epochs"`` and ``"batches"`` (of one epoch) to come; ``"epoch"``, the first of them, which is not 0
                where a training is resumed; ``"columns"``, the names that the logs of :meth:`on_epoch_end` will have.
        """

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        """Listen to the start of an epoch; ``logs`` is empty."""

    def on_batch_end(self, batch: int, logs: Logs) -> None:
        """Listen to the end of a training step.

        Args:
            batch: from 0.
            logs: the means of loss and metric over the epoch so far, worked out when they are read: a callback that
                does not look costs nothing.
        """

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Listen to the end of an epoch; ``logs`` is its row of the history."""

    def on_train_end(self, logs: Logs) -> None:
        """Listen to the end, whether all epochs ran or training was stopped, was interrupted or failed.

        Args:
            logs: the last row of the history; empty if there is none.
        """

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps, to go on as if nothing had happened: arrays, or JSON types, by name."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned; ``fit`` calls it where it resumes a training."""
