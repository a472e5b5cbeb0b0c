"""What a training shows while it runs: a bar on a terminal, else one plain line an epoch."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from pellucid.training.callbacks import Callback, Logs

if TYPE_CHECKING:
    from rich.console import Console

#: seconds between two pictures of the bar
_REFRESH = 0.1


def reporter(verbose: int, console: Console | None = None) -> Callback:
    """Return the callback that reports: a bar if the console is a terminal, lines if not, nothing if not ``verbose``.

    Args:
        verbose: 0 for silence.
        console: where to write; standard output if None.
    """
    if not verbose:
        return Callback()
    if console is None:
        from rich.console import Console

        console = Console()
    moving = console.is_terminal and not console.is_dumb_terminal
    return ProgressBar(console) if moving else EpochLines(console)


class EpochLines(Callback):
    """Print one plain line an epoch."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._epochs = 0

    def on_train_begin(self, logs: Logs) -> None:
        """Note how many epochs there are."""
        self._epochs = int(logs["epochs"])

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Print the line of the epoch."""
        line = f"epoch {epoch + 1}/{self._epochs}  {_figures(logs)}  {logs['seconds']:.1f} s"
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class ProgressBar(EpochLines):
    """Show the epoch's batches as a bar, with loss, metric and the time left, under the lines of earlier epochs."""

    def __init__(self, console: Console) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        super().__init__(console)
        # Refreshed from on_batch_end, so that no second thread runs beside the engine's.
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}", markup=False),
            console=console,
            auto_refresh=False,
            transient=True,
        )
        self._task = self._bar.add_task("", figures="")
        self._batches = 0
        self._shown = 0.0

    def on_train_begin(self, logs: Logs) -> None:
        """Note how much there is to do."""
        super().on_train_begin(logs)
        self._batches = int(logs["batches"])

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        """Start the bar over."""
        title = f"epoch {epoch + 1}/{self._epochs}"
        self._bar.reset(self._task, total=self._batches, description=title, figures="")
        self._bar.start()  # the first time; it is on show from then on

    def on_batch_end(self, batch: int, logs: Logs) -> None:
        """Move the bar on, ten times a second at most."""
        if monotonic() - self._shown >= _REFRESH:
            self._bar.update(self._task, completed=batch + 1, figures=_figures(logs), refresh=True)
            self._shown = monotonic()

    def on_train_end(self, logs: Logs) -> None:
        """Take the bar away; the lines stay."""
        self._bar.stop()


def _figures(logs: Logs) -> str:
    shown = {name: value for name, value in logs.items() if name not in ("epoch", "learning_rate", "seconds")}
    return "  ".join(f"{name} {value:.4g}" for name, value in shown.items())
