from __future__ import annotations

import re
from typing import Any

import pytest
from small_training import make, train

from pellucid.errors import ConfigError
from pellucid.training import LambdaCallback


def test_functions_are_called_at_their_moments():
    diary: list[Any] = []

    def told(moment: str) -> Any:
        return lambda *what: diary.append((moment, *what[:-1], "loss" in what[-1]))

    moments = ("on_train_begin", "on_epoch_begin", "on_batch_end", "on_epoch_end", "on_train_end")
    train(make(), LambdaCallback(**{moment: told(moment) for moment in moments}), epochs=1)
    assert diary == [
        ("on_train_begin", False),
        ("on_epoch_begin", 0, False),
        *(("on_batch_end", batch, True) for batch in range(3)),
        ("on_epoch_end", 0, True),
        ("on_train_end", True),
    ]


def test_what_is_left_out_does_nothing():
    epochs: list[int] = []
    train(make(), LambdaCallback(on_epoch_end=lambda epoch, _: epochs.append(epoch)), epochs=3)
    assert epochs == [0, 1, 2]


def test_something_else_than_a_function_is_told():
    expected = re.escape("LambdaCallback: on_epoch_end must be a function, got 'print'")
    with pytest.raises(ConfigError, match=expected):
        LambdaCallback(on_epoch_end="print")  # type: ignore[arg-type]
