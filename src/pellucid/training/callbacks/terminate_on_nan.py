"""TerminateOnNaN: a training that meets a NaN ends with a warning."""

from __future__ import annotations

from pellucid.training.callbacks.base import Callback


class TerminateOnNaN(Callback):
    """End the training with a warning and the history so far when a NaN or an infinity turns up, not with an error.

    The training looks for them by itself, in the loss, the gradients, the weights and the running statistics, and goes
    back to the last good weights; without this callback it then raises :class:`~pellucid.errors.NonFiniteError`. The
    warning has the error's text, ``history.stopped`` is ``"not finite"``, and the broken epoch has no row.

    Unlike Keras's: more than the loss is looked at, the weights are good ones afterwards, and ``raise_error=True`` is
    what happens without the callback.
    """
