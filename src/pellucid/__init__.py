"""Pellucid: convolutional networks with every derivative written out by hand."""

from importlib.metadata import version as _version
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from pellucid.errors import PellucidError
from pellucid.layers import Input, Layer
from pellucid.network import Network

if _TYPE_CHECKING:
    from pellucid.estimator import ConvNetClassifier as ConvNetClassifier
    from pellucid.estimator import ConvNetRegressor as ConvNetRegressor

__version__ = _version("pellucid")

__all__ = ["Input", "Layer", "Network", "PellucidError", "__version__"]


def __getattr__(name: str) -> _Any:
    """Import the estimators when they are asked for: they bring scikit-learn with them, which is optional."""
    if name in ("ConvNetClassifier", "ConvNetRegressor"):
        from pellucid import estimator

        return getattr(estimator, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
