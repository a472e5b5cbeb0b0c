"""The summary's numbers against counts by hand and against a meter on the engine; its text, HTML and JSON."""

from __future__ import annotations

import json
import weakref
from dataclasses import dataclass
from html.parser import HTMLParser
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from pellucid import Input, Layer, Network
from pellucid.layers import (
    Add,
    BatchNorm2d,
    Concat,
    Conv2d,
    Flatten,
    GlobalAvgPool2d,
    Linear,
    MaxPool2d,
    ReLU,
    Residual,
)


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch):
    """Print to no terminal, whatever pytest itself prints to."""
    monkeypatch.setattr("sys.stdout", StringIO())
    for variable in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(variable, raising=False)


def nguyen(**settings):
    layers = [Conv2d(6, 5), ReLU(), MaxPool2d(2), Conv2d(12, 5), ReLU(), MaxPool2d(2), Flatten(), Linear(10)]
    return Network(layers, (1, 28, 28), **settings)


def branched(**settings):
    layers = [
        Conv2d(4, 3, padding=1, name="stem"),
        Residual([Conv2d(4, 3, padding=1), ReLU()], name="block"),
        Concat([Conv2d(2, 1), [MaxPool2d(3, stride=1, padding=1), Conv2d(5, 1, bias=False)]], name="mix"),
        Flatten(),
        Linear(3),
    ]
    return Network(layers, (3, 8, 8), engine="reference", **settings)


# name, shape, parameters, multiply-adds, all counted by hand
NGUYEN = [
    ("0", (6, 24, 24), 156, 86_400),
    ("1", (6, 24, 24), 0, 0),
    ("2", (6, 12, 12), 0, 0),
    ("3", (12, 8, 8), 1_812, 115_200),
    ("4", (12, 8, 8), 0, 0),
    ("5", (12, 4, 4), 0, 0),
    ("6", (192,), 0, 0),
    ("7", (10,), 1_930, 1_920),
]
BRANCHED = [
    ("stem", (4, 8, 8), 112, 6_912),
    ("block.0", (4, 8, 8), 148, 9_216),
    ("block.1", (4, 8, 8), 0, 0),
    ("block.add", (4, 8, 8), 0, 0),
    ("mix.0", (2, 8, 8), 10, 512),
    ("mix.1.0", (4, 8, 8), 0, 0),
    ("mix.1.1", (5, 8, 8), 20, 1_280),
    ("mix.concat", (7, 8, 8), 0, 0),
    ("3", (448,), 0, 0),
    ("4", (3,), 1_347, 1_344),
]


@pytest.mark.parametrize(("make", "rows"), [(nguyen, NGUYEN), (branched, BRANCHED)])
def test_rows(make, rows):
    summary = make().summary()
    assert [(row.name, row.shape, row.parameters, row.multiply_adds) for row in summary.rows] == rows
    assert summary.rows[1].layer == ("ReLU()" if make is nguyen else "Conv2d(4, 3, padding=1)")


@pytest.mark.parametrize(
    ("make", "parameters", "multiply_adds", "values", "alive"),
    [
        # values: the input 784, then 3456, 3456, 864, 768, 768, 192, 192, 10; most alive: first convolution and ReLU
        (nguyen, 3_898, 203_520, 10_490, 6_912),
        # values: the input 192, then 5 of 256 (the pool's among them), 128, 320, 448, 448, 3
        # most alive: both branches and their join, 128 + 320 + 448, then the join and its flat copy
        (branched, 1_637, 19_264, 2_819, 896),
    ],
)
@pytest.mark.parametrize(("dtype", "size"), [("float32", 4), ("float64", 8)])
def test_totals(make, parameters, multiply_adds, values, alive, dtype, size):
    summary = make(dtype=dtype).summary()
    assert summary.parameters == parameters
    assert summary.multiply_adds == multiply_adds
    assert summary.parameter_bytes == parameters * size
    assert summary.training_bytes_per_sample == values * 2 * size
    assert summary.inference_bytes_per_sample == alive * size


class Meter:
    """Counts the numbers in live arrays, and the most there ever were."""

    def __init__(self):
        self.live = self.most = 0

    def watch(self, array):
        self.live += array.size
        self.most = max(self.most, self.live)
        weakref.finalize(array, self.drop, array.size)
        return array

    def drop(self, size):
        self.live -= size


METER = Meter()


@dataclass(frozen=True)
class Watched(Layer):
    """Gives a vector of some length from any inputs, on the meter."""

    length: int

    def output_shape(self, *input_shapes):
        return (self.length,)

    def forward(self, params, *xs, **_):
        return METER.watch(np.zeros((1, self.length), np.float32)), None


def chain(x):
    return Watched(3)(Watched(50)(Watched(40)(x)))


def long_shortcut(x):
    start = Watched(30)(x)
    return Watched(5)(Watched(20)(Watched(60)(Watched(7)(start))), start)


def wide(x):
    branches = [Watched(9)(Watched(n)(x)) for n in (70, 10, 40)]
    return Watched(4)(*branches, x)


def read_twice_by_one(x):
    h = Watched(20)(x)
    return Watched(6)(Watched(30)(h, h), h)


@pytest.mark.parametrize("wiring", [chain, long_shortcut, wide, read_twice_by_one])
@pytest.mark.parametrize("width", [2, 33, 500])
def test_inference_memory_is_what_the_engine_holds(wiring, width):
    """All but the input, which belongs to the caller; it is small here and not alive when most is."""
    net = Network(wiring(Watched(width)(Input((1,)))), engine="reference")
    METER.live = METER.most = 0
    net.forward(np.zeros((1, 1), np.float32))
    assert METER.most * 4 == net.summary().inference_bytes_per_sample


@dataclass(frozen=True)
class Labelled(Layer):
    """Does nothing but carry a text that other formats give a meaning to."""

    text: str

    def output_shape(self, input_shape):
        return input_shape


def test_text_shows_every_number_on_its_layers_line():
    lines = str(branched().summary()).splitlines()
    assert lines[0] == "input 3 × 8 × 8, float32"
    cells = {line.split("│")[1].strip(): [c.strip() for c in line.split("│")[2:-1]] for line in lines if "│" in line}
    assert cells["block.0"] == ["Conv2d(4, 3, padding=1)", "4 × 8 × 8", "148", "9,216"]
    assert cells["4"] == ["Linear(3)", "3", "1,347", "1,344"]
    assert cells["total"] == ["", "", "1,637", "19,264"]
    assert lines[-3:] == [
        "parameters: 6.395 KiB",
        "training, a sample: 22.02 KiB (input and all outputs, and a δ for each)",
        "inference, a sample: 3.5 KiB (the most values alive at once)",
    ]
    assert repr(branched().summary()) == str(branched().summary())


def test_text_is_as_wide_as_it_needs_to_be_without_a_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    text = "long " * 40
    assert f"│ Labelled('{text}') │" in str(Network([Labelled(text)], (3,), engine="reference").summary())


@pytest.mark.parametrize("columns", [60, 72])
def test_text_keeps_to_the_terminal(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("FORCE_COLOR", "1")  # makes rich take the stream for a terminal
    text = str(branched().summary())
    widths = {len(line) for line in text.splitlines() if line[0] in "┏│└"}
    assert widths <= set(range(columns - 8, columns + 1))
    assert max(map(len, text.splitlines())) <= columns
    assert "\x1b" not in text
    assert "19,264" in text


@pytest.mark.parametrize(
    ("count", "text"), [(1, "4 B"), (255, "1020 B"), (256, "1 KiB"), (2**18, "1 MiB"), (2**28, "1 GiB")]
)
def test_sizes_have_units(count, text):
    params = {"0.weight": np.broadcast_to(np.float32(0), (count,))}
    network = Network([ReLU()], (3,))
    summary = type(network.summary())(network.graph, params, "float32")
    assert f"parameters: {text}\n" in str(summary)


@pytest.mark.parametrize("text", ["[bold]x[/bold]", "[/nothing]", ":smile:", "[red]"])
def test_markup_in_settings_is_shown_as_it_is(text):
    summary = Network([Labelled(text)], (3,), engine="reference").summary()
    assert f"Labelled('{text}')" in str(summary)
    console = Console(width=100)
    with console.capture() as shown:
        console.print(summary)
    assert f"Labelled('{text}')" in shown.get()


class Cells(HTMLParser):
    """Collects the texts of all cells, row by row, and the tags seen."""

    def __init__(self):
        super().__init__()
        self.rows, self.tags = [], set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data):
        if self.rows and self.rows[-1] and len(self.rows[-1][-1]) == 0:
            self.rows[-1][-1] = data


def test_html_holds_the_same_table():
    cells = Cells()
    cells.feed(branched().summary()._repr_html_())
    assert cells.rows[0] == ["name", "layer", "output shape", "parameters", "multiply-adds"]
    assert cells.rows[2] == ["block.0", "Conv2d(4, 3, padding=1)", "4 × 8 × 8", "148", "9,216"]
    assert [row[0] for row in cells.rows[1:-1]] == [row[0] for row in BRANCHED]
    assert cells.rows[-1][3:] == ["1,637", "19,264"]


def test_html_is_escaped():
    summary = Network([Labelled("<script>&'"), Labelled("", name="a<b")], (3,), engine="reference").summary()
    cells = Cells()
    cells.feed(summary._repr_html_())
    assert cells.rows[1][:2] == ["0", """Labelled("<script>&'")"""]
    assert cells.rows[2][0] == "a<b"
    assert cells.tags <= {"table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td", "p", "br"}


def test_json():
    summary = nguyen(dtype="float64").summary().to_json()
    assert json.loads(json.dumps(summary)) == summary
    assert summary["layers"].pop(3) == {
        "name": "3",
        "layer": "Conv2d(12, 5)",
        "shape": [12, 8, 8],
        "parameters": 1812,
        "multiply_adds": 115200,
    }
    assert len(summary.pop("layers")) == 7
    assert summary == {
        "input_shape": [1, 28, 28],
        "dtype": "float64",
        "parameters": 3898,
        "multiply_adds": 203520,
        "parameter_bytes": 31184,
        "training_bytes_per_sample": 167840,
        "inference_bytes_per_sample": 55296,
        "planned": None,
    }


def test_what_the_native_engine_has_planned():
    pytest.importorskip("pellucid._native", reason="installed without a C++ compiler")
    # 7 numbers and their δ are 14 vectors of 16 samples; nothing before the first layer learns: its input has no δ.
    summary = Network([Linear(3), ReLU(), Linear(2)], (2,), engine="native").summary()
    assert summary.to_json()["planned"] == {
        "training_bytes": (2 + 3 + 2 + 3 + 2) * 64,
        "prediction_bytes": (2 + 3 + 2 + 3 + 2) * 64,
        "whole_batch": False,
    }
    assert str(summary).splitlines()[-2:] == [
        "native engine, training: 768 B a thread, which takes 16 samples at a time",
        "native engine, prediction: 768 B a thread, which takes 16 samples at a time",
    ]
    layers = [Conv2d(8, 3, padding=1), BatchNorm2d(), ReLU(), Conv2d(8, 3, padding=1), GlobalAvgPool2d()]
    planned = Network(layers, (3, 64, 64), engine="native").summary().planned
    assert planned is not None
    assert planned.whole_batch
    # Three values of 8 maps are kept for the way back, two are alive at once on the way there.
    assert planned.training_bytes > 3 * 8 * 64**2 * 64
    assert 2 * 8 * 64**2 * 64 < planned.prediction_bytes < 3 * 8 * 64**2 * 64
    assert planned.notes()[0].endswith("MiB for every 16 samples of a batch")


def test_a_network_without_parameters():
    x = Input((6,))
    summary = Network(Add()(x, ReLU()(x)), engine="reference").summary()
    assert (summary.parameters, summary.multiply_adds, summary.parameter_bytes) == (0, 0, 0)
    assert summary.inference_bytes_per_sample == 3 * 6 * 4
