"""scikit-learn estimators: a convolutional network wherever scikit-learn takes a classifier or a regressor."""

from pellucid.errors import MissingExtraError

try:
    import sklearn as _sklearn  # noqa: F401  # pyright: ignore[reportUnusedImport]
except ImportError as error:
    raise MissingExtraError(f'the estimators need scikit-learn ({error}): pip install "pellucid[sklearn]"') from error

from pellucid.estimator.classifier import ConvNetClassifier
from pellucid.estimator.regressor import ConvNetRegressor

__all__ = ["ConvNetClassifier", "ConvNetRegressor"]
