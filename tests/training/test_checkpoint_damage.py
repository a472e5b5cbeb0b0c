"""No byte of a checkpoint or a model can change unnoticed, and no file can be cut."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pellucid import Network
from pellucid.errors import ModelFileError
from pellucid.layers import BatchNorm, Linear
from pellucid.training import Checkpoints, EarlyStopping, fit
from pellucid.training.checkpoint import Checkpoint

pytestmark = pytest.mark.usefixtures("quick_disk")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A checkpoint with everything in it, and a model."""
    network = Network([Linear(2), BatchNorm(), Linear(2)], input_shape=(3,), engine="reference", input_mean="pixel")
    x, y = np.random.default_rng(0).normal(size=(10, 3)), np.arange(10) % 2
    wanted = Checkpoints(tmp_path, every_batches=2, best="val_loss")
    fit(
        network, x, y, epochs=2, batch_size=3, optimizer="adam", validation_split=0.2, callbacks=[EarlyStopping()],
        checkpoints=wanted, verbose=0,
    )  # fmt: skip
    return {"checkpoint": tmp_path / "step-00000004.safetensors", "model": tmp_path / "best.safetensors"}


@pytest.mark.parametrize(
    ("kind", "read", "at_least"), [("checkpoint", Checkpoint.read, 14_000), ("model", Network.load, 6_000)]
)
def test_no_changed_byte_and_no_cut_goes_unnoticed(
    files: dict[str, Path], tmp_path: Path, kind: str, read: Callable[[Path], Any], at_least: int
) -> None:
    data, path = files[kind].read_bytes(), tmp_path / "damaged"
    read(files[kind])
    rng = np.random.default_rng(0)
    damaged = [data[:length] for length in range(len(data))]
    for place, value in enumerate(data):
        # One flipped bit, and whatever JSON does not mind: white space, a digit, a letter in the other case.
        for other in {value ^ 1 << int(rng.integers(8)), ord(" "), ord("0"), value ^ 32} - {value}:
            damaged.append(data[:place] + bytes([other]) + data[place + 1 :])
    assert len(damaged) >= at_least
    for wrong in damaged:
        path.unlink(missing_ok=True)  # some file systems wait for the disk where a file is written anew in place
        path.write_bytes(wrong)
        with pytest.raises(ModelFileError) as caught:
            read(path)
        assert str(caught.value).startswith(str(path))
