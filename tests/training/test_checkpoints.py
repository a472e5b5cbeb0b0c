"""When checkpoints are written, which are kept, and what happens where that cannot be."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from pellucid import Network
from pellucid.errors import CheckpointError, ConfigError, FileWriteError
from pellucid.layers import BatchNorm, Linear
from pellucid.optimizers import OptimizerState
from pellucid.training import Callback, Checkpoints, History, checkpoints, fit
from pellucid.training.checkpoint import Checkpoint

pytestmark = pytest.mark.usefixtures("quick_disk")


def make(**settings: Any) -> Network:
    return Network([Linear(3), BatchNorm(), Linear(2)], input_shape=(3,), **{"engine": "reference", **settings})


def train(network: Network, given: Checkpoints | None = None, **settings: Any) -> History:
    x, y = np.random.default_rng(0).normal(size=(10, 3)), np.arange(10) % 2
    return fit(network, x, y, checkpoints=given, **{"epochs": 4, "batch_size": 4, "verbose": 0, **settings})


def steps(folder: Path) -> list[int]:
    return sorted(int(path.name.removeprefix("step-").removesuffix(".safetensors")) for path in folder.iterdir())


class Clock(Callback):
    """Let time pass by itself: so many seconds a batch."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
        self.now, self.seconds = 1000.0, seconds
        monkeypatch.setattr(checkpoints, "monotonic", lambda: self.now)

    def on_batch_end(self, batch: int, logs: Any) -> None:
        self.now += self.seconds


# When, and how many. An epoch has three batches, the training twelve.


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"every_batches": 1}, list(range(13))),
        ({"every_batches": 5}, [0, 5, 10, 12]),
        ({"every_batches": 3}, [0, 3, 6, 9, 12]),
        ({"every_batches": 100}, [0, 12]),
        ({"every_seconds": 25}, [0, 3, 6, 9, 12]),
        ({"every_seconds": 40}, [0, 4, 8, 12]),
        ({"every_seconds": 1000}, [0, 12]),
        ({"every_seconds": 40, "every_batches": 3}, [0, 3, 6, 9, 12]),
        ({}, [0, 6, 12]),
    ],
)
def test_checkpoints_are_written_when_they_are_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], expected: list[int]
) -> None:
    train(make(), Checkpoints(tmp_path, keep=100, **settings), callbacks=[Clock(monkeypatch, 10.0)])
    assert steps(tmp_path) == expected


def test_what_takes_long_is_done_less_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, write = Clock(monkeypatch, 10.0), Checkpoint.write

    def slowly(saved: Checkpoint, path: Path) -> None:
        write(saved, path)
        clock.now += 3

    monkeypatch.setattr(Checkpoint, "write", slowly)
    train(make(), Checkpoints(tmp_path, keep=100), epochs=18, callbacks=[clock])
    # 9 s, for the first, the second and the last, are 3 % of 300 s: thirty batches. Then there is one more every 100 s.
    assert steps(tmp_path) == [0, 30, 40, 50, 54]


def test_what_the_best_models_take_counts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, save = Clock(monkeypatch, 10.0), Network.save

    def slowly(network: Network, path: Path) -> None:
        save(network, path)
        clock.now += 3

    monkeypatch.setattr(Network, "save", slowly)
    figures = Scripted("loss", [-float(epoch) for epoch in range(40)])
    train(make(), Checkpoints(tmp_path, best="loss"), epochs=40, callbacks=[clock, figures])
    assert {path.name for path in tmp_path.iterdir()} == {
        "best.safetensors", "step-00000000.safetensors", "step-00000120.safetensors",
    }  # fmt: skip


@pytest.mark.parametrize("keep", [1, 2, 5])
def test_the_newest_are_kept(tmp_path: Path, keep: int) -> None:
    train(make(), Checkpoints(tmp_path, every_batches=1, keep=keep))
    assert steps(tmp_path) == list(range(13))[-keep:]


class Scripted(Callback):
    """Make an epoch's figure what the script says, and every tensor a sign of the epoch."""

    def __init__(self, column: str, figures: list[float]) -> None:
        self.column, self.figures = column, figures

    def on_epoch_end(self, epoch: int, logs: Any) -> None:
        logs[self.column] = self.figures[epoch]
        for value in self.network.tensors().values():
            value[...] = epoch + 1


@pytest.mark.parametrize(
    ("column", "figures", "epoch"),
    [
        ("loss", [3.0, 2, 2, 4], 2),
        ("loss", [1.0, 2, 2, 4], 1),
        ("accuracy", [0.1, 0.5, 0.5, 0.6], 4),
        ("accuracy", [0.1, 0.5, 0.4, 0.5], 2),
    ],
)
def test_the_model_of_the_best_epoch_is_kept(tmp_path: Path, column: str, figures: list[float], epoch: int) -> None:
    for length in (3, 4):  # the second call goes on from the first one's end
        wanted = Checkpoints(tmp_path, best=column, resume=True)
        train(make(), wanted, epochs=length, callbacks=[Scripted(column, figures)], learning_rate=0.0)
    best = Network.load(tmp_path / "best.safetensors")
    assert {float(entry) for value in best.tensors().values() for entry in value.flat} == {epoch}


def test_a_figure_that_will_not_exist_is_told_before_training(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="best is 'val_loss', but this training has epoch, loss, accuracy, learning"):
        train(make(), Checkpoints(tmp_path / "c", best="val_loss"))
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"every_batches": 0}, "Checkpoints: every_batches must be a whole number of at least 1, got 0"),
        ({"every_seconds": 0}, "Checkpoints: every_seconds must be above 0 and finite, got 0"),
        ({"every_seconds": float("nan")}, "Checkpoints: every_seconds must be above 0 and finite, got nan"),
        ({"keep": 0}, "Checkpoints: keep must be a whole number of at least 1, got 0"),
    ],
)
def test_bad_settings_are_told(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(text)):
        Checkpoints("c", **settings)


def test_a_folder_alone_is_not_enough(tmp_path: Path) -> None:
    text = f"checkpoints must be a Checkpoints, such as Checkpoints('folder'), got {str(tmp_path)!r}"
    with pytest.raises(ConfigError, match=re.escape(text)):
        train(make(), str(tmp_path))  # type: ignore[arg-type]


# Going on.


def test_resume_starts_where_there_is_nothing_yet(tmp_path: Path) -> None:
    network, other = make(), make()
    train(network, Checkpoints(tmp_path / "new" / "folder", resume=True))
    train(other)
    np.testing.assert_array_equal(network.flat_parameters, other.flat_parameters)


def test_checkpoints_there_are_not_mixed_with_new_ones(tmp_path: Path) -> None:
    train(make(), Checkpoints(tmp_path))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    network = make()
    with pytest.raises(
        CheckpointError,
        match=re.escape(
            f"{tmp_path} holds checkpoints of an earlier training: Checkpoints(..., resume=True) goes on from them; to "
            "start over, take another folder, or remove them"
        ),
    ):
        train(network, Checkpoints(tmp_path))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert network.step == 0


def spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_a_damaged_checkpoint_is_passed_over_with_a_warning(tmp_path: Path) -> None:
    undisturbed = make()
    history = train(undisturbed, Checkpoints(tmp_path, every_batches=5))
    spoil(tmp_path / "step-00000012.safetensors")
    (tmp_path / "step-00000010.safetensors").write_bytes(b"")
    (tmp_path / "step-by-step.safetensors").write_bytes(b"not ours")
    network = make()
    with pytest.warns(UserWarning, match="damaged") as caught:
        resumed = train(network, Checkpoints(tmp_path, keep=1, every_batches=1, resume=True))
    (warning,) = caught
    assert re.fullmatch(
        r"\S+/step-00000012\.safetensors is damaged: its bytes do not match their checksum; .*\. "
        r"\S+/step-00000010\.safetensors is empty; .*\. "
        r"Training goes on from step-00000005\.safetensors, the one before",
        str(warning.message),
    )
    assert warning.filename == __file__
    np.testing.assert_array_equal(network.flat_parameters, undisturbed.flat_parameters)
    assert resumed["loss"] == history["loss"]
    assert {path.name for path in tmp_path.iterdir()} == {"step-00000012.safetensors", "step-by-step.safetensors"}


class Killed(BaseException):
    """Ends a training as nothing else does."""


class KilledAt(Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_batch_end(self, batch: int, logs: Any) -> None:
        if self.network.step == self.step:
            raise Killed


def test_a_damaged_newer_one_does_not_push_out_a_whole_one(tmp_path: Path) -> None:
    train(make(), Checkpoints(tmp_path, every_batches=4, keep=2))
    spoil(tmp_path / "step-00000012.safetensors")
    with pytest.raises(Killed), pytest.warns(UserWarning, match="goes on from step-00000008"):
        train(make(), Checkpoints(tmp_path, every_batches=2, keep=1, resume=True), callbacks=[KilledAt(11)])
    assert steps(tmp_path) == [10, 12]


def test_no_whole_checkpoint_is_an_error(tmp_path: Path) -> None:
    train(make(), Checkpoints(tmp_path))
    for path in tmp_path.iterdir():
        spoil(path)
    network = make()
    with pytest.raises(
        CheckpointError, match=f"^no checkpoint in {tmp_path} can be read: .*12.* is damaged.*00.* is d"
    ):
        train(network, Checkpoints(tmp_path, resume=True))
    assert network.step == 0


def test_what_a_killed_process_left_half_written_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".0123456789abcdef.part").write_bytes(b"half")
    (tmp_path / "notes.part").write_bytes(b"mine")
    train(make(), Checkpoints(tmp_path))
    assert {path.name for path in tmp_path.iterdir() if path.suffix == ".part"} == {"notes.part"}


@pytest.mark.parametrize(
    ("network", "settings", "text"),
    [
        ({}, {"batch_size": 5}, "batch_size was 4 and is 5"),
        ({}, {"optimizer": "momentum"}, 'optimizer was {"type": "SGD"} and is {"type": "SGD", "momentum": 0.9}'),
        ({"seed": 1}, {"shuffle": False}, "seed was 0 and is 1; shuffle was true and is false"),
        ({}, {"validation_split": 0.2}, ": validation is another[.]"),
        ({}, {"sample_weight": np.linspace(1, 2, 10)}, ": sample_weight is another[.]"),
        ({"dtype": "float64"}, {}, "dtype is another; y is another"),
    ],
)
def test_another_training_is_refused(
    tmp_path: Path, network: dict[str, Any], settings: dict[str, Any], text: str
) -> None:
    train(make(), Checkpoints(tmp_path))
    other = make(**network)
    before = other.flat_parameters.copy()
    with pytest.raises(CheckpointError, match=f"^{tmp_path} holds checkpoints of another training: ") as caught:
        train(other, Checkpoints(tmp_path, resume=True), **settings)
    assert re.search(text.replace("{", r"\{").replace("}", r"\}"), str(caught.value))
    assert str(caught.value).endswith(
        "Go on with the data and the settings it had; to start over, take another folder, or remove them"
    )
    np.testing.assert_array_equal(other.flat_parameters, before)


def test_fewer_epochs_than_there_were_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        train(make(), Checkpoints(tmp_path, every_batches=4), callbacks=[KilledAt(9)])
    network = make()
    with pytest.raises(
        CheckpointError,
        match=f"^the training of {tmp_path} is in epoch 3 already: epochs must not be less, got 2$",
    ):
        train(network, Checkpoints(tmp_path, resume=True), epochs=2)
    assert network.step == 0
    assert len(train(network, Checkpoints(tmp_path, resume=True), epochs=3)) == 3


def test_ctrl_c_while_a_checkpoint_is_read_leaves_the_network_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(make(), Checkpoints(tmp_path))
    network, other = make(), make()

    def interrupt(*_: Any) -> NoReturn:
        assert (network.flat_parameters != other.flat_parameters).any()
        raise KeyboardInterrupt

    monkeypatch.setattr(OptimizerState, "restore", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(network, Checkpoints(tmp_path, resume=True))
    assert network.step == 0
    for name, value in other.tensors().items():
        np.testing.assert_array_equal(network.tensors()[name], value)


# Where nothing can be written.


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """Let no file grow beyond so many bytes, as on a disk that is full."""
    resource = pytest.importorskip("resource", reason="limits are POSIX")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


class FullAt(Callback):
    """From a step on, refuse to write: really, or with the error of a full disk."""

    def __init__(self, step: int, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.step, self.code, self.patch = step, code, monkeypatch

    def on_batch_end(self, batch: int, logs: Any) -> None:
        def fail(*_: Any) -> NoReturn:
            raise OSError(self.code, os.strerror(self.code))

        if self.network.step == self.step:
            self.patch.setattr(os, "fsync", fail)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO], ids=["full", "quota", "broken"])
def test_a_full_disk_ends_training_with_what_was_saved_and_learnt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    undisturbed = make()
    train(undisturbed)
    network, folder = make(), tmp_path / "c"
    with monkeypatch.context() as patch, pytest.raises(FileWriteError) as caught:
        train(network, Checkpoints(folder, every_batches=2), callbacks=[FullAt(5, code, patch)])
    assert str(caught.value) == f"cannot write {folder}/step-00000006.safetensors: {os.strerror(code)}"
    assert steps(folder) == [0, 2, 4]  # whole, and nothing half written beside them
    assert network.step == 6
    resumed = make()
    train(resumed, Checkpoints(folder, resume=True))
    np.testing.assert_array_equal(resumed.flat_parameters, undisturbed.flat_parameters)


def test_a_file_that_may_not_grow_further_is_told(tmp_path: Path) -> None:
    folder, network = tmp_path / "c", make()
    train(network, Checkpoints(folder), epochs=1)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with no_file_beyond(1000), pytest.raises(FileWriteError) as caught:
        train(make(), Checkpoints(folder, every_batches=2, resume=True))
    assert str(caught.value) == f"cannot write {folder}/step-00000005.safetensors: {os.strerror(errno.EFBIG)}"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_folder_that_cannot_be_made_is_told_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    network = make()
    with pytest.raises(
        FileWriteError, match=rf"^cannot write to the folder {tmp_path}/file/c: .*; choose another one$"
    ):
        train(network, Checkpoints(tmp_path / "file" / "c"))
    assert network.step == 0


def test_a_folder_that_may_not_be_looked_into_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(path: Path) -> NoReturn:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "exists", deny)
    text = f"cannot look for checkpoints in {tmp_path}: Permission denied; choose another folder"
    with pytest.raises(FileWriteError, match=f"^{re.escape(text)}$"):
        train(make(), Checkpoints(tmp_path))


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_without_permission_is_told_before_training(tmp_path: Path) -> None:
    folder, network = tmp_path / "closed", make()
    folder.mkdir(mode=0o500)
    text = f"cannot write to the folder {folder}: Permission denied; choose another one"
    with pytest.raises(FileWriteError, match=f"^{re.escape(text)}$"):
        train(network, Checkpoints(folder))
    assert network.step == 0


def test_a_training_is_not_resumed_where_no_more_files_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(path: Path, *_: Any, **__: Any) -> NoReturn:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    train(make(), Checkpoints(tmp_path), epochs=1)
    monkeypatch.setattr(Path, "touch", deny)
    network = make()
    text = f"cannot write to the folder {tmp_path}: Read-only file system; choose another one"
    with pytest.raises(FileWriteError, match=f"^{re.escape(text)}$"):
        train(network, Checkpoints(tmp_path, resume=True))
    assert network.step == 0
