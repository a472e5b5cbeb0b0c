"""What a training tells of itself batch by batch, worked out only when somebody asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from pellucid.arrays import Array
from pellucid.losses import Loss
from pellucid.training.samples import Samples

#: outputs kept until then, at least a batch of them: 1 MiB of float32
_KEPT = 2**18


def room_for_outputs(data: Samples, longest: int, dtype: np.dtype[np.generic]) -> Array:
    """Return an array (rows, K) that takes the outputs of at least one batch."""
    classes = data.target.shape[1]
    return np.empty((max(longest, min(len(data), _KEPT // classes)), classes), dtype)


class Figures:
    """Loss and metric over the batches of an epoch so far, each batch counting as its samples weigh.

    A batch is only noted. When somebody reads a figure, or the room is full, the metric of all batches noted since is
    worked out together, and each keeps a sum of its own: so figures do not depend on when they are read.

    Args:
        loss: of the network.
        metric: a name of :data:`~pellucid.metrics.METRICS`.
        data: the samples.
        outputs: where the network's outputs are put.
        before: Σ loss, Σ metric and Σ weight of the batches before the first, where training is resumed.
    """

    def __init__(
        self,
        loss: Loss,
        metric: str,
        data: Samples,
        outputs: Array,
        before: tuple[float, float, float] = (0.0, 0.0, 0.0),
    ) -> None:
        self._loss, self._metric, self._data, self._outputs = loss, metric, data, outputs
        self._before = before
        self._values: list[float] = []
        self._rows: list[Array] = []
        self._used = 0
        #: after every batch: Σ loss, Σ metric, Σ weight
        self._sums: list[tuple[float, float, float]] = []

    def place(self, count: int) -> int:
        """Return from which row of the outputs on those of the next batch go."""
        if self._used + count > len(self._outputs):
            self._work_out()
        return self._used

    def add(self, value: float, rows: Array) -> None:
        """Note a batch whose loss is ``value`` and whose outputs have been put in their place."""
        self._values.append(value)
        self._rows.append(rows)
        self._used += len(rows)

    def logs(self) -> Mapping[str, float]:
        """Return the figures by name, as they are now, whenever they are read."""
        return _Logs(self, len(self._sums) + len(self._values))

    @property
    def names(self) -> tuple[str, str]:
        """The names of loss and metric."""
        return "loss", self._metric

    @property
    def sums(self) -> tuple[float, float, float]:
        """Σ loss, Σ metric and Σ weight over the batches so far."""
        if self._values:
            self._work_out()
        return self._sums[-1] if self._sums else self._before

    def after(self, batches: int) -> dict[str, float]:
        """Return the figures over the first batches."""
        if batches > len(self._sums):
            self._work_out()
        value, score, weight = self._sums[batches - 1]
        return {"loss": value / weight if self._loss.reduction == "mean" else value, self._metric: score / weight}

    def _work_out(self) -> None:
        rows = np.concatenate(self._rows)
        starts = np.cumsum([0, *map(len, self._rows[:-1])])
        weight = self._data.weight[rows]
        with np.errstate(all="ignore"):
            scores = self._loss.scores(self._metric, self._outputs[: self._used], self._data.target[rows])
        weights = np.add.reduceat(weight, starts)
        values = weights * self._values if self._loss.reduction == "mean" else self._values
        steps = np.column_stack([values, np.add.reduceat(weight * scores, starts), weights])
        before = self._sums[-1] if self._sums else self._before
        sums = np.cumsum(np.vstack([before, steps]), axis=0)[1:]
        self._sums.extend((value, score, weight) for value, score, weight in sums.tolist())
        self._values, self._rows, self._used = [], [], 0


class _Logs(Mapping[str, float]):
    """The figures of one moment, worked out when they are first read."""

    def __init__(self, figures: Figures, batches: int) -> None:
        self._figures, self._batches = figures, batches

    def __getitem__(self, name: str) -> float:
        return self._figures.after(self._batches)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._figures.names)

    def __len__(self) -> int:
        return len(self._figures.names)

    def __repr__(self) -> str:
        return repr(dict(self))
