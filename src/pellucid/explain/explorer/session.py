"""What one browser has before it: a network of its own, the sample it looks at, and the training it runs."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Thread
from time import monotonic
from typing import Any

import numpy as np

from pellucid import blueprint
from pellucid.arrays import Array
from pellucid.errors import ConfigError, DataError, PellucidError
from pellucid.explain.explorer.packed import pack, pack_bytes, strict
from pellucid.explain.explorer.pictures import thumbnails
from pellucid.explain.explorer.subject import Subject
from pellucid.explain.explorer.training import Training
from pellucid.explain.explorer.turns import Turns
from pellucid.explain.explorer.view import View

#: numbers in one answer
MOST_NUMBERS = 16_000_000
#: seconds without a request after which a training pauses: the browser is gone
_PATIENCE = 60.0


@dataclass(frozen=True, eq=False)
class _Looked:
    """What is looked at.

    Attributes:
        image, label: the sample.
        told: what the state tells of where it comes from.
        training, batch: how it is traced.
    """

    image: Array
    label: int
    told: dict[str, Any]
    training: bool
    batch: int


class Session:
    """One browser's network, sample and training. Its methods may be called from several threads.

    Args:
        subject: what every session begins with.
    """

    def __init__(self, subject: Subject) -> None:
        self._subject, self._turns = subject, Turns()
        self._network = subject.network.copy()
        #: counts what changed the numbers
        self._revision = 0
        self._known: tuple[int, View] | None = None
        self._training = None if subject.data is None else Training(subject, self._network)
        self._run: object | None = None
        self._thread: Thread | None = None
        self._asked: tuple[str, float, int] | None = None
        self._stopped: str | None = None
        self.seen = monotonic()
        if subject.data is None:
            image, label, told = subject.made_up(), 0, {"source": "made up", "split": None, "index": None}
        else:
            image, label, told = self._taken("test", subject.first)
        self._looked = _Looked(image, label, told, subject.companions > 1, subject.companions)

    def state(self) -> dict[str, Any]:
        """Return the state, as ``docs/explorer-api.md`` has it."""
        with self._turns:
            return self._state()

    def choose(self, split: str, index: int) -> dict[str, Any]:
        """Look at a sample of the data set; return the state.

        Raises:
            DataError: there is no such sample.
        """
        with self._turns:
            image, label, told = self._taken(split, index)
            return self._look(image=image, label=label, told=told)

    def show(self, image: Array, source: str) -> dict[str, Any]:
        """Look at an image of the network's shape that came from elsewhere; return the state."""
        with self._turns:
            return self._look(image=image, told={"source": source, "split": None, "index": None})

    def label(self, label: int) -> dict[str, Any]:
        """Take another class for the true one; return the state.

        Raises:
            DataError: there is no such class.
        """
        with self._turns:
            return self._look(label=label)

    def mode(self, training: bool, batch: int) -> dict[str, Any]:
        """Trace as while training or as while predicting, with so many samples; return the state.

        Raises:
            ConfigError: more samples than there are.
            DataError: fewer than a batch normalization needs.
        """
        with self._turns:
            most = 1 if self._subject.data is None else min(32, len(self._subject.data.x_train))
            if batch > most:
                raise ConfigError(f"batch must be at most {most} here, got {batch}")
            return self._look(training=training, batch=batch)

    def gallery(self, split: str, start: int, count: int) -> dict[str, Any]:
        """Return some images of the data set, as bytes, with their labels.

        Raises:
            DataError: there is no data set.
        """
        images, labels = self._subject.split(split)
        chosen = images[start : start + count]
        small = thumbnails(chosen) if len(chosen) else np.zeros((0, *self._network.input_shape), np.uint8)
        shown = {"labels": labels[start : start + count], "shape": small.shape[1:], "data": pack_bytes(small)}
        return strict({"split": split, "start": start, "total": len(images), **shown})

    def tensors(self, tensors: list[dict[str, Any]]) -> dict[str, Any]:
        """Return arrays, packed; see ``docs/explorer-api.md`` for what is asked.

        Raises:
            ConfigError: too many numbers at once.
            DataError: there is no such array, or it has no such channels.
        """
        with self._turns:
            view, found, count = self._view(), list[dict[str, Any]](), 0
            for entry in tensors:
                whole = view.array(entry["what"], entry["name"], entry["sample"])
                start, end = entry["channels"] or (0, len(whole))
                if not start <= end <= len(whole):
                    raise DataError(
                        f"{entry['what']} of {entry['name']} has {len(whole)} channels, there are none from {start} to "
                        f"{end}"
                    )
                count += whole[start:end].size
                if count > MOST_NUMBERS:
                    raise ConfigError(f"an answer has at most {MOST_NUMBERS:,} numbers; ask for fewer channels")
                told = {**entry, "channels": [start, end], "total": len(whole)}
                found.append({**told, **pack(whole[start:end])})
            return {"revision": self._revision, "tensors": found}

    def cell(self, node: str, what: str, index: Sequence[int], sample: int) -> dict[str, Any]:
        """Return where one number comes from; see :class:`pellucid.explain.cell.Link` for how it is named.

        Raises:
            ConfigError, ShapeError: there is no such number.
        """
        with self._turns:
            return {"revision": self._revision, **self._view().cell(node, what, index, sample)}

    def nudge(self, tensor: str, index: Sequence[int], span: float, points: int) -> dict[str, Any]:
        """Return the loss over a range of one entry; see :meth:`Nudges.at`.

        Raises:
            DataError: there is no such tensor or entry.
        """
        with self._turns:
            found = self._view().nudges.at(tensor, tuple(index), span, points)
            return strict({"revision": self._revision, **found})

    @contextmanager
    def still(self) -> Generator[tuple[dict[str, Any], View]]:
        """Give the state and the numbers, and hold them still: no step and no other sample comes in between."""
        with self._turns:
            yield self._state(), self._view()

    def progress(self, since: int = 0) -> dict[str, Any]:
        """Return the training, with the points of the steps after ``since``."""
        with self._turns:
            return self._progress(since)

    def run(self, steps: int | None, learning_rate: float, batch_size: int, optimizer: str = "sgd") -> dict[str, Any]:
        """Train on, so many steps or until it is paused; a training that runs goes on with these settings.

        Raises:
            DataError: there is no data set.
        """
        with self._turns:
            self._subject.require_data()
            assert self._training is not None
            self._run, self._asked, self._stopped = object(), (optimizer, learning_rate, batch_size), None
            last = None if steps is None else self._training.steps + steps
            self._thread = Thread(target=self._train, args=(self._run, last), daemon=True, name="explorer training")
            self._thread.start()
            return self._progress(self._training.steps)

    def pause(self) -> dict[str, Any]:
        """End the training after the step in hand."""
        with self._turns:
            self._run = None
            return self._progress(0 if self._training is None else self._training.steps)

    def close(self) -> None:
        """End the training and wait for its thread: native code must not be cut off by the end of the program."""
        self.pause()
        if self._thread is not None:
            self._thread.join()

    def reset(self) -> dict[str, Any]:
        """End the training and put back the parameters that the session began with."""
        with self._turns:
            self._run = self._asked = self._stopped = None
            self._network.parameters = dict(self._subject.network.parameters)
            for name, value in self._subject.network.state.items():
                self._network.state[name] = value
            self._network.step = self._subject.network.step
            if self._training is not None:
                self._training = Training(self._subject, self._network)
            self._revision += 1
            return self._progress(0)

    def model_file(self) -> bytes:
        """Return the network as the bytes of a model file."""
        with self._turns:
            return blueprint.to_bytes(self._network)

    def _taken(self, split: str, index: int) -> tuple[Array, int, dict[str, Any]]:
        images, labels = self._subject.split(split)
        if index >= len(images):
            raise DataError(f"there is no {split} sample {index}; they run from 0 to {len(images) - 1}")
        return images[index], int(labels[index]), {"source": "data", "split": split, "index": index}

    def _look(self, **changes: Any) -> dict[str, Any]:
        """Look at something else, and return the state; what the network cannot be shown changes nothing."""
        before = self._looked, self._revision
        self._looked, self._revision = replace(self._looked, **changes), self._revision + 1
        try:
            return self._state()
        except PellucidError:
            self._looked, self._revision = before
            raise

    def _batch(self) -> tuple[Array, Array]:
        """Return what is traced: the sample, and others behind it."""
        image, label, extra = self._looked.image, self._looked.label, self._looked.batch - 1
        if not extra:
            return image[None], np.array([label])
        data = self._subject.require_data()
        others, labels = data.x_train[:extra], data.y_train[:extra]
        parts = [image[None], others]
        if image.dtype != others.dtype:
            parts = [part.astype(np.float32) / (255 if part.dtype == np.uint8 else 1) for part in parts]
        return np.concatenate(parts), np.concatenate([[label], labels])

    def _view(self) -> View:
        if self._known is None or self._known[0] != self._revision:
            self._known = None  # so that two are never in memory at once
            self._known = (self._revision, View(self._network, *self._batch(), self._looked.training))
        return self._known[1]

    def _state(self) -> dict[str, Any]:
        view, looked = self._view(), self._looked
        return strict(
            {
                "revision": self._revision,
                "sample": {**looked.told, "label": looked.label},
                "mode": {"training": looked.training, "batch": looked.batch},
                "loss": view.trace.loss,
                "prediction": {"probabilities": view.probabilities, "best": int(view.probabilities.argmax())},
                "target": view.trace.target[0],
            }
        )

    def _progress(self, since: int) -> dict[str, Any]:
        training = self._training
        optimizer, rate, size = self._asked or (None, None, None)
        return strict(
            {
                "revision": self._revision,
                "running": self._run is not None,
                "step": 0 if training is None else training.steps,
                "optimizer": optimizer,
                "learning_rate": rate,
                "batch_size": size,
                "points": [] if training is None else training.points.after(since),
                "held": [] if training is None else training.held.after(-1),
                "stopped": self._stopped,
            }
        )

    def _train(self, run: object, last: int | None) -> None:
        """Do steps until ``last``, or until another run, a pause or a reset takes this one's place."""
        while True:
            with self._turns:
                if self._run is not run:
                    return
                self._one_step()
                assert self._training is not None
                if self._training.steps == last or self._stopped or monotonic() - self.seen > _PATIENCE:
                    self._run = None

    def _one_step(self) -> None:
        assert self._training is not None
        assert self._asked is not None
        self._revision += 1
        try:
            self._stopped = self._training.step(*self._asked)
        except PellucidError as error:
            self._stopped = str(error)
        except Exception:
            # The thread ends here, and nobody is to wait for it.
            self._run, self._stopped = None, "a fault of Pellucid's; the terminal shows more"
            raise
