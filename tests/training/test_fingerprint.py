from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pellucid import Network
from pellucid.augmentation import Augmentation
from pellucid.layers import Dropout, Flatten, Linear
from pellucid.losses import CrossEntropy
from pellucid.optimizers import SGD, Adam
from pellucid.regularizers import L2
from pellucid.schedules import Cosine
from pellucid.training import samples
from pellucid.training.fingerprint import differences, fingerprint

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(200, 1, 4, 4)).astype(np.float32), np.arange(200) % 3


def known_by(
    x: np.ndarray = X, y: np.ndarray = Y, held: Any = None, weight: Any = None, **given: Any
) -> dict[str, Any]:
    layers = given.get("layers", [Flatten(), Dropout(0.5), Linear(3)])
    names = ("loss", "seed", "dtype", "input_mean", "regularization")
    network = Network(layers, (1, 4, 4), engine="reference", **{k: v for k, v in given.items() if k in names})
    data = replace(samples.check(network, x, y, weight), augment=given.get("augment"))
    rows, validation = samples.hold_out(network, data, held, given.get("validation_split", 0.0))
    return fingerprint(
        network, data, rows, validation, given.get("optimizer", SGD(0.1)), given.get("batch_size", 8),
        given.get("shuffle", True),
    )  # fmt: skip


def changed(array: np.ndarray, place: int) -> np.ndarray:
    copy = array.copy()
    copy.flat[place] += 1 if array.flat[place] == 0 else -1
    return copy


def test_the_same_training_is_known_again() -> None:
    augment = Augmentation(padding=1)
    assert known_by(augment=augment) == known_by(x=X.copy(order="F"), y=Y.astype(np.int8), augment=augment)


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"layers": [Flatten(), Dropout(0.4), Linear(3)]}, ["layers"]),
        ({"loss": CrossEntropy(class_weight={1: 2.0})}, ["loss", "sample_weight"]),
        ({"regularization": [L2(0.1)]}, ["regularization"]),
        ({"seed": 1}, ["seed"]),
        ({"input_mean": [0.5]}, ["input_mean"]),
        ({"optimizer": Adam(0.1)}, ["optimizer"]),
        ({"optimizer": SGD(0.1, clip_norm=1.0)}, ["optimizer"]),
        ({"optimizer": SGD(Cosine(0.1))}, ["optimizer"]),
        ({"batch_size": 9}, ["batch_size"]),
        ({"shuffle": False}, ["shuffle"]),
        ({"augment": Augmentation(flip=True)}, ["augment"]),
        ({"x": X[:-1], "y": Y[:-1]}, ["samples", "sample_weight", "validation", "x", "y"]),
        ({"x": changed(X, 0)}, ["x"]),
        ({"x": changed(X, -1)}, ["x"]),
        ({"y": changed(Y, 101)}, ["y"]),
        ({"weight": changed(np.ones(200), 77)}, ["sample_weight", "validation"]),  # 0 takes a sample out
        ({"validation_split": 0.1}, ["validation"]),
        ({"held": (X, Y)}, ["validation"]),
    ],
)
def test_another_training_is_told_apart(given: dict[str, Any], names: list[str]) -> None:
    told = differences(known_by(), known_by(**given))
    assert sorted(line.split(" ")[0] for line in told) == sorted(names)


def test_validation_samples_are_told_apart() -> None:
    before = known_by(held=(X, Y))
    for held in ((changed(X, 3), Y), (X, changed(Y, 3)), (X, Y, changed(np.ones(200), 3)), (X[1:], Y[1:])):
        assert differences(before, known_by(held=held)) == ["validation is another"]


def test_short_values_are_shown() -> None:
    saved = {"a": 1, "b": None, "c": {"type": "SGD"}, "d": "text", "e": list(range(50)), "f": True}
    given = {"a": 2, "b": 0.5, "c": {"type": "Adam"}, "d": "other", "e": [], "g": 1}
    assert differences(saved, given) == [
        "a was 1 and is 2",
        "b was null and is 0.5",
        'c was {"type": "SGD"} and is {"type": "Adam"}',
        "d is another",
        "e is another",
        "f was true and is null",
        "g was null and is 1",
    ]
