"""Layers, one file each: settings, shape rule, equations forward and backward."""

from pellucid.layers.avg_pool import AvgPool2d
from pellucid.layers.base import Formula, Input, Layer, Symbol
from pellucid.layers.batch_norm import BatchNorm, BatchNorm2d
from pellucid.layers.combine import Add, Concat, Residual, Sequential
from pellucid.layers.conv import Conv2d
from pellucid.layers.dropout import Dropout
from pellucid.layers.elu import ELU
from pellucid.layers.flatten import Flatten
from pellucid.layers.global_avg_pool import GlobalAvgPool2d
from pellucid.layers.leaky_relu import LeakyReLU
from pellucid.layers.linear import Linear
from pellucid.layers.lp_pool import LPPool2d
from pellucid.layers.max_pool import MaxPool2d
from pellucid.layers.pad import Pad2d
from pellucid.layers.pad_channels import PadChannels
from pellucid.layers.relu import ReLU
from pellucid.layers.response_norm import LocalResponseNorm
from pellucid.layers.sigmoid import Sigmoid
from pellucid.layers.softmax import Softmax
from pellucid.layers.tanh import Tanh

__all__ = [
    "ELU",
    "Add",
    "AvgPool2d",
    "BatchNorm",
    "BatchNorm2d",
    "Concat",
    "Conv2d",
    "Dropout",
    "Flatten",
    "Formula",
    "GlobalAvgPool2d",
    "Input",
    "LPPool2d",
    "Layer",
    "LeakyReLU",
    "Linear",
    "LocalResponseNorm",
    "MaxPool2d",
    "Pad2d",
    "PadChannels",
    "ReLU",
    "Residual",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Symbol",
    "Tanh",
]
