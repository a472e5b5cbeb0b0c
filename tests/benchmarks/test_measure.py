"""Sides that do not agree get no figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import measure, measure_kernels
from benchmarks.kernels import Kernel, KernelJob
from benchmarks.measure import Settings
from benchmarks.rounds import Round
from benchmarks.sides import Answer
from benchmarks.worker import WorkerError
from benchmarks.works import Work

KERNEL = Kernel(3, 16, 32)


class FakeWorker:
    """A worker that has nothing to do; ``wrong`` sides are wrong by a thousandth of the loss."""

    wrong: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()

    def __init__(self, side: str, job: Any) -> None:
        self.told = job.engine if isinstance(job, KernelJob) else job.variant
        self.name = self.told if side == "kernel" else side
        if self.name in self.lost:
            raise WorkerError(f"{self.name}'s process died, exit code 3")

    def weights(self) -> dict[str, Any]:
        return {}

    def answer(self, within: float | None = None) -> Answer:
        return Answer(1.001 if self.name in self.wrong else 1.0, {"w": np.ones(2)})

    def rounds(self, which: str, threads: int, seconds: float, least: int) -> list[Round]:
        return [Round(4.0 if which == "dweight" else 2.0, float(threads))] * least

    def __enter__(self) -> FakeWorker:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    monkeypatch.setattr(measure, "Worker", FakeWorker)
    monkeypatch.setattr(measure_kernels, "Worker", FakeWorker)
    monkeypatch.setattr(measure, "find_spec", lambda package: package)
    monkeypatch.setattr(measure_kernels, "instruction_set", lambda: "avx512")
    return Settings("auto", 2, 0.0, 3, compiled=False, epoch=False, folder=tmp_path)


def test_a_kernel_that_is_right_is_measured_in_all_passes(settings: Settings) -> None:
    row = measure_kernels.measure_kernel(KERNEL, settings)
    assert row.refused is None
    shares = {(one.which, one.threads): one.share.median for one in row.passes}
    assert shares == {
        ("forward", 1): 0.5,
        ("dx", 1): 0.5,
        ("dweight", 1): 0.25,
        ("forward", 2): 1.0,
        ("dx", 2): 1.0,
        ("dweight", 2): 0.5,
    }


def test_a_kernel_that_is_wrong_is_refused(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    monkeypatch.setattr(FakeWorker, "wrong", ("native",))
    row = measure_kernels.measure_kernel(KERNEL, settings)
    assert row.refused == "the loss differs by 1.0e-03, not ≤ 1e-05"
    assert row.passes == []


def test_a_kernel_whose_process_dies_is_refused(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    monkeypatch.setattr(FakeWorker, "lost", ("native",))
    row = measure_kernels.measure_kernel(KERNEL, settings)
    assert row.refused == "native's process died, exit code 3"


def test_without_a_compiled_part_kernels_are_skipped(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    monkeypatch.setattr(measure_kernels, "instruction_set", lambda: None)
    row = measure_kernels.measure_kernel(KERNEL, settings)
    assert row.skipped == "needs the native engine, and Pellucid was installed without a C++ compiler"


def test_a_peer_that_computes_something_else_gets_no_ratio(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    monkeypatch.setattr(FakeWorker, "wrong", ("JAX",))
    row = measure.measure(Work("train", "train", "nguyen", 32, peer="JAX"), settings)
    ways = ("NCHW, reduce_window", "NCHW, reshape", "NHWC, reduce_window", "NHWC, reshape")
    assert row.refused == "; ".join(f"{way}: the loss differs by 1.0e-03, not ≤ 1e-05" for way in ways)
    assert row.ratio is None


def test_a_peer_that_is_not_installed_is_skipped(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    monkeypatch.setattr(measure, "find_spec", lambda package: None)
    row = measure.measure(Work("predict", "predict", "nguyen", 1, peer="ONNX Runtime"), settings)
    assert row.skipped == "needs onnx and onnxruntime, not installed"
