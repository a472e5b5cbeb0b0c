"""Schedules: the learning rate as a function of time.

Time e runs from 0 at the start of training to E, its length in epochs, and is fractional within an epoch: halfway
through the third epoch e = 2.5. The training loop asks before every batch, so a rate changes from batch to batch.
Legend: η is the learning rate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any

from pellucid.description import Described
from pellucid.errors import ConfigError


@dataclass(frozen=True)
class Schedule(Described):
    """Base of the schedules; subclass it as a frozen dataclass to write your own."""

    def __call__(self, epoch: float, epochs: float) -> float:
        """Return the learning rate at one moment.

        Args:
            epoch: e, the time since training began.
            epochs: E > 0, the length of the whole training.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define __call__")


@dataclass(frozen=True)
class Constant(Schedule):
    """The same rate throughout: η(e) = η₀. What a plain number stands for.

    Args:
        learning_rate: η₀, not negative.

    Raises:
        ConfigError: the rate is out of range.
    """

    learning_rate: float

    def __post_init__(self) -> None:
        keep_number(self, "learning_rate", least=0)

    def __call__(self, epoch: float, epochs: float) -> float:
        """Return η₀."""
        return self.learning_rate


@dataclass(frozen=True)
class StepDecay(Schedule):
    """Drop the rate by a factor every few epochs: η(e) = η₀ γ^⌊e/s⌋. PyTorch's ``StepLR``.

    Args:
        learning_rate: η₀, not negative.
        step_size: s, epochs between two drops.
        gamma: γ, the factor of one drop, above 0 and at most 1.

    Raises:
        ConfigError: a setting is out of range.
    """

    learning_rate: float
    step_size: float
    gamma: float = 0.1

    def __post_init__(self) -> None:
        keep_number(self, "learning_rate", least=0)
        keep_number(self, "step_size", above=0)
        keep_number(self, "gamma", above=0, most=1)

    def __call__(self, epoch: float, epochs: float) -> float:
        """Return η₀ γ^⌊e/s⌋."""
        return self.learning_rate * self.gamma ** math.floor(epoch / self.step_size)


@dataclass(frozen=True)
class Cosine(Schedule):
    """Fall along half a cosine wave, slowly at both ends: η(e) = η_min + ½(η₀ − η_min)(1 + cos(πe/E)).

    PyTorch's ``CosineAnnealingLR``; after the end the rate stays at η_min.

    Args:
        learning_rate: η₀, not negative.
        eta_min: η_min, from 0 to η₀.

    Raises:
        ConfigError: a setting is out of range.

    Source: Loshchilov & Hutter 2017, SGDR, (5), without restarts.
    """

    learning_rate: float
    eta_min: float = 0.0

    def __post_init__(self) -> None:
        keep_number(self, "learning_rate", least=0)
        keep_number(self, "eta_min", least=0, most=self.learning_rate)

    def __call__(self, epoch: float, epochs: float) -> float:
        """Return η_min + ½(η₀ − η_min)(1 + cos(πe/E))."""
        return _half_wave(self.learning_rate, self.eta_min, epoch / epochs)


@dataclass(frozen=True)
class LinearWarmup(Schedule):
    """Rise in a straight line for the first w epochs, then follow another schedule.

    ::

        η(e) = then(0)·(f + (1 − f)·e/w)      for e < w
        η(e) = then(e − w)                    after that

    The schedule that follows starts at time 0 when the warm-up ends, with E − w epochs before it. PyTorch's
    ``LinearLR`` and ``SequentialLR``. If w ≥ E, the warm-up is all there is.

    Args:
        then: what follows: a schedule, or a number for a constant rate.
        warmup_epochs: w, above 0; need not be whole.
        start_factor: f, the share of the full rate to start from, 0 to 1.

    Raises:
        ConfigError: a setting is out of range.

    Source: Goyal et al. 2017, §2.2, "gradual warmup".
    """

    then: Schedule | float
    warmup_epochs: float = 5.0
    start_factor: float = 0.1

    def __post_init__(self) -> None:
        keep_rate(self, "then")
        keep_number(self, "warmup_epochs", above=0)
        keep_number(self, "start_factor", least=0, most=1)

    def __call__(self, epoch: float, epochs: float) -> float:
        """Return the rate on the way up, or that of the schedule which follows."""
        then, left = resolve_schedule(self.then), epochs - self.warmup_epochs
        if epoch >= self.warmup_epochs and left > 0:
            return then(epoch - self.warmup_epochs, left)
        # Any length serves to ask for the first rate of a schedule that is never reached.
        risen = min(epoch / self.warmup_epochs, 1.0)
        return then(0.0, left if left > 0 else epochs) * (self.start_factor + (1 - self.start_factor) * risen)


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Rise along half a cosine wave to a high rate, then fall along another to almost nothing.

    With p = pct_start·E, η_first = η/div_factor and η_last = η_first/final_div_factor::

        η(e) = η_first + ½(η − η_first)(1 − cos(πe/p))              for e ≤ p
        η(e) = η_last  + ½(η − η_last)(1 + cos(π(e − p)/(E − p)))   after that

    PyTorch's ``OneCycleLR`` with its defaults, except that the momentum stays what it is.

    Args:
        learning_rate: η, the peak, not negative.
        pct_start: the share of the training that the rise takes, between 0 and 1.
        div_factor: peak over first rate, at least 1.
        final_div_factor: first over last rate, at least 1.

    Raises:
        ConfigError: a setting is out of range.

    Source: Smith & Topin 2018, Super-Convergence; the half waves are PyTorch's.
    """

    learning_rate: float
    pct_start: float = 0.3
    div_factor: float = 25.0
    final_div_factor: float = 1e4

    def __post_init__(self) -> None:
        keep_number(self, "learning_rate", least=0)
        keep_number(self, "pct_start", above=0, below=1)
        keep_number(self, "div_factor", least=1)
        keep_number(self, "final_div_factor", least=1)

    def __call__(self, epoch: float, epochs: float) -> float:
        """Return the rate on the rising or on the falling half wave."""
        peak_at = self.pct_start * epochs
        first = self.learning_rate / self.div_factor
        if epoch <= peak_at:
            return _half_wave(first, self.learning_rate, epoch / peak_at)
        return _half_wave(self.learning_rate, first / self.final_div_factor, (epoch - peak_at) / (epochs - peak_at))


def resolve_schedule(learning_rate: float | Schedule) -> Schedule:
    """Return a schedule: the object itself, or :class:`Constant` for a number.

    Raises:
        ConfigError: neither, or a number out of range.
    """
    return learning_rate if isinstance(learning_rate, Schedule) else Constant(learning_rate)


def keep_number(settings: Described, name: str, **limits: float) -> None:
    """Check one number among frozen settings, see :func:`check_number`, and keep it as a plain ``float``.

    A NumPy scalar left as it is would carry its own dtype into the arithmetic.
    """
    object.__setattr__(settings, name, check_number(settings, name, getattr(settings, name), **limits))


def keep_rate(settings: Described, name: str) -> None:
    """Check a learning rate that may be a number or a schedule, and keep a number as a plain ``float``."""
    rate = getattr(settings, name)
    if not isinstance(rate, Schedule):
        object.__setattr__(settings, name, check_number(settings, name, rate, "a schedule or a finite number", least=0))


def check_number(
    settings: Described,
    name: str,
    value: Any,
    kind: str = "a finite number",
    /,
    *,
    least: float = -math.inf,
    above: float = -math.inf,
    most: float = math.inf,
    below: float = math.inf,
) -> float:
    """Return ``value`` as a plain ``float``.

    Raises:
        ConfigError: not a finite number within the limits; the message names the class and the setting.
    """
    number = float(value) if not isinstance(value, bool) and isinstance(value, Real) else math.nan
    if not (math.isfinite(number) and least <= number <= most and above < number < below):
        words = {"of at least": least, "above": above, "at most": most, "below": below}
        limits = " and ".join(f"{word} {limit:g}" for word, limit in words.items() if math.isfinite(limit))
        raise ConfigError(f"{type(settings).__name__}: {name} must be {kind} {limits}; got {value!r}")
    return number


def _half_wave(start: float, end: float, part: float) -> float:
    """Go from ``start`` to ``end`` along half a cosine wave, ``part`` of the way; stay at the end after it."""
    return end + 0.5 * (start - end) * (1 + math.cos(math.pi * min(part, 1.0)))
