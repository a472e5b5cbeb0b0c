from __future__ import annotations

import csv
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from pellucid import Network
from pellucid.errors import ConfigError, DataError, FileWriteError, MissingExtraError
from pellucid.layers import Linear
from pellucid.training import History, fit

COLUMNS = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds")


def history() -> History:
    first = (1, 0.1 + 0.2, 0.5, 1e-17, 1 / 3, 0.1, 2.5)
    second = (2, 0.25, 1.0, 3.0, 0.0, 0.1, 2.0)
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in (first, second)]
    return History(COLUMNS, rows)


def test_a_column_is_a_list_of_one_number_an_epoch():
    assert history()["loss"] == [0.1 + 0.2, 0.25]
    assert history()["epoch"] == [1, 2]
    assert len(history()) == 2
    assert History(COLUMNS)["val_loss"] == []


def test_an_unknown_column_is_told_with_those_there_are():
    with pytest.raises(KeyError, match=r"the history has no 'mae'; it has epoch, loss, accuracy, val_loss"):
        history()["mae"]


def test_repr_tells_the_last_epoch():
    assert repr(history()) == "History(epochs=2, loss=0.25, accuracy=1, val_loss=3, val_accuracy=0)"
    assert repr(History(COLUMNS, stopped="interrupted")) == "History(epochs=0, stopped='interrupted')"


def test_fit_fills_every_column():
    x, y = np.random.default_rng(0).normal(size=(20, 2)), np.arange(20) % 2
    record = fit(Network([Linear(2)], input_shape=(2,)), x, y, epochs=3, validation_split=0.2, verbose=0)
    assert record.columns == COLUMNS
    assert [tuple(row) for row in record.rows] == [COLUMNS] * 3
    assert record["epoch"] == [1, 2, 3]
    assert record["learning_rate"] == [0.1] * 3
    assert all(0 < seconds < 5 for seconds in record["seconds"])
    assert record.stopped is None


def test_csv_reads_back_bit_for_bit(tmp_path: Path):
    history().to_csv(tmp_path / "history.csv")
    text = (tmp_path / "history.csv").read_text()
    assert text.splitlines()[0] == "epoch,loss,accuracy,val_loss,val_accuracy,learning_rate,seconds"
    assert text.splitlines()[1].startswith("1,0.30000000000000004,0.5,1e-17,0.3333333333333333,")
    rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(text.splitlines())]
    assert rows == history().rows
    assert list(tmp_path.iterdir()) == [tmp_path / "history.csv"]


def test_csv_of_no_epochs_is_the_header(tmp_path: Path):
    History(("epoch", "loss"), stopped="interrupted").to_csv(str(tmp_path / "history.csv"))
    assert (tmp_path / "history.csv").read_text() == "epoch,loss\n"


def test_csv_into_a_missing_folder_is_told(tmp_path: Path):
    with pytest.raises(FileWriteError, match=r"there is no folder .*nowhere; create it first"):
        history().to_csv(tmp_path / "nowhere" / "history.csv")


def pixels(path: Path) -> np.ndarray:
    """Return the picture as (height, width, 3), 0 to 1."""
    image = pytest.importorskip("matplotlib.image", reason="needs matplotlib")
    return image.imread(path)[..., :3]


def curves(picture: np.ndarray, colour: tuple[float, float, float]) -> list[int]:
    """Return how many pixels of a colour each half of the picture has, left and right."""
    found = (abs(picture - colour) < 0.02).all(axis=2)
    middle = found.shape[1] // 2
    return [int(found[:, :middle].sum()), int(found[:, middle:].sum())]


#: matplotlib's first two colours, as documented: tab:blue and tab:orange
BLUE, ORANGE = (0x1F / 255, 0x77 / 255, 0xB4 / 255), (0xFF / 255, 0x7F / 255, 0x0E / 255)


def test_plot_draws_training_and_validation_for_loss_and_metric(tmp_path: Path):
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    history().plot(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    picture = pixels(tmp_path / "curves.png")
    assert picture.shape == (480, 1350, 3)  # 9 × 3.2 inches of 150 dots
    assert min(curves(picture, BLUE) + curves(picture, ORANGE)) > 200
    assert list(tmp_path.iterdir()) == [tmp_path / "curves.png"]
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_plot_without_validation_has_one_curve_each(tmp_path: Path):
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    rows = [{"epoch": e, "loss": 1 / e, "mae": 2 / e, "learning_rate": 0.1, "seconds": 1.0} for e in (1, 2, 3)]
    History(("epoch", "loss", "mae", "learning_rate", "seconds"), rows).plot(tmp_path / "curves.png")
    picture = pixels(tmp_path / "curves.png")
    assert min(curves(picture, BLUE)) > 200
    assert curves(picture, ORANGE) == [0, 0]


def test_the_ending_chooses_the_format(tmp_path: Path):
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    history().plot(tmp_path / "curves.svg")
    assert (tmp_path / "curves.svg").read_text().startswith("<?xml")
    with pytest.raises(ConfigError, match=r"cannot plot to .*curves\.doc: Format 'doc' is not supported"):
        history().plot(tmp_path / "curves.doc")
    assert not (tmp_path / "curves.doc").exists()


def test_plotting_nothing_is_told(tmp_path: Path):
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    with pytest.raises(DataError, match="there is nothing to plot: no epoch was finished"):
        History(COLUMNS).plot(tmp_path / "curves.png")


def test_plotting_without_matplotlib_tells_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=re.escape('pip install "pellucid[plot]"')):
        history().plot(tmp_path / "curves.png")
