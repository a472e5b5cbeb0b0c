"""What the two estimators share: settings, intake, training, and what is left of it."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np

from pellucid.arrays import Array, Shape
from pellucid.augmentation import Augmentation
from pellucid.errors import ConfigError, ShapeError
from pellucid.estimator.architecture import Architecture, make_network
from pellucid.estimator.contract import BaseEstimator, check_is_fitted, check_random_state, validate_data
from pellucid.estimator.intake import flatten, merge_equal, resolve_shape
from pellucid.estimator.monitor import Monitor
from pellucid.estimator.scaling import Scaling
from pellucid.inputs import require_count
from pellucid.network import Network
from pellucid.optimizers import Optimizer
from pellucid.schedules import Schedule
from pellucid.training.batches import split

#: settings that are numbers, and what they may be
_LIMITS: dict[str, tuple[Callable[[float], bool], str]] = {
    "validation_fraction": (lambda value: 0 < value < 1, "a number between 0 and 1"),
    "n_iter_no_change": (lambda value: value >= 1, "a number of at least 1, or inf"),
    "tol": (lambda value: 0 <= value < np.inf, "a finite number and not negative"),
    "alpha": (lambda value: 0 <= value < np.inf, "a finite number and not negative"),
}


class ConvNet(BaseEstimator):
    """Base of :class:`ConvNetClassifier` and :class:`ConvNetRegressor`."""

    network_: Network
    input_shape_: Shape
    n_iter_: int
    loss_curve_: list[float]
    validation_scores_: list[float] | None
    best_validation_score_: float | None
    _seed: int
    _scaling: Scaling | None

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
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = None,
        engine: str = "auto",
        verbose: int = 0,
    ) -> None:
        self.network = network
        self.input_shape = input_shape
        self.standardize = standardize
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.alpha = alpha
        self.augment = augment
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.engine = engine
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that X may be images."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    def _starts_afresh(self) -> bool:
        return not (self.warm_start and hasattr(self, "network_"))

    def _take_in(self, X: Any, y: Any, *, reset: bool, y_numeric: bool = False) -> tuple[Array, Array]:
        """Return X as images, or vectors, of the numbers it came with; and y as scikit-learn validates it.

        Raises:
            ValueError, TypeError: scikit-learn's, for what no estimator takes.
            ConfigError: a setting is out of range.
            ConfigError, ShapeError: see :func:`~pellucid.estimator.intake.resolve_shape`.
        """
        self._check_settings()
        flat, shape = flatten(X)
        rows, y = validate_data(self, flat, y=y, reset=reset, dtype="numeric", multi_output=True, y_numeric=y_numeric)
        if reset:
            self.input_shape_ = resolve_shape(self.input_shape, shape, rows.shape[1])
        return self._images(rows, shape), y

    def _images(self, rows: Array, shape: Shape | None) -> Array:
        if shape is not None and shape != self.input_shape_:
            raise ShapeError(f"X has samples of shape {shape}, but {type(self).__name__} learnt {self.input_shape_}")
        return rows.reshape(len(rows), *self.input_shape_)

    def _train(self, x: Array, target: Array, weight: Array, *, afresh: bool, once: bool) -> None:
        """Train on samples that have been taken in.

        Args:
            x: (N, ...), as :meth:`_take_in` returns them.
            target: (N, K), as the loss takes them.
            weight: (N,), not negative; samples of weight 0 are left out.
            afresh: begin with a new network, not with the one there is.
            once: go over the samples once, and hold nothing out.
        """
        if afresh:
            self._seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        rows, held = np.flatnonzero(weight), None
        if self.early_stopping and not once:
            training, held = self._hold_out(target[rows])
            rows, held = rows[training], rows[held]
        data = (x, target, weight) if len(rows) == len(x) else (x[rows], target[rows], weight[rows])
        if len(rows) <= self.batch_size:
            data = merge_equal(*data)
        if afresh:
            self._start_over(*data)
        score = None if held is None else self._scorer(x[held], target[held], weight[held])
        self._run(*data, Monitor(self.n_iter_no_change, self.tol, score), 1 if once else self.max_iter)

    def _start_over(self, x: Array, target: Array, weight: Array) -> None:
        """Forget what was learnt; take the scaling from what is to be trained on, and make a new network."""
        self.loss_curve_ = []
        self.validation_scores_ = self.best_validation_score_ = None
        self._scaling = Scaling.of(x, weight) if self.standardize else None
        self._learn_targets(target, weight)
        self.network_ = make_network(
            self.network,
            self.input_shape_,
            target.shape[1],
            loss=self._loss(),
            seed=self._seed,
            alpha=self.alpha,
            engine=self.engine,
            n_jobs=self.n_jobs,
        )

    def _run(self, x: Array, target: Array, weight: Array, monitor: Monitor, epochs: int) -> None:
        self.network_.n_jobs = self.n_jobs
        self.network_.fit(
            self._scaled(x),
            self._network_target(target),
            sample_weight=weight,
            epochs=epochs,
            batch_size=self.batch_size,
            optimizer=self.optimizer,
            learning_rate=self.learning_rate,
            augment=self.augment,
            callbacks=[monitor],
            verbose=int(bool(self.verbose)),
        )
        self.n_iter_ = len(monitor.losses)
        self.loss_curve_ = [*self.loss_curve_, *monitor.losses]
        if monitor.scores:
            self.validation_scores_ = [*(self.validation_scores_ or []), *monitor.scores]
            self.best_validation_score_ = max(self.validation_scores_)

    def _outputs(self, X: Any, *, activated: bool = True) -> Array:
        """Return the network's outputs (N, K), after the loss's activation or before it."""
        check_is_fitted(self)
        flat, shape = flatten(X)
        rows = validate_data(self, flat, reset=False, dtype="numeric")
        images = self._scaled(self._images(rows, shape))
        self.network_.n_jobs = self.n_jobs
        return self.network_.predict(images) if activated else self.network_.forward(images)

    def _scaled(self, images: Array) -> Array:
        return images if self._scaling is None else self._scaling.apply(images, self.network_.dtype)

    def _hold_out(self, target: Array) -> tuple[Array, Array]:
        training, held = split(target, self.validation_fraction, self._seed)
        if len(held) < 2 or not len(training):
            raise ConfigError(
                f"validation_fraction={self.validation_fraction} of {len(target)} samples holds out {len(held)} and "
                f"leaves {len(training)} to train on; early stopping needs at least two held out, and one left"
            )
        return training, held

    def _scorer(self, x: Array, target: Array, weight: Array) -> Any:
        """Return what tells the score on samples that were held out."""
        scaled = self._scaled(x)
        return lambda: self._score_of(self.network_.predict(scaled), target, weight)

    def _loss(self) -> str:
        raise NotImplementedError

    def _score_of(self, predicted: Array, target: Array, weight: Array) -> float:
        raise NotImplementedError

    def _learn_targets(self, target: Array, weight: Array) -> None:
        """Learn what :meth:`_network_target` needs to know."""

    def _network_target(self, target: Array) -> Array:
        """Return targets as the network learns them."""
        return target

    def _check_settings(self) -> None:
        require_count("max_iter", self.max_iter)
        require_count("batch_size", self.batch_size)
        for name, (good, wanted) in _LIMITS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Real) or not good(float(value)):
                raise ConfigError(f"{name} must be {wanted}, got {value!r}")
