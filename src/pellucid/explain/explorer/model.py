"""What a network is made of, as JSON: its graph, settings, shapes and formulas. It stays while the network learns."""

from __future__ import annotations

from typing import Any

from pellucid.description import Formula, to_json
from pellucid.explain.explorer.packed import strict
from pellucid.explain.explorer.stages import blocks, stages
from pellucid.explain.explorer.subject import Subject
from pellucid.graph import Node
from pellucid.layers import Dropout
from pellucid.losses import Loss
from pellucid.optimizers import OPTIMIZERS


def describe(subject: Subject) -> dict[str, Any]:
    """Return the model, as ``docs/explorer-api.md`` has it."""
    network, data = subject.network, subject.data
    nodes = network.graph.nodes
    folded, block = stages(nodes), blocks(nodes)
    stage = {name: number for number, (_, names) in enumerate(folded) for name in names}
    described = {
        "name": subject.name,
        "dtype": network.dtype.name,
        "engine": network.engine,
        "input": {"shape": network.input_shape, "mean": network.input_mean},
        "classes": subject.class_names,
        "data": None if data is None else {"name": data.name, "train": len(data.x_train), "test": len(data.x_test)},
        "loss": _loss(network.loss),
        "optimizers": {name: optimizer.learning_rate for name, optimizer in OPTIMIZERS.items()},
        "nodes": [
            {**_node(node), "stage": stage[node.name], "block": block[node.name], **_parameters(subject, node)}
            for node in nodes
        ],
        "stages": [{"title": title, "nodes": names} for title, names in folded],
    }
    return strict(described)


def _node(node: Node) -> dict[str, Any]:
    return {
        "name": node.name,
        **_settings(node.layer),
        "inputs": node.inputs,
        "shape": node.shape,
        "random": isinstance(node.layer, Dropout),
        "formula": _formula(node.layer.formula),
    }


def _loss(loss: Loss) -> dict[str, Any]:
    return {**_settings(loss), "formula": _formula(loss.formula)}


def _settings(described: Any) -> dict[str, Any]:
    settings = to_json(described)
    kind = settings.pop("type")
    settings.pop("name", None)
    return {"kind": kind, "settings": settings}


def _formula(formula: Formula | None) -> dict[str, Any] | None:
    if formula is None:
        return None
    return {"forward": formula.forward, "backward": formula.backward, "source": formula.source}


def _parameters(subject: Subject, node: Node) -> dict[str, Any]:
    own = [
        {"name": name, "key": name.rpartition(".")[2], "shape": value.shape}
        for name, value in subject.network.parameters.items()
        if name.rpartition(".")[0] == node.name
    ]
    return {"parameters": own}
