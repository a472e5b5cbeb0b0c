from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import deep_agreement
from benchmarks.agreement import worst
from benchmarks.deep_agreement import differences, distance
from benchmarks.deep_sides import DeepAnswer, write_gradients


def written(path: Path, *numbers: float) -> Path:
    np.array(numbers, np.float32).tofile(path)
    return path


def test_gradients_are_what_the_step_took_off_in_the_order_of_names(tmp_path: Path) -> None:
    before = {"b": np.float32([[1.0, 2.0]]), "a": np.float32([3.0])}
    after = {"a": np.float32([3.0 - 1024]), "b": np.float32([1.0 - 2048, 2.0])}
    path = write_gradients(tmp_path / "g", before, after)
    assert np.fromfile(path, np.float32).tolist() == [1.0, 2.0, 0.0]


def test_the_distance_is_that_of_all_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deep_agreement, "PIECE", 2)
    ours, theirs = written(tmp_path / "a", 1, 2, 2, 4, 3), written(tmp_path / "b", 1, 2, 2, 0, 0)
    assert distance(ours, theirs) == pytest.approx(5 / 3)


def test_files_of_other_lengths_are_not_compared(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="8 and 4 bytes of gradients cannot be compared"):
        distance(written(tmp_path / "a", 1, 2), written(tmp_path / "b", 1))


def test_a_few_wrong_entries_are_allowed_and_a_wrong_layer_is_not(tmp_path: Path) -> None:
    theirs = DeepAnswer(2.0, written(tmp_path / "b", 40, 30))
    near, far = written(tmp_path / "near", 40, 32), written(tmp_path / "far", 40, 24)
    loss, gradients = differences(DeepAnswer(2.0001, near), theirs, bfloat16=False)
    assert loss.error == pytest.approx(5e-5)
    assert gradients.error == pytest.approx(2 / 50)
    assert loss.allowed
    assert gradients.allowed
    found = worst(differences(DeepAnswer(2.0, far), theirs, bfloat16=False))
    assert str(found) == "the gradient of all parameters differs by 1.2e-01, not ≤ 1e-01"
    assert not worst(differences(DeepAnswer(2.001, near), theirs, bfloat16=False)).allowed


def test_nan_never_agrees(tmp_path: Path) -> None:
    ours = DeepAnswer(2.0, written(tmp_path / "a", np.nan))
    assert not worst(differences(ours, DeepAnswer(2.0, written(tmp_path / "b", 1)), bfloat16=False)).allowed


def test_bfloat16_agrees_loosely(tmp_path: Path) -> None:
    theirs = DeepAnswer(2.0, written(tmp_path / "b", 40, 30))
    near, far = written(tmp_path / "near", 40, 37), written(tmp_path / "far", 40, 45)
    found = differences(DeepAnswer(2.01, near), theirs, bfloat16=True)
    assert [one.error for one in found] == pytest.approx([0.005, 7 / 50])
    assert all(one.allowed for one in found)
    loss, gradients = differences(DeepAnswer(2.05, far), theirs, bfloat16=True)
    assert str(loss) == "the loss differs by 2.5e-02, not ≤ 1e-02"
    assert str(gradients) == "the gradient of all parameters differs by 3.0e-01, not ≤ 2e-01"
