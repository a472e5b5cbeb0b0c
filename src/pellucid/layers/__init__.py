"""Layers, one file each: settings, shape rule, equations forward and backward."""

from pellucid.layers.base import Formula, Input, Layer, Symbol
from pellucid.layers.combine import Add, Concat, Residual, Sequential
from pellucid.layers.conv import Conv2d
from pellucid.layers.flatten import Flatten
from pellucid.layers.linear import Linear
from pellucid.layers.max_pool import MaxPool2d
from pellucid.layers.relu import ReLU

__all__ = [
    "Add",
    "Concat",
    "Conv2d",
    "Flatten",
    "Formula",
    "Input",
    "Layer",
    "Linear",
    "MaxPool2d",
    "ReLU",
    "Residual",
    "Sequential",
    "Symbol",
]
