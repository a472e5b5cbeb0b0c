"""ONNX's backend interface: ``prepare(model).run(inputs)``, for the conformance tests and programs that speak it.

What a network can be runs as a network, through the importer: of several inputs the first is then the samples, and the
others are its weights. All else made of the same operators (volumes, integers, several outputs, what joins samples)
runs operator by operator in NumPy. :attr:`PreparedModel.ran_as` tells which it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pellucid.arrays import Array
from pellucid.errors import DataError, MissingExtraError, PellucidError
from pellucid.interop.onnx.importer import assemble
from pellucid.interop.onnx.importer_graph import OnnxGraph
from pellucid.interop.onnx.importer_read import read
from pellucid.interop.onnx.numpy_operators import evaluate

if TYPE_CHECKING:
    from onnx import ModelProto

try:
    from onnx.backend.base import Backend, BackendRep
except ImportError as error:
    raise MissingExtraError(f'the ONNX backend needs onnx ({error}): pip install "pellucid[onnx]"') from error


class PreparedModel(BackendRep):
    """A model that is ready to run.

    Attributes:
        ran_as: ``"network"`` or ``"operators"``: what the last run was done by; None before the first.
        reason: why the last run was not done by a network; None if it was.
    """

    def __init__(self, graph: OnnxGraph) -> None:
        self.graph = graph
        self.ran_as: str | None = None
        self.reason: str | None = None

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Return the outputs.

        Args:
            inputs: arrays in the order of the graph's inputs, or by name.
            kwargs: none is taken.

        Raises:
            DataError: not as many inputs as the graph takes.
            ModelFileError: they do not fit.
        """
        given = self._named(inputs)
        try:
            outputs = self._as_network(given)
            self.ran_as, self.reason = "network", None
        except PellucidError as error:
            outputs = self._by_operators(given)
            self.ran_as, self.reason = "operators", str(error)
        return outputs

    def _named(self, inputs: Any) -> dict[str, Any]:
        names = [entry.name for entry in self.graph.entries]
        if isinstance(inputs, Mapping):
            given: dict[str, Any] = dict(inputs)  # pyright: ignore[reportUnknownArgumentType]
        else:
            given = dict(zip(names, inputs, strict=False)) if len(inputs) == len(names) else {}
        if set(given) != set(names):
            raise DataError(f"the model takes {', '.join(names) or 'nothing'}; give it an array for each")
        return given

    def _as_network(self, given: dict[str, Any]) -> tuple[Any, ...]:
        first, *others = (entry.name for entry in self.graph.entries) if given else (None,)
        if first is None:
            raise DataError("the model takes nothing, and so no samples")
        x: Array = np.asarray(given[first])
        sample = x.shape[1:]
        size = (sample[0], 1, sample[1]) if len(sample) == 2 else sample
        imported = assemble(
            self.graph, {name: np.asarray(given[name]) for name in others}, engine="reference", input_shape=size
        )
        network = imported.network
        run = network.predict if imported.activated else network.forward
        return (run(x.reshape(-1, *network.input_shape)).reshape(len(x), *imported.shape),)

    def _by_operators(self, given: dict[str, Any]) -> tuple[Any, ...]:
        values: dict[str, Any] = {**self.graph.constants, **given, "": None}
        for operation in self.graph.operations:
            results = evaluate(operation, [values[name] for name in operation.inputs])
            values |= {name: value for name, value in zip(operation.outputs, results, strict=False) if name}
        return tuple(values[name] for name in self.graph.outputs)


class PellucidBackend(Backend):
    """The operators that :func:`pellucid.interop.onnx.import_model` knows, behind ONNX's backend interface."""

    @classmethod
    def prepare(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> PreparedModel:
        """Return the model, checked and ready to run.

        Raises:
            ModelFileError: it is damaged, or has operators that are not known.
        """
        return PreparedModel(read(model, None))

    @classmethod
    def run_model(cls, model: ModelProto, inputs: Any, device: str = "CPU", **kwargs: Any) -> tuple[Any, ...]:
        """Prepare a model, run it once and return its outputs."""
        return cls.prepare(model, device).run(inputs)

    @classmethod
    def run_node(
        cls, node: Any, inputs: Any, device: str = "CPU", outputs_info: Sequence[Any] | None = None, **kwargs: Any
    ) -> tuple[Any, ...] | None:
        """Refuse: nodes come in models, which name their opset."""
        raise NotImplementedError("run_node: put the node into a model, which names the opset, and call run_model")

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Tell whether there is such a device: the CPU."""
        return device == "CPU"


prepare = PellucidBackend.prepare
run_model = PellucidBackend.run_model
supports_device = PellucidBackend.supports_device
