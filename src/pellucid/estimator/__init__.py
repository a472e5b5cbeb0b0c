"""scikit-learn estimators: a convolutional network wherever scikit-learn takes a classifier or a regressor."""

from pellucid.estimator.classifier import ConvNetClassifier
from pellucid.estimator.regressor import ConvNetRegressor

__all__ = ["ConvNetClassifier", "ConvNetRegressor"]
