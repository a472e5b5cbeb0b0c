"""Pellucid: convolutional networks with every derivative written out by hand."""

from importlib.metadata import version as _version

from pellucid.errors import PellucidError
from pellucid.layers import Input, Layer
from pellucid.network import Network

__version__ = _version("pellucid")

__all__ = ["Input", "Layer", "Network", "PellucidError", "__version__"]
