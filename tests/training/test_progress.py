from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from pellucid import Network
from pellucid.layers import Linear
from pellucid.training import Callback, History, fit
from pellucid.training.progress import EpochLines, ProgressBar, reporter


def train(*callbacks: Callback, verbose: int = 0, epochs: int = 3, **settings: Any) -> History:
    x, y = np.random.default_rng(0).normal(size=(20, 2)), np.arange(20) % 2
    network = Network([Linear(2)], input_shape=(2,))
    return fit(
        network,
        x,
        y,
        epochs=epochs,
        batch_size=4,
        validation_split=0.2,
        callbacks=callbacks,
        verbose=verbose,
        **settings,
    )


def terminal(**settings: Any) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=120, _environ={"TERM": "xterm-256color"}, **settings)


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def plain(text: str) -> str:
    """Return the text without the terminal's control sequences."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def expected_line(history: History, epoch: int) -> str:
    row = history.rows[epoch]
    figures = "  ".join(f"{name} {row[name]:.4g}" for name in ("loss", "accuracy", "val_loss", "val_accuracy"))
    return f"epoch {epoch + 1}/{len(history)}  {figures}  {row['seconds']:.1f} s"


def test_off_a_terminal_there_is_one_plain_line_an_epoch(capsys: pytest.CaptureFixture[str]):
    history = train(verbose=1)
    output = capsys.readouterr()
    assert output.out.splitlines() == [expected_line(history, epoch) for epoch in range(3)]
    assert output.err == ""


def test_long_lines_are_not_broken(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "20")
    train(verbose=1)
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_verbose_0_is_silent(capsys: pytest.CaptureFixture[str]):
    train(verbose=0)
    assert capsys.readouterr() == ("", "")


def test_the_console_decides_between_bar_and_lines():
    assert type(reporter(1, terminal())) is ProgressBar
    assert type(reporter(1, Console(file=io.StringIO()))) is EpochLines
    assert type(reporter(1, Console(force_terminal=True, _environ={"TERM": "dumb"}))) is EpochLines
    assert type(reporter(0, terminal())) is Callback


def test_on_a_terminal_a_bar_shows_batches_figures_and_time_left(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("pellucid.training.progress._REFRESH", 0.0)
    console = terminal()
    history = train(ProgressBar(console))
    text = plain(written(console))
    for epoch in range(3):
        assert f"epoch {epoch + 1}/3 ━" in text
        assert f"{expected_line(history, epoch)}" in text
    for done in range(5):
        assert re.search(rf"━ {done}/4 ", text)
    assert re.search(r"━ 3/4 0:00:0\d loss [\d.]+  accuracy [\d.]+", text)


def test_the_bar_is_gone_at_the_end_and_the_cursor_is_back():
    console = terminal()
    train(ProgressBar(console))
    text = written(console)
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1  # hidden once, shown once
    assert text.endswith("\x1b[1A\x1b[2K")  # up to the bar's line, and erase it


def test_the_bar_is_not_drawn_more_often_than_eyes_can_see():
    console = terminal()
    train(ProgressBar(console), epochs=1)  # a few milliseconds
    assert set(re.findall(r"━ (\d)/4 ", plain(written(console)))) < set("01234")


def test_the_bar_is_taken_away_when_training_fails():
    class Failing(Callback):
        def on_batch_end(self, batch: int, logs: Any) -> None:
            raise RuntimeError("no")

    console = terminal()
    with pytest.raises(RuntimeError, match="no"):
        train(ProgressBar(console), Failing())
    assert written(console).count("\x1b[?25h") == 1


def test_a_bar_that_never_started_ends_quietly():
    class Failing(Callback):
        def on_train_begin(self, logs: Any) -> None:
            raise RuntimeError("no")

    console = terminal()
    with pytest.raises(RuntimeError, match="no"):
        train(Failing(), ProgressBar(console))
    assert "━" not in written(console)
