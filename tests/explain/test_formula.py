from __future__ import annotations

import inspect

import pytest

import pellucid.layers
import pellucid.losses
from pellucid.errors import ConfigError
from pellucid.explain import formula
from pellucid.layers import Conv2d, Layer, Linear, Residual, Sequential
from pellucid.losses import Loss

CONTAINERS = {"Layer", "Sequential", "Residual"}
LAYERS = [
    cls
    for _, cls in inspect.getmembers(pellucid.layers, inspect.isclass)
    if issubclass(cls, Layer) and cls.__name__ not in CONTAINERS
]
LOSSES = [cls for cls in Loss.__subclasses__() if cls.__module__ == "pellucid.losses"]


def balanced(latex: str) -> bool:
    depth = 0
    for character in latex.replace(r"\{", "").replace(r"\}", ""):
        depth += (character == "{") - (character == "}")
        if depth < 0:
            return False
    return depth == 0 and latex.count(r"\left") == latex.count(r"\right")


@pytest.mark.parametrize("cls", [*LAYERS, *LOSSES], ids=lambda cls: cls.__name__)
def test_every_layer_and_loss_has_its_equations(cls: type) -> None:
    shown = formula(cls)
    assert "=" in shown.forward
    assert balanced(shown.forward)
    assert shown.source
    assert shown.backward
    for latex in shown.backward.values():
        assert "=" in latex
        assert balanced(latex)


@pytest.mark.parametrize("cls", LAYERS, ids=lambda cls: cls.__name__)
def test_every_docstring_gives_forward_backward_and_source(cls: type) -> None:
    doc = inspect.getdoc(cls)
    assert doc is not None
    for part in ("Forward", "Backward", "Source"):
        assert part in doc


def test_parameters_have_their_derivative() -> None:
    assert set(formula(Conv2d(6, 5)).backward) == {"dx", "dweight", "dbias"}
    assert set(formula(Linear(3)).backward) == {"dx", "dweight", "dbias"}


def test_a_layer_without_a_formula_is_named() -> None:
    with pytest.raises(ConfigError, match="Residual has no formula of its own"):
        formula(Residual(Sequential([])))
