"""History: the record of a training, epoch by epoch."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pellucid.errors import ConfigError, DataError
from pellucid.extra import need
from pellucid.interop.atomic import write_atomically

#: columns that are no curves
_CLOCKWORK = ("epoch", "learning_rate", "seconds")


@dataclass
class History:
    """What one call of ``fit`` did, one row an epoch. ``history["loss"]`` is a column, as a list.

    Attributes:
        columns: ``"epoch"`` (from 1), ``"loss"``, ``"accuracy"`` (or ``"mae"``), ``"val_loss"`` and ``"val_accuracy"``
            if there was validation, ``"learning_rate"`` (of the epoch's last batch), ``"seconds"``.
        rows: column to number, one dict for every epoch that was finished.
        stopped: None if all epochs ran, ``"early stopping"`` if a callback ended them, ``"interrupted"`` after Ctrl-C,
            ``"not finite"`` where :class:`~pellucid.training.TerminateOnNaN` took the place of an error.
    """

    columns: tuple[str, ...]
    rows: list[dict[str, float]] = field(default_factory=list[dict[str, float]])
    stopped: Literal["early stopping", "interrupted", "not finite"] | None = None

    def __len__(self) -> int:
        """Return the number of epochs."""
        return len(self.rows)

    def __getitem__(self, column: str) -> list[float]:
        """Return a column; raises KeyError listing those there are."""
        if column not in self.columns:
            raise KeyError(f"the history has no {column!r}; it has {', '.join(self.columns)}")
        return [row[column] for row in self.rows]

    def __repr__(self) -> str:
        """Name the number of epochs, and what the last one came to."""
        last = {name: value for name, value in self.rows[-1].items() if name not in _CLOCKWORK} if self.rows else {}
        parts = [f"epochs={len(self)}", *(f"{name}={value:.4g}" for name, value in last.items())]
        return f"History({', '.join(parts)}{f', stopped={self.stopped!r}' if self.stopped else ''})"

    def to_csv(self, path: str | Path) -> None:
        """Write the rows as a CSV file with a header line, whole or not at all; numbers read back bit for bit.

        Raises:
            FileWriteError: the file cannot be written.
        """
        text = io.StringIO()
        table = csv.DictWriter(text, self.columns, lineterminator="\n")
        table.writeheader()
        table.writerows(self.rows)
        write_atomically(Path(path), text.getvalue().encode())

    def plot(self, path: str | Path) -> None:
        """Write a picture of the curves over the epochs, training and validation together: whole or not at all.

        Args:
            path: where to; the ending chooses the format: ``.png``, ``.svg``, ``.pdf``.

        Raises:
            MissingExtraError: matplotlib is not installed.
            DataError: no epoch was finished.
            ConfigError: the ending names no format that matplotlib writes.
            FileWriteError: the file cannot be written.
        """
        figures = need("matplotlib.figure", "History.plot needs matplotlib", "pellucid[plot]")
        if not self.rows:
            raise DataError("there is nothing to plot: no epoch was finished")
        curves = [name for name in self.columns if name not in _CLOCKWORK and not name.startswith("val_")]
        figure = figures.Figure(figsize=(4.5 * len(curves), 3.2), layout="constrained")
        for position, name in enumerate(curves):
            axes = figure.add_subplot(1, len(curves), position + 1)
            axes.plot(self["epoch"], self[name], marker=".", label="training")
            if f"val_{name}" in self.columns:
                axes.plot(self["epoch"], self[f"val_{name}"], marker=".", label="validation")
            axes.set_xlabel("epoch")
            axes.set_ylabel(name)
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.legend()
        path, picture = Path(path), io.BytesIO()
        try:
            figure.savefig(picture, format=path.suffix[1:] or "png", dpi=150)
        except ValueError as error:
            raise ConfigError(f"cannot plot to {path}: {error}") from error
        write_atomically(path, picture.getvalue())
