"""What the estimators take from scikit-learn, with the types that it does not state."""

# ruff: noqa: D101, D103 (scikit-learn documents them)
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pellucid.arrays import Array
from pellucid.errors import MissingExtraError

if TYPE_CHECKING:

    class BaseEstimator:
        def __sklearn_tags__(self) -> Any: ...

    class ClassifierMixin(BaseEstimator): ...

    class RegressorMixin(BaseEstimator): ...

    def check_array(array: Any, *, ensure_2d: bool, dtype: Any, input_name: str) -> Array: ...
    def check_classification_targets(y: Any) -> None: ...
    def check_is_fitted(estimator: BaseEstimator) -> None: ...
    def check_random_state(seed: Any) -> Any: ...
    def column_or_1d(y: Any, *, warn: bool) -> Array: ...
    def compute_class_weight(class_weight: Any, *, classes: Array, y: Array) -> Array: ...
    def r2_score(y_true: Array, y_pred: Array, *, sample_weight: Array) -> float: ...
    def type_of_target(y: Any) -> str: ...
    def validate_data(estimator: BaseEstimator, X: Any, *, reset: bool, dtype: str, **targets: Any) -> Any: ...

else:
    try:
        from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
        from sklearn.metrics import r2_score
        from sklearn.utils import check_array, check_random_state
        from sklearn.utils.class_weight import compute_class_weight
        from sklearn.utils.multiclass import check_classification_targets, type_of_target
        from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data
    except ImportError as error:
        raise MissingExtraError(
            f'the estimators need scikit-learn 1.6 or newer ({error}): pip install "pellucid[sklearn]"'
        ) from error

__all__ = [
    "BaseEstimator",
    "ClassifierMixin",
    "RegressorMixin",
    "check_array",
    "check_classification_targets",
    "check_is_fitted",
    "check_random_state",
    "column_or_1d",
    "compute_class_weight",
    "r2_score",
    "type_of_target",
    "validate_data",
]
