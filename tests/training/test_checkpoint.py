"""A training that goes on from any of its checkpoints ends as one that never stopped."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from pellucid import Network
from pellucid.augmentation import Augmentation
from pellucid.errors import CheckpointError, ConfigError, ModelFileError
from pellucid.interop import model_file
from pellucid.layers import BatchNorm2d, Conv2d, Dropout, Flatten, Linear, ReLU
from pellucid.optimizers import SGD
from pellucid.regularizers import L2
from pellucid.schedules import Cosine
from pellucid.training import Callback, Checkpoints, EarlyStopping, History, fit
from pellucid.training.checkpoint import Checkpoint, Position

pytestmark = pytest.mark.usefixtures("quick_disk")

EVERY = {"every_batches": 1, "keep": 10**6}


def make(engine: str = "reference", dtype: str = "float32") -> Network:
    layers = [Conv2d(3, 3), BatchNorm2d(), ReLU(), Dropout(0.3), Flatten(), Linear(3)]
    return Network(
        layers, (1, 6, 6), engine=engine, n_jobs=1, dtype=dtype, seed=4, input_mean="pixel", regularization=[L2(0.01)]
    )


def samples() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (26, 1, 6, 6), np.uint8), np.arange(26) % 3


def train(network: Network, **settings: Any) -> History:
    given: dict[str, Any] = {
        "epochs": 3,
        "batch_size": 5,
        "optimizer": "adam",
        "learning_rate": Cosine(0.01),
        "validation_split": 0.25,
        "augment": Augmentation(padding=1, flip=True),
        "verbose": 0,
        **settings,
    }
    return fit(network, *samples(), **given)


def without_seconds(history: History) -> list[dict[str, float]]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in history.rows]


def resume_everywhere(
    tmp_path: Path, make: Callable[[], Network], callbacks: Callable[[], list[Callback]] = list, **settings: Any
) -> tuple[History, list[list[Callback]]]:
    """Go on from each checkpoint of a training and hold the end against a training without any.

    Returns:
        The history of the latter, and the callbacks of all, its own first.
    """
    undisturbed, listeners = make(), [callbacks()]
    expected = train(undisturbed, callbacks=listeners[0], **settings)
    watched = make()
    train(watched, callbacks=callbacks(), checkpoints=Checkpoints(tmp_path / "all", **EVERY), **settings)
    files = sorted((tmp_path / "all").iterdir())
    assert len(files) == undisturbed.step + 1
    for number, file in enumerate(files):
        folder = tmp_path / str(number)
        folder.mkdir()
        shutil.copy(file, folder)
        network, own = make(), callbacks()
        history = train(network, callbacks=own, checkpoints=Checkpoints(folder, resume=True), **settings)
        assert network.step == undisturbed.step
        assert without_seconds(history) == without_seconds(expected)
        assert history.stopped == expected.stopped
        for name, value in undisturbed.tensors().items():
            np.testing.assert_array_equal(network.tensors()[name], value, err_msg=f"{name}, from {file.name}")
        listeners.append(own)
    return expected, listeners


@pytest.mark.parametrize(
    ("engine", "optimizer"),
    [("native", "momentum"), ("native", "adam"), ("reference", "sgd"), ("reference", "adadelta")],
)
def test_both_engines_go_on_bit_for_bit_from_any_batch(tmp_path: Path, engine: str, optimizer: str) -> None:
    if engine == "native":
        pytest.importorskip("pellucid._native", reason="installed without a C++ compiler")
    history, _ = resume_everywhere(tmp_path, lambda: make(engine), optimizer=optimizer)
    assert [row["epoch"] for row in history.rows] == [1, 2, 3]
    assert len({row["loss"] for row in history.rows}) == 3


@dataclass(frozen=True)
class ByName(SGD):
    """An optimizer of the user's own, which remembers something of every parameter by itself."""

    elementwise: ClassVar[bool] = False

    @property
    def slot_names(self) -> tuple[str, ...]:
        return ("largest",)

    def update(self, param: np.ndarray, grad: np.ndarray, slots: Any, learning_rate: float, step: int) -> None:
        np.maximum(slots["largest"], abs(grad), out=slots["largest"])
        param -= learning_rate * grad / (slots["largest"].max() + step)


def test_an_optimizer_of_ones_own_goes_on_in_float64(tmp_path: Path) -> None:
    history, _ = resume_everywhere(tmp_path, lambda: make(dtype="float64"), optimizer=ByName(0.5), learning_rate=None)
    assert history["loss"][-1] < history["loss"][0]


def test_unshuffled_weighted_samples_go_on(tmp_path: Path) -> None:
    weight = np.linspace(0, 2, 26)
    resume_everywhere(tmp_path, make, shuffle=False, sample_weight=weight, validation_split=0.0, augment=None)


class Noise(Callback):
    """Shake the weights by numbers of its own after every batch; stop training late in the second epoch."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(1)
        self.drawn = np.zeros(4, np.float32)
        self.told: list[str] = []

    def on_train_begin(self, logs: Any) -> None:
        self.told.append(f"training from {logs['epoch']}")

    def on_epoch_begin(self, epoch: int, logs: Any) -> None:
        self.told.append(f"epoch {epoch}")

    def on_batch_end(self, batch: int, logs: Any) -> None:
        self.drawn[:] = self.rng.normal(size=4)
        self.network.flat_parameters[:4] += self.drawn
        self.told.append(f"batch {batch}")
        self.stop_training = self.network.step == 7

    def state_dict(self) -> dict[str, Any]:
        return {"bits": self.rng.bit_generator.state, "drawn": self.drawn}

    def load_state_dict(self, state: Any) -> None:
        self.rng.bit_generator.state = state["bits"]
        self.drawn = state["drawn"]
        self.told.append("wake")


def test_callbacks_go_on_and_a_training_that_stopped_stays_so(tmp_path: Path) -> None:
    history, listeners = resume_everywhere(tmp_path, make, lambda: [Noise()])
    assert (history.stopped, len(history)) == ("early stopping", 2)
    (undisturbed,), *resumed = listeners
    for (own,) in resumed:
        np.testing.assert_array_equal(own.drawn, undisturbed.drawn)
    # Four batches an epoch; the third checkpoint is from after two of them, the fifth from after the epoch.
    assert resumed[2][0].told == ["training from 0", "epoch 0", "wake", *undisturbed.told[4:]]
    assert resumed[4][0].told == ["training from 1", "wake", *undisturbed.told[6:]]
    assert resumed[7][0].told == ["training from 2", "wake"]


def test_early_stopping_goes_back_to_a_best_epoch_from_before_the_checkpoint(tmp_path: Path) -> None:
    def callbacks() -> list[Callback]:
        # A second one that never stops: each gets its own state back.
        return [EarlyStopping("loss", patience=2), EarlyStopping("loss", patience=9, mode="max")]

    history, listeners = resume_everywhere(
        tmp_path, make, callbacks, epochs=8, learning_rate=0.7, optimizer="sgd", augment=None
    )
    first, second = listeners[0]
    assert history.stopped == "early stopping"
    assert 1 <= first.best_epoch == len(history) - 2
    assert second.best_epoch == int(np.argmax(history["loss"])) + 1
    for own in listeners:
        assert [(c.best, c.best_epoch) for c in own] == [(c.best, c.best_epoch) for c in (first, second)]


def test_seconds_count_from_before_the_checkpoint(tmp_path: Path) -> None:
    train(make(), checkpoints=Checkpoints(tmp_path, **EVERY))
    for file in sorted(tmp_path.iterdir())[3:]:
        file.unlink()
    file = tmp_path / "step-00000002.safetensors"
    saved = Checkpoint.read(file)
    assert 0 < saved.position.seconds < 100
    moved = Position(saved.position.start, 0, 2, saved.position.sums, 1000.0)
    Checkpoint(saved.settings, moved, saved.step, saved.history, saved.callbacks, saved.tensors).write(file)
    history = train(make(), checkpoints=Checkpoints(tmp_path, resume=True))
    assert [int(value // 1000) for value in history["seconds"]] == [1, 0, 0]


def test_more_epochs_go_on_where_fewer_ended(tmp_path: Path) -> None:
    short, long, once = make(), make(), make()
    train(short, epochs=2, learning_rate=0.01, checkpoints=Checkpoints(tmp_path))
    history = train(long, epochs=4, learning_rate=0.01, checkpoints=Checkpoints(tmp_path, resume=True))
    expected = train(once, epochs=4, learning_rate=0.01)
    assert short.step == 8
    assert without_seconds(history) == without_seconds(expected)
    np.testing.assert_array_equal(long.flat_parameters, once.flat_parameters)


def test_a_file_tells_where_training_stands(tmp_path: Path) -> None:
    history = train(make(), callbacks=[Noise(), Callback()], checkpoints=Checkpoints(tmp_path, **EVERY))
    saved = Checkpoint.read(tmp_path / "step-00000006.safetensors")
    position = saved.position
    assert (position.start, position.epoch, position.batch, saved.step) == (4, 1, 2, 6)
    assert position.sums[2] == 10.0  # samples that weigh 1
    assert saved.history == {"rows": history.rows[:1], "stopped": None}
    assert saved.tensors.keys() == {"network", "optimizer", "Noise 1"}
    assert saved.tensors["network"].keys() == make_and_centre().tensors().keys()
    assert saved.tensors["optimizer"]["step"] == 6
    assert set(saved.callbacks) == {"Noise 1"}


def make_and_centre() -> Network:
    network = make()
    network.centre_on(samples()[0])
    return network


def test_a_callback_whose_state_is_no_json_is_told(tmp_path: Path) -> None:
    callback = Callback()
    callback.state_dict = lambda: {"file": tmp_path}
    with pytest.raises(ConfigError, match=re.escape(f"cannot save {tmp_path!r} of type PosixPath")):
        train(make(), callbacks=[callback], checkpoints=Checkpoints(tmp_path / "c"))


def test_a_callback_that_is_missed_is_told(tmp_path: Path) -> None:
    train(make(), callbacks=[EarlyStopping("loss", 9)], checkpoints=Checkpoints(tmp_path))
    with pytest.raises(
        CheckpointError,
        match=f"^{tmp_path} holds checkpoints of another training: it goes on only with callbacks that this training "
        "lacks: EarlyStopping$",
    ):
        train(make(), checkpoints=Checkpoints(tmp_path, resume=True))


def test_a_checkpoint_is_no_model(tmp_path: Path) -> None:
    train(make(), checkpoints=Checkpoints(tmp_path))
    (file, *_) = sorted(tmp_path.iterdir())
    with pytest.raises(ModelFileError, match=re.escape("is a checkpoint, not a model: fit(..., checkpoints=Checkpoin")):
        Network.load(file)


def test_a_model_is_no_checkpoint(tmp_path: Path) -> None:
    make().save(tmp_path / "model")
    with pytest.raises(ModelFileError, match=r"model is a safetensors file, but its metadata tell of no training$"):
        Checkpoint.read(tmp_path / "model")


@pytest.mark.parametrize(
    ("description", "text"),
    [
        ({"format": 2}, "format 2 is not known; this version reads 1"),
        ({"format": 1}, "is not well formed: KeyError: 'callbacks'"),
        ({"format": 1, "callbacks": {}, "position": {"sums": []}}, "is not well formed: KeyError: 'step'"),
        (
            {"format": 1, "callbacks": {}, "settings": {}, "step": 1, "history": {}, "position": {"sums": [], "x": 1}},
            "is not well formed: TypeError: ",
        ),
    ],
)
def test_what_another_version_wrote_is_refused(tmp_path: Path, description: dict[str, Any], text: str) -> None:
    model_file.write(tmp_path / "c", description, {}, model_file.CHECKPOINT)
    with pytest.raises(ModelFileError, match=re.escape(text)):
        Checkpoint.read(tmp_path / "c")
