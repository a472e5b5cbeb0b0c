import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from pellucid.description import Described, from_json, to_json
from pellucid.errors import ConfigError
from pellucid.initializers import Glorot, Initializer, Orthogonal
from pellucid.layers import BatchNorm2d, Concat, Conv2d, Layer, Linear, MaxPool2d, ReLU, Residual, Sequential
from pellucid.losses import CrossEntropy, Loss
from pellucid.regularizers import L1, Penalty


@dataclass(frozen=True)
class Ring(Layer):
    """A layer of the user's own, with settings of every kind."""

    size: tuple[int, int]
    gain: float = 0.5
    inner: Layer | None = None
    weights: dict[str, Any] = field(default_factory=dict)
    parts: Sequence[Layer] = ()

    def output_shape(self, *input_shapes: Any) -> tuple[int, ...]:
        return input_shapes[0]


def through_text(value, kind):
    return from_json(json.loads(json.dumps(to_json(value))), kind)


@pytest.mark.parametrize(
    ("value", "kind", "described"),
    [
        (ReLU(), Layer, {"type": "ReLU"}),
        (ReLU(name="r"), Layer, {"type": "ReLU", "name": "r"}),
        (Linear(10), Layer, {"type": "Linear", "out_features": 10}),
        (
            Conv2d(4, (3, 1), 2, "same", bias=False, weight_init=Glorot("uniform")),
            Layer,
            {
                "type": "Conv2d",
                "out_channels": 4,
                "kernel_size": [3, 1],
                "stride": 2,
                "padding": "same",
                "bias": False,
                "weight_init": {"type": "Glorot", "distribution": "uniform"},
            },
        ),
        (BatchNorm2d(running="cumulative"), Layer, {"type": "BatchNorm2d", "running": "cumulative"}),
        (
            CrossEntropy("sum", {0: 2, 3: 0.5}),
            Loss,
            {"type": "CrossEntropy", "reduction": "sum", "class_weight": {"0": 2.0, "3": 0.5}},
        ),
        (L1(0.25), Penalty, {"type": "L1", "strength": 0.25}),
        (Orthogonal(gain=2.0), Initializer, {"type": "Orthogonal", "gain": 2.0}),
        (
            Sequential([Linear(2, name="a"), ReLU()]),
            Layer,
            {
                "type": "Sequential",
                "layers": [{"type": "Linear", "name": "a", "out_features": 2}, {"type": "ReLU"}],
            },
        ),
    ],
)
def test_settings_to_json_and_back(value, kind, described):
    assert to_json(value) == described
    assert through_text(value, kind) == value


def test_nested_blocks_come_back_whole():
    block = Residual(
        [Conv2d(2, 3, padding=1, name="conv"), Concat([ReLU(), [MaxPool2d(3, 1, 1), Conv2d(1, 1)]])],
        shortcut=Conv2d(2, 1, bias=False),
    )
    back = through_text(block, Layer)
    assert back == block
    assert repr(back) == repr(block)


def test_a_class_of_ones_own_comes_back():
    ring = Ring((3, 4), inner=Ring((1, 2), gain=2.0), weights={"a": 0.5, "b": Linear(2)}, parts=[ReLU(), Linear(2)])
    assert to_json(ring) == {
        "type": "Ring",
        "size": [3, 4],
        "inner": {"type": "Ring", "size": [1, 2], "gain": 2.0, "weights": {}},
        "weights": {"a": 0.5, "b": {"type": "Linear", "out_features": 2}},
        "parts": [{"type": "ReLU"}, {"type": "Linear", "out_features": 2}],
    }
    back = through_text(ring, Ring)
    assert back.size == (3, 4)
    assert back.inner == ring.inner
    assert back.weights == {"a": 0.5, "b": Linear(2)}
    assert back.parts == (ReLU(), Linear(2))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (ReLU(), "ReLU()"),
        (Conv2d(6, 5), "Conv2d(6, 5)"),
        (Conv2d(6, (5, 3), padding="same", name="c"), "Conv2d(6, (5, 3), padding='same', name='c')"),
        (Ring((1, 2), gain=0.25), "Ring((1, 2), gain=0.25, weights={})"),
        (CrossEntropy(class_weight={1: 2}), "CrossEntropy(class_weight={1: 2.0})"),
        (Sequential([ReLU()]), "Sequential((ReLU(),))"),
    ],
)
def test_repr_names_what_is_not_default(value, text):
    assert repr(value) == text


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        (
            {"type": "Conv3d"},
            Layer,
            "unknown layer 'Conv3d'; if it is your own class, import the module that defines it before loading",
        ),
        (
            {"type": "ReLU"},
            Loss,
            "unknown loss 'ReLU'; if it is your own class, import the module that defines it before loading",
        ),
        ("ReLU", Layer, "expected the description of a Layer, got 'ReLU'"),
        (None, Loss, "expected the description of a Loss, got None"),
        ({"name": "r"}, Layer, "expected the description of a Layer, got {'name': 'r'}"),
        ({"type": "ReLU", "slope": 2, "gain": 1}, Layer, "ReLU has no setting 'gain', 'slope'; it has name"),
        (
            {"type": "Linear"},
            Layer,
            "cannot rebuild Linear from {}: Linear.__init__() missing 1 required positional argument: 'out_features'",
        ),
        (
            {"type": "Linear", "out_features": 0},
            Layer,
            "Linear(0): out_features must be a whole number of at least 1; got 0",
        ),
        (
            {
                "type": "Sequential",
                "layers": [{"type": "Linear", "out_features": 2, "weight_init": {"type": "Xavier"}}],
            },
            Layer,
            "unknown class 'Xavier'; if it is your own class, import the module that defines it before loading",
        ),
    ],
)
def test_descriptions_that_cannot_be_read(data, kind, message):
    with pytest.raises(ConfigError) as error:
        from_json(data, kind)
    assert str(error.value) == message


@pytest.mark.parametrize("value", [np.zeros(2), {1, 2}, np.int64(3), abs, Described])
def test_values_that_cannot_be_saved(value):
    with pytest.raises(ConfigError) as error:
        to_json(Ring((1, 2), gain=value) if not isinstance(value, np.ndarray) else value)
    assert str(error.value) == f"cannot save {value!r} of type {type(value).__name__} in a model file"


def test_settings_are_frozen():
    with pytest.raises(AttributeError, match="cannot assign to field 'out_features'"):
        Linear(3).out_features = 4


def test_a_name_of_pellucids_own_is_refused():
    with pytest.raises(ConfigError, match="Pellucid has a class called ReLU already; give yours another name"):

        class ReLU(Layer):
            pass
