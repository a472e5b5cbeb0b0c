"""What the tables say about figures that are given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.agreement import Difference
from benchmarks.deep_works import DEEP_WORKS
from benchmarks.grid import Grid
from benchmarks.kernel_row import KernelRow, PassRow
from benchmarks.kernels import Kernel
from benchmarks.plot import plot
from benchmarks.rounds import Round
from benchmarks.row import Row
from benchmarks.works import WORKS, Work

KERNEL = Kernel(3, 16, 32)

#: 100, 80 and 90 GFLOP/s beside a peak of 120, 100 and 100
SHARES = [Round(2e-11, 1 / 60e9), Round(2.5e-11, 2e-11), Round(1 / 45e9, 2e-11)]


def work(name: str) -> Work:
    return next(work for work in WORKS if work.name == name)


def measured(name: str, times: int, rounds: list[Round]) -> Row:
    return Row(work(name), engine="native", variant="NCHW, eager", times=times, rounds=rounds)


def kernel_row() -> KernelRow:
    difference = Difference("the loss", 1e-7, 1e-5)
    return KernelRow(KERNEL, worst=difference, passes=[PassRow(KERNEL, "dweight", 2, SHARES)])


def test_a_step() -> None:
    row = measured("train-nguyen-32", 50, [Round(0.002, 0.008), Round(0.002, 0.008), Round(0.004, 0.012)])
    grid = report.work_grid([row])
    assert grid.lines == [
        (
            "train nguyen, batch 32",
            "native",
            "2 ms",
            "16,000",
            "PyTorch, NCHW, eager",
            "8 ms",
            "4.00",
            "0.50",
            "3",
        )
    ]


def test_an_epoch_counts_all_its_images() -> None:
    (line,) = report.work_grid([measured("epoch-nguyen-32", 1875, [Round(0.5, 4.0)])]).lines
    assert line[:4] == ("an epoch of nguyen, batch 32", "native", "0.5 s", "120,000")
    assert line[5:7] == ("4 s", "8.00")


def test_memory() -> None:
    (line,) = report.work_grid([measured("memory", 468, [Round(3.0, 30.0)])]).lines
    assert line[2:4] == ("3.0 MB", "")
    assert line[5:7] == ("30.0 MB", "10.00")


def test_a_deep_network_stands_among_the_others(tmp_path: Path) -> None:
    work = next(work for work in DEEP_WORKS if work.bfloat16)
    row = Row(work, "native", "NCHW, eager, bfloat16", times=1, rounds=[Round(0.25, 0.5), Round(0.25, 0.5)])
    (line,) = report.work_grid([row]).lines
    assert line == (
        "train resnet20_cifar, batch 128",
        "native",
        "250 ms",
        "512",
        "PyTorch, NCHW, eager, bfloat16",
        "500 ms",
        "2.00",
        "0.00",
        "2",
    )
    report.write_json(tmp_path / "b.json", {}, {}, [row], [])
    (written,) = json.loads((tmp_path / "b.json").read_text())["rows"]
    assert (written["name"], written["work"]["model"]) == ("deep-resnet20-128-bf16", "resnet20_cifar")


def test_a_kernels_share_of_the_peak_is_taken_round_by_round() -> None:
    row = kernel_row()
    (one,) = row.passes
    assert one.gflops == pytest.approx(90)
    assert one.peak == pytest.approx(100)
    assert one.share.median == pytest.approx(100 / 120)  # of 83 %, 80 %, 90 %; not 90 of 100
    assert report.kernel_grid([row]).lines == [
        ("3×3, 16 channels of 32×32", "dweight", "2", "90", "100", "83%", "5%"),
    ]


def test_what_was_not_measured_has_no_figures() -> None:
    refused, skipped = Row(work("predict-1"), engine="native", refused="a difference"), Row(work("predict-1-jax"))
    skipped.skipped = "needs jax, not installed"
    kernel = KernelRow(KERNEL, refused="the loss differs")
    works, kernels = report.work_grid([refused, skipped]), report.kernel_grid([kernel])
    assert [line[6] for line in works.lines] == ["–", "–"]
    assert kernels.lines == [("3×3, 16 channels of 32×32", "–", "–", "–", "–", "–", "–")]
    assert report.remarks([refused, skipped], [kernel]) == [
        "predict-1: no figures. a difference",
        "predict-1-jax: skipped, needs jax, not installed",
        "kernels-3x3-16: no figures. the loss differs",
    ]


def test_noisy_figures_are_called_so() -> None:
    noisy = PassRow(KERNEL, "dx", 1, [Round(1.0, 0.5), Round(1.0, 0.9), Round(2.0, 0.2)])
    (line,) = report.remarks([], [KernelRow(KERNEL, passes=[noisy])])
    assert line.startswith(
        "kernels-3x3-16, dx, threads: 1: noisy, not to be quoted. Half of the ratios lie between 0.30"
    )


def test_json_holds_every_round(tmp_path: Path) -> None:
    row = measured("train-nguyen-32", 50, [Round(0.002, 0.008)])
    report.write_json(tmp_path / "b.json", {"cores": 2}, {"threads": 2}, [row], [kernel_row()])
    content = json.loads((tmp_path / "b.json").read_text())
    assert content["machine"] == {"cores": 2}
    assert content["settings"] == {"threads": 2}
    assert content["rows"][0]["rounds"] == [{"ours": 0.002, "peer": 0.008, "ratio": 4.0}]
    (kernel,) = content["kernels"]
    assert (kernel["name"], kernel["multiply_adds"]) == ("kernels-3x3-16", 16 * 16 * 16 * 94 * 94)
    (one,) = kernel["passes"]
    assert (one["pass"], one["threads"]) == ("dweight", 2)
    assert [each["kernel"] for each in one["rounds"]] == pytest.approx([100, 80, 90])
    assert [each["peak"] for each in one["rounds"]] == pytest.approx([120, 100, 100])
    assert one["share"]["median"] == pytest.approx(100 / 120)


def test_markdown(tmp_path: Path) -> None:
    grid = Grid(("work", "ratio"), ("work",), [("a|b", "2.00"), ("c", "–")])
    report.write_markdown(tmp_path / "b.md", "A machine, 2 cores\nPython", [grid, Grid(("empty",), ())], ["c: skipped"])
    assert (tmp_path / "b.md").read_text() == (
        "A machine, 2 cores  \nPython\n\n"
        "| work | ratio |\n| --- | ---: |\n| a\\|b | 2.00 |\n| c | – |\n\n"
        "- c: skipped\n"
    )


def test_the_plot_has_a_bar_for_every_ratio_and_share(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    row = measured("train-nguyen-32", 50, [Round(0.002, 0.008)])
    plot([row, Row(work("predict-1"))], [kernel_row()], "A machine", tmp_path / "b.svg")
    drawn = (tmp_path / "b.svg").read_text()
    for label in ("train nguyen, batch 32", "PyTorch, NCHW, eager", "dweight, threads: 2", "A machine"):
        assert f"<!-- {label}" in drawn or label in drawn
    assert "predict with nguyen" not in drawn
