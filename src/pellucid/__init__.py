"""Pellucid: convolutional networks with every derivative written out by hand."""

import typing as _typing
from importlib import import_module as _import_module
from importlib.metadata import version as _version

from pellucid.errors import PellucidError
from pellucid.layers import Input, Layer
from pellucid.network import Network

if _typing.TYPE_CHECKING:
    from pellucid.estimator import ConvNetClassifier as ConvNetClassifier
    from pellucid.estimator import ConvNetRegressor as ConvNetRegressor

__version__ = _version("pellucid")

__all__ = ["Input", "Layer", "Network", "PellucidError", "__version__"]


def __getattr__(name: str) -> _typing.Any:
    """Import the estimators when they are asked for: they bring scikit-learn with them, which is optional."""
    if name in ("ConvNetClassifier", "ConvNetRegressor"):
        return getattr(_import_module("pellucid.estimator"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
