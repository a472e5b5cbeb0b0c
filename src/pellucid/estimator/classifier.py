"""ConvNetClassifier: scikit-learn's contract of a classifier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from pellucid.arrays import Array
from pellucid.augmentation import Augmentation
from pellucid.errors import ConfigError, DataError
from pellucid.estimator.architecture import Architecture
from pellucid.estimator.base import ConvNet
from pellucid.estimator.contract import (
    ClassifierMixin,
    check_classification_targets,
    column_or_1d,
    type_of_target,
)
from pellucid.estimator.weights import check_weights, class_weights
from pellucid.metrics import accuracy
from pellucid.optimizers import Optimizer
from pellucid.schedules import Schedule


class ConvNetClassifier(ClassifierMixin, ConvNet):
    """A convolutional network that tells classes apart, by scikit-learn's contract of a classifier.

    Samples are images (N, H, W) or (N, C, H, W), or rows of numbers. Labels are anything that can be sorted: numbers,
    words, truth values. Several yes-or-no labels a sample, as a matrix (N, K) of 0 and 1, are learnt with the log loss
    instead of the cross-entropy.

    Equal data, settings and ``random_state`` give the same network bit for bit, whatever ``n_jobs``. A sample that
    weighs 2 counts as two; where all samples fit into one batch, in the last bit too.

    Args:
        network: what learns. None for a network that fits the samples
            (:func:`~pellucid.estimator.architecture.default_layers`); a list of layers, the last of which gives one
            output a class; the name of a network of :mod:`pellucid.zoo`; or a callable that is given ``input_shape``
            and ``classes`` (the number of outputs) and returns layers or a Network, such as a builder of the zoo. A
            Network is taken with its own weights, seed, penalties and engine: those of a model that is to be trained
            further, for example.
        input_shape: shape of a sample of flat X, (H, W) or (C, H, W). Without it, flat samples are vectors, and the
            default network has no convolution.
        standardize: shift and stretch every channel, or every column of vectors, to mean 0 and variance 1 over what is
            trained on. False hands X to the network as it is; ``uint8`` then counts as pixels and is divided by 255.
        max_iter: epochs, passes over the samples, at most.
        batch_size: samples of one step.
        optimizer, learning_rate, augment: see :func:`pellucid.training.fit`.
        alpha: λ of the penalty ½λ Σθ² on weights.
        early_stopping: hold some samples out, stop when the score on them does not become better, and keep the weights
            of the best epoch. False watches the training loss.
        validation_fraction: share to hold out, of every class the same.
        n_iter_no_change: epochs without an improvement of ``tol`` that are let pass; infinite to run all of them.
        tol: see there.
        class_weight: label to weight; ``"balanced"`` lets all classes weigh the same together.
        warm_start: let :meth:`fit` go on from the network of the last call. The optimizer starts afresh.
        random_state: fixes initial weights, the order of samples, and what is held out.
        n_jobs: threads of the native engine; see :class:`~pellucid.Network`.
        engine: ``"auto"``, ``"reference"`` or ``"native"``.
        verbose: 1 shows a bar, or prints a line an epoch.

    Attributes:
        network_: the :class:`~pellucid.Network`. It takes X standardised.
        classes_: the labels, sorted; for several labels a sample 0 … K − 1.
        input_shape_: (C, H, W), or (features,).
        n_features_in_: numbers in a sample.
        feature_names_in_: names of the columns, if X was a data frame with such.
        n_iter_: epochs of the last call.
        loss_curve_: training loss of every epoch since the network was new.
        validation_scores_: accuracy (or R²) on what was held out, after every epoch; None without ``early_stopping``.
        best_validation_score_: their maximum.

    Example:
        >>> from sklearn.datasets import load_digits
        >>> digits = load_digits()
        >>> classifier = ConvNetClassifier(max_iter=10, random_state=0).fit(digits.images[:1500], digits.target[:1500])
        >>> classifier.score(digits.images[1500:], digits.target[1500:]) > 0.9
        True
    """

    classes_: Array
    _multilabel: bool

    def __init__(
        self,
        network: Architecture = None,
        *,
        input_shape: tuple[int, ...] | None = None,
        standardize: bool = True,
        max_iter: int = 100,
        batch_size: int = 64,
        optimizer: str | Optimizer = "adam",
        learning_rate: float | Schedule | None = None,
        alpha: float = 0.0,
        augment: Augmentation | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: float = 10,
        tol: float = 1e-4,
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = None,
        engine: str = "auto",
        verbose: int = 0,
    ) -> None:
        super().__init__(
            network,
            input_shape=input_shape,
            standardize=standardize,
            max_iter=max_iter,
            batch_size=batch_size,
            optimizer=optimizer,
            learning_rate=learning_rate,
            alpha=alpha,
            augment=augment,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            tol=tol,
            warm_start=warm_start,
            random_state=random_state,
            n_jobs=n_jobs,
            engine=engine,
            verbose=verbose,
        )
        self.class_weight = class_weight

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that a sample may have several labels."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any | None = None) -> ConvNetClassifier:
        """Train a new network; with ``warm_start``, the one there is, on the same classes.

        Args:
            X: images (N, H, W) or (N, C, H, W), or rows of numbers (N, features).
            y: labels (N,), or 0 and 1 (N, K).
            sample_weight: (N,), not negative.

        Returns:
            The estimator itself.

        Raises:
            ValueError, TypeError: bad data, a single class, or a setting out of range; see also
                :mod:`pellucid.errors`.
        """
        afresh = self._starts_afresh()
        x, y = self._take_in(X, y, reset=afresh)
        y = _labels(y)
        if afresh:
            self._learn_classes(y)
        return self._fit(x, y, sample_weight, afresh=afresh, once=False)

    def partial_fit(
        self, X: Any, y: Any, classes: Any | None = None, sample_weight: Any | None = None
    ) -> ConvNetClassifier:
        """Go over some samples once, with the network there is, or a new one the first time.

        The scaling of X is that of the first call. The optimizer starts afresh at every call.

        Args:
            X, y, sample_weight: as for :meth:`fit`.
            classes: all labels that will ever come; needed at the first call.

        Returns:
            The estimator itself.

        Raises:
            ValueError, TypeError: as :meth:`fit`; or ``classes`` are missing, or not those of the first call.
        """
        afresh = not hasattr(self, "network_")
        if self.early_stopping or isinstance(self.class_weight, str):
            setting = "early_stopping" if self.early_stopping else f"class_weight={self.class_weight!r}"
            raise ConfigError(f"partial_fit sees only some of the samples, so it does not support {setting}")
        if afresh and classes is None:
            raise ConfigError("classes must be passed on the first call to partial_fit: all labels that will ever come")
        known = None if classes is None else np.unique(np.asarray(classes))
        x, y = self._take_in(X, y, reset=afresh)
        y = _labels(y)
        if afresh:
            self._learn_classes(y, known)
        elif known is not None and not np.array_equal(known, self.classes_):
            raise ConfigError(f"classes={classes!r} are not those of the first call to partial_fit, {self.classes_}")
        return self._fit(x, y, sample_weight, afresh=afresh, once=True)

    def predict(self, X: Any) -> Array:
        """Return the most probable label of every sample, (N,); or, for several labels a sample, 0 and 1, (N, K).

        Raises:
            NotFittedError: before :meth:`fit`.
            ValueError, TypeError: bad data.
        """
        probabilities = self.predict_proba(X)
        if self._multilabel:
            return (probabilities >= 0.5).astype(np.int64)
        return self.classes_[probabilities.argmax(axis=1)]

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of every class, (N, K) in the order of ``classes_``; errors as for :meth:`predict`."""
        return self._outputs(X)

    def decision_function(self, X: Any) -> Array:
        """Return the network's outputs before softmax or sigmoid, (N, K); for two classes their difference, (N,).

        Greater is more probable; for two classes, what is above 0 is the second. Errors as for :meth:`predict`.
        """
        outputs = self._outputs(X, activated=False)
        return outputs[:, 1] - outputs[:, 0] if not self._multilabel and outputs.shape[1] == 2 else outputs

    def _learn_classes(self, y: Array, known: Array | None = None) -> None:
        check_classification_targets(y)
        self._multilabel = y.ndim == 2
        if self._multilabel:
            self.classes_ = np.arange(y.shape[1])
            return
        classes = np.unique(y) if known is None else known
        if len(classes) < 2:
            raise DataError(f"a classifier needs at least two classes; here is one class only: {classes.tolist()[0]!r}")
        self.classes_ = classes

    def _fit(self, x: Array, y: Array, sample_weight: Any, *, afresh: bool, once: bool) -> ConvNetClassifier:
        if (y.ndim == 2) != self._multilabel:
            learnt = "several labels" if self._multilabel else "one label"
            raise DataError(f"y has shape {y.shape}, but ConvNetClassifier learnt {learnt} a sample")
        weight = check_weights(sample_weight, len(x))
        if self._multilabel:
            target = self._check_matrix(y)
        else:
            numbers = self._numbers_of(y)
            weight = weight * class_weights(self.class_weight, self.classes_, numbers, weight)[numbers]
            if not once and len(np.unique(numbers[weight > 0])) < 2:
                raise DataError("a classifier needs samples of at least two classes that have positive weights")
            target = np.eye(len(self.classes_), dtype=np.float32)[numbers]
        self._train(x, target, weight, afresh=afresh, once=once)
        return self

    def _numbers_of(self, y: Array) -> Array:
        """Return the place of every label in ``classes_``."""
        unknown = set(y.tolist()) - set(self.classes_.tolist())
        if unknown:
            told = ", ".join(sorted(map(repr, unknown)))
            raise DataError(f"y has the classes {told}, but ConvNetClassifier learnt {self.classes_.tolist()}")
        return np.searchsorted(self.classes_, y.astype(self.classes_.dtype))

    def _check_matrix(self, y: Array) -> Array:
        if self.class_weight is not None:
            raise ConfigError("class_weight is for one label a sample; y has several")
        if y.shape[1] != len(self.classes_):
            raise DataError(f"y has {y.shape[1]} columns, but ConvNetClassifier learnt {len(self.classes_)} labels")
        return y.astype(np.float32)

    def _loss(self) -> str:
        return "log_loss" if self._multilabel else "cross_entropy"

    def _score_of(self, predicted: Array, target: Array, weight: Array) -> float:
        right = ((predicted >= 0.5) == target).all(axis=1) if self._multilabel else accuracy(predicted, target)
        return float(np.average(right, weights=weight))


def _labels(y: Any) -> Array:
    """Return labels (N,), or a matrix of 0 and 1 (N, K)."""
    dense = y.toarray() if hasattr(y, "toarray") else y
    return dense if type_of_target(dense) == "multilabel-indicator" else column_or_1d(dense, warn=True)
