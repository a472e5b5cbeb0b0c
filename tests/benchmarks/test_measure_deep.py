"""A deep network that a side computes otherwise gets no figures, and only the peer's best variant stays in memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from benchmarks import measure, measure_deep
from benchmarks.deep_sides import DeepAnswer, DeepJob
from benchmarks.deep_works import DeepWork
from benchmarks.measure import Settings
from benchmarks.rounds import Round
from benchmarks.worker import WorkerError


class FakeWorker:
    """A worker whose steps take as long as its variant says."""

    speeds: ClassVar[dict[str, float]] = {
        "auto": 2.0,
        "NCHW, eager": 8.0,
        "channels_last, eager": 6.0,
        "NCHW, compiled": 9.0,
        "channels_last, compiled": 7.0,
    }
    wrong: ClassVar[dict[str, float]] = {}
    open: ClassVar[list[str]] = []
    most: ClassVar[int] = 0

    def __init__(self, side: str, job: DeepJob) -> None:
        self.side, self.job, self.told = side, job, job.variant
        if self.wrong.get(job.variant) == np.inf:
            raise WorkerError(f"{side}'s process died, exit code 3")
        self.open.append(job.variant)
        FakeWorker.most = max(self.most, len(self.open))

    def answer(self, within: float | None = None) -> DeepAnswer:
        path = self.job.folder / self.told
        np.float32([1 + self.wrong.get(self.told, 0.0)]).tofile(path)
        return DeepAnswer(1.0, path)

    def seconds(self, times: int) -> float:
        assert self.told in self.open
        return times * self.speeds[self.told]

    def megabytes(self, times: int) -> float:
        assert self.open == [self.told], "the others' memory is in the way"
        return times * self.speeds[self.told]

    def close(self) -> None:
        if self.told in self.open:
            self.open.remove(self.told)

    def __enter__(self) -> FakeWorker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    monkeypatch.setattr(measure, "Worker", FakeWorker)
    monkeypatch.setattr(measure_deep, "Worker", FakeWorker)
    monkeypatch.setattr(measure_deep, "find_spec", lambda package: package)
    monkeypatch.setattr(measure_deep.images, "count", lambda *_: 64)
    monkeypatch.setattr(FakeWorker, "wrong", {})
    monkeypatch.setattr(FakeWorker, "open", [])
    monkeypatch.setattr(FakeWorker, "most", 0)
    return Settings("auto", 2, 0.0, 5, compiled=False, epoch=True, folder=tmp_path)


@pytest.mark.parametrize("best", ["NCHW, eager", "channels_last, eager", "NCHW, compiled", "channels_last, compiled"])
def test_the_best_variant_is_measured_in_three_rounds_at_least(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, best: str
) -> None:
    monkeypatch.setitem(FakeWorker.speeds, best, 5.0)
    row = measure_deep.measure_deep(DeepWork("train", "vgg16", 16), replace(settings, compiled=True))
    assert row.tried == {variant: speed for variant, speed in FakeWorker.speeds.items() if variant != "auto"}
    assert (row.variant, row.times, row.rounds) == (best, 1, [Round(2.0, 5.0)] * 3)
    assert FakeWorker.most == 3  # Pellucid, the best so far, and the one that is tried
    assert FakeWorker.open == []


def test_a_variant_that_is_tried_while_the_machine_is_slow_may_still_be_the_best(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    steps = {"NCHW, eager": [0.3] * 99, "channels_last, eager": [0.9] * 4 + [0.2] * 90}
    monkeypatch.setattr(FakeWorker, "seconds", lambda worker, times: times * steps.get(worker.told, [0.1] * 9).pop(0))
    row = measure_deep.measure_deep(DeepWork("train", "resnet20_cifar", 16), settings)
    assert row.tried == {"NCHW, eager": 0.3, "channels_last, eager": 0.2}
    assert row.variant == "channels_last, eager"


def test_memory_is_that_of_two_steps_in_fresh_processes(settings: Settings) -> None:
    row = measure_deep.measure_deep(DeepWork("memory", "vgg16", 16), settings)
    assert (row.variant, row.times, row.rounds) == ("channels_last, eager", 2, [Round(4.0, 12.0)] * 3)


@pytest.mark.parametrize("task", ["train", "memory"])
def test_without_agreement_there_is_no_ratio(monkeypatch: pytest.MonkeyPatch, settings: Settings, task: Any) -> None:
    monkeypatch.setattr(FakeWorker, "wrong", {"NCHW, eager": 0.5, "channels_last, eager": np.inf})
    row = measure_deep.measure_deep(DeepWork(task, "vgg16", 16), settings)
    assert row.refused == "PyTorch agrees in no variant"
    assert row.notes == [
        "left out NCHW, eager: the gradient of all parameters differs by 3.3e-01, not ≤ 1e-01",
        "left out channels_last, eager: deep PyTorch's process died, exit code 3",
    ]
    assert row.ratio is None
    assert FakeWorker.open == []


def test_without_pytorch_it_is_skipped(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    monkeypatch.setattr(measure_deep, "find_spec", lambda package: None)
    row = measure_deep.measure_deep(DeepWork("train", "vgg16", 16), settings)
    assert row.skipped == "needs torch, not installed"
