"""What penalties add: to J for a parameter, and to that parameter's gradient."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pellucid.explain.cells.draft import Column, Index, Places, Sum, constant, one, sum_of
from pellucid.explain.cells.latex import text
from pellucid.network import Network
from pellucid.regularizers import L1, L2, Penalty


def values_of(network: Network) -> list[Sum]:
    """Return the terms of J that are penalties, one a parameter and penalty."""
    return [
        sum_of(constant(text(f"{type(penalty).__name__} of {name}"), penalty.value(network.parameters[name])))
        for name in network.regularized
        for penalty in network.regularization
    ]


def slopes_of(network: Network, name: str, index: Index) -> list[Sum]:
    """Return the terms of ∂J/∂parameter that are penalties."""
    return [_slope(network, penalty, name, index) for penalty in network.regularization]


def value_formula(penalties: Sequence[Penalty]) -> str:
    """Return the penalties in J in symbols, to stand behind those of the loss."""
    known: dict[type[Penalty], str] = {
        L1: r" + \lambda_{L1} \sum_\theta \lvert\theta\rvert",
        L2: r" + \tfrac{1}{2} \lambda_{L2} \sum_\theta \theta^2",
    }
    return "".join(known.get(type(p), rf" + \sum_\theta {text(type(p).__name__)}(\theta)") for p in penalties)


def slope_formula(penalties: Sequence[Penalty]) -> str:
    """Return the penalties in ∂J/∂θ in symbols."""
    known: dict[type[Penalty], str] = {
        L1: r" + \lambda_{L1} \operatorname{sign}(\theta)",
        L2: r" + \lambda_{L2}\,\theta",
    }
    return "".join(known.get(type(p), rf" + {text(f'slope of {type(p).__name__}')}") for p in penalties)


def _slope(network: Network, penalty: Penalty, name: str, index: Index) -> Sum:
    parameter = network.parameters[name]
    theta = Column(r"\theta_#", np.array([parameter[index]], np.float64), Places(name, "parameter", one(index), None))
    if type(penalty) is L2:
        return sum_of(constant(r"\lambda_{L2}", penalty.strength), theta)
    if type(penalty) is L1:
        sign = theta.through(np.sign, r"\operatorname{sign}(\theta_#)")
        return sum_of(constant(r"\lambda_{L1}", penalty.strength), sign)
    return sum_of(constant(text(f"slope of {type(penalty).__name__}"), float(penalty.gradient(parameter)[index])))
