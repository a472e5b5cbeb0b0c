"""Pellucid's side for a deep network: the zoo's, through ``fit``."""

from __future__ import annotations

from functools import cached_property

from safetensors.numpy import save_file

from benchmarks import images
from benchmarks.deep_sides import DeepAnswer, DeepJob, write_gradients
from benchmarks.sides import RATE, READING_RATE
from pellucid import Network, training, zoo
from pellucid.graph import Graph
from pellucid.interop.torch import load_state_dict, state_dict

#: imported with this module, since ``fit`` would import it at its first call, into the memory that is measured
_LOOP = training.fit


class Training:
    """The images, and the network, which is built when it is first needed: it is part of the memory to train it."""

    def __init__(self, job: DeepJob) -> None:
        self.job = job
        self.images, self.labels = images.read(job.folder, job.work.image_shape)

    @cached_property
    def network(self) -> Network:
        return zoo.build(self.job.work.model, engine=self.job.variant)

    @property
    def told(self) -> str:
        return self.network.engine

    def reset(self) -> None:
        load_state_dict(self.network, self.job.weights)

    def run(self, times: int) -> None:
        self._fit(self.network, times, RATE)

    def answer(self) -> DeepAnswer:
        """Write the starting weights, and do a step without dropout, in which the sides could never agree."""
        save_file(state_dict(self.network), self.job.weights)
        network = without_dropout(self.network, self.job.variant)
        load_state_dict(network, self.job.weights)
        before = {name: value.copy() for name, value in network.parameters.items()}
        loss = self._fit(network, 1, READING_RATE)
        return DeepAnswer(loss, write_gradients(self.job.folder / "ours", before, dict(network.parameters)))

    def _fit(self, network: Network, steps: int, rate: float) -> float:
        batch = self.job.work.batch
        rows = slice(steps * batch)
        history = network.fit(
            self.images[rows],
            self.labels[rows],
            epochs=1,
            batch_size=batch,
            optimizer="sgd",
            learning_rate=rate,
            verbose=0,
        )
        return float(history["loss"][0])


def without_dropout(network: Network, engine: str) -> Network:
    """Return a network of the same layers whose dropouts drop nothing; the parameters keep their names."""
    described = network.graph.to_json()
    for entry in described["layers"]:
        if entry["layer"]["type"] == "Dropout":
            entry["layer"]["p"] = 0.0
    return Network(Graph.from_json(described), engine=engine)


def build(job: DeepJob) -> Training:
    """Return Pellucid's side for a job."""
    return Training(job)
