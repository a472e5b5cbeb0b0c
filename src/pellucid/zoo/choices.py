"""Choices that several builders offer: how deep a network is, and where batch norm stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias, TypeVar

from pellucid.errors import ConfigError
from pellucid.layers import Layer

Order: TypeAlias = Literal["standard", "epelbaum"]

_Layout = TypeVar("_Layout")


def of_depth(network: str, layouts: Mapping[int, _Layout], depth: int) -> _Layout:
    """Return the layout of that depth.

    Raises:
        ConfigError: the network has no such depth.
    """
    if depth not in layouts:
        raise ConfigError(f"{network} has no depth {depth!r}; there are {', '.join(map(str, layouts))}")
    return layouts[depth]


def in_order(order: Order, convolution: Layer, norm: Layer, relu: Layer) -> list[Layer]:
    """Return the three in running order: ReLU last, as Ioffe & Szegedy 2015 have it, or batch norm last.

    Epelbaum normalizes what comes out of the ReLU, his h ("Modification to Batch Normalization"; "BN operations have
    been put after ReLU ones" in "ResNet").

    Raises:
        ConfigError: there is no such order.
    """
    if order not in ("standard", "epelbaum"):
        raise ConfigError(f"order must be 'standard' or 'epelbaum'; got {order!r}")
    return [convolution, norm, relu] if order == "standard" else [convolution, relu, norm]
