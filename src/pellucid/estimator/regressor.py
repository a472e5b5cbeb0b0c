"""ConvNetRegressor: scikit-learn's contract of a regressor."""

from __future__ import annotations

from typing import Any

import numpy as np

from pellucid.arrays import Array
from pellucid.errors import ShapeError
from pellucid.estimator.base import ConvNet
from pellucid.estimator.contract import RegressorMixin, column_or_1d, r2_score
from pellucid.estimator.scaling import Scaling
from pellucid.estimator.weights import check_weights


class ConvNetRegressor(RegressorMixin, ConvNet):
    """A convolutional network that estimates numbers, by scikit-learn's contract of a regressor.

    It learns with the squared error ½ Σ_k (p − y)². Unless ``standardize`` is off, the targets are scaled to variance 1
    while it learns, and ``loss_curve_`` and ``tol`` speak of these.

    Args:
        network, input_shape, ... : as for :class:`~pellucid.estimator.ConvNetClassifier`, which see; there is no
            ``class_weight``. ``early_stopping`` watches R².

    Attributes:
        network_, input_shape_, ... : as for :class:`~pellucid.estimator.ConvNetClassifier`, without ``classes_``.
        n_outputs_: numbers estimated for each sample.

    Example:
        >>> import numpy as np
        >>> X = np.random.default_rng(0).normal(size=(200, 5))
        >>> ConvNetRegressor(random_state=0).fit(X, 1e6 * X[:, 0] - X[:, 1]).score(X, 1e6 * X[:, 0]) > 0.9
        True
    """

    n_outputs_: int
    _one_target: bool
    _target_scaling: Scaling | None

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that y may have several columns."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any | None = None) -> ConvNetRegressor:
        """Train a new network; with ``warm_start``, the one there is.

        Args:
            X: images (N, H, W) or (N, C, H, W), or rows of numbers (N, features).
            y: (N,) or (N, outputs).
            sample_weight: (N,), not negative.

        Returns:
            The estimator itself.

        Raises:
            ValueError, TypeError: bad data, or a setting out of range; see also :mod:`pellucid.errors`.
        """
        return self._fit(X, y, sample_weight, afresh=self._starts_afresh(), once=False)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any | None = None) -> ConvNetRegressor:
        """Go over some samples once, with the network there is, or a new one the first time.

        The scaling of X and y is that of the first call. Arguments and errors are those of :meth:`fit`.
        """
        return self._fit(X, y, sample_weight, afresh=not hasattr(self, "network_"), once=True)

    def predict(self, X: Any) -> Array:
        """Return estimates, (N,) or (N, outputs) as y was, in double precision.

        Raises:
            NotFittedError: before :meth:`fit`.
            ValueError, TypeError: bad data.
        """
        estimates = self._targets_of(self._outputs(X))
        return estimates[:, 0] if self._one_target else estimates

    def _fit(self, X: Any, y: Any, sample_weight: Any, *, afresh: bool, once: bool) -> ConvNetRegressor:
        x, y = self._take_in(X, y, reset=afresh, y_numeric=True)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        target = y.reshape(len(y), -1).astype(np.float64)
        if afresh:
            self._one_target, self.n_outputs_ = y.ndim == 1, target.shape[1]
        elif (y.ndim == 1, target.shape[1]) != (self._one_target, self.n_outputs_):
            raise ShapeError(f"y has {target.shape[1]} columns, but ConvNetRegressor learnt {self.n_outputs_}")
        self._train(x, target, check_weights(sample_weight, len(x)), afresh=afresh, once=once)
        return self

    def _loss(self) -> str:
        return "squared_error"

    def _learn_targets(self, target: Array, weight: Array) -> None:
        self._target_scaling = Scaling.of(target, weight) if self.standardize else None

    def _network_target(self, target: Array) -> Array:
        return target if self._target_scaling is None else self._target_scaling.apply(target, np.dtype(np.float64))

    def _targets_of(self, outputs: Array) -> Array:
        return outputs.astype(np.float64) if self._target_scaling is None else self._target_scaling.undo(outputs)

    def _score_of(self, predicted: Array, target: Array, weight: Array) -> float:
        return float(r2_score(target, self._targets_of(predicted), sample_weight=weight))
