"""From a network of ours to PyTorch's modules."""

from __future__ import annotations

import operator
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from pellucid.errors import ExportError
from pellucid.extra import need
from pellucid.graph import INPUT
from pellucid.interop.torch.forms import FORMS, Drawing, Lacking
from pellucid.interop.torch.weights import state_dict

if TYPE_CHECKING:
    from pellucid.network import Network

#: a module's name, taken apart at its dots, and the module
_Named = tuple[list[str], Any]


def to_module(network: Network) -> Any:
    """Return a PyTorch module that computes what a network does, with copies of its weights and under its names.

    A chain of layers becomes a ``torch.nn.Sequential``, nested as the names are; anything else a
    ``torch.fx.GraphModule``, whose ``print_readable()`` shows what it does. ``module(x)`` is ``network.forward(x)``, so
    the loss's own activation is left to PyTorch's losses; a network's input mean is taken off inside, and stands as
    ``"input_mean"`` in the state dict. The module is in evaluation mode; call its ``train()`` to train on.

    Raises:
        ExportError: layers that PyTorch has nothing for, or names that its modules cannot have; the message lists all
            of them.
        MissingExtraError: PyTorch is not installed.
    """
    torch = need("torch", "to_module needs PyTorch", "torch")
    drawing = _drawn(torch, network)
    chain = None if drawing.has_calls else _nested(torch.nn, [(n.split("."), m) for n, m in drawing.modules.items()])
    module = _graph_module(torch, drawing) if chain is None else chain
    module = module.to(getattr(torch, network.dtype.name)).eval()
    _copy_weights(torch, network, module)
    return module


def _drawn(torch: Any, network: Network) -> Drawing:
    """Return the network as PyTorch's modules and functions, or raise for everything that has no form."""
    drawing = Drawing(torch)
    values = {INPUT: drawing.graph.placeholder("x")}
    if network.input_mean is not None:
        drawing.buffers["input_mean"] = torch.from_numpy(network.input_mean.copy())
        values[INPUT] = drawing.call(operator.sub, values[INPUT], drawing.graph.get_attr("input_mean"))
    problems: list[str] = []
    for node in network.graph.nodes:
        values[node.name] = values[node.inputs[0]]  # stands in for what cannot be drawn, until that is told
        try:
            if type(node.layer) not in FORMS:
                raise Lacking("PyTorch has no such module")
            values[node.name] = FORMS[type(node.layer)](drawing, node, *(values[name] for name in node.inputs))
        except Lacking as lacking:
            problems.append(f"  {node.name}: {node.layer!r}: {lacking}")
    if problems:
        raise ExportError("this network cannot become a PyTorch module:\n" + "\n".join(problems))
    drawing.graph.output(values[network.graph.nodes[-1].name])
    return drawing


def _graph_module(torch: Any, drawing: Drawing) -> Any:
    # Modules go in one by one, because GraphModule itself would sort them, and with them an optimizer's parameters.
    module = torch.fx.GraphModule(torch.nn.Module(), torch.fx.Graph(), "Network")
    for name, buffer in drawing.buffers.items():
        module.register_buffer(name, buffer)
    for name, part in drawing.modules.items():
        module.add_submodule(name, part)
    module.graph = drawing.graph
    return module


def _nested(nn: Any, modules: list[_Named]) -> Any | None:
    """Return Sequentials in each other for names with dots; None if what belongs together does not stand together."""
    chain = nn.Sequential()
    for head, group in groupby(modules, key=lambda item: item[0][0]):
        inner = [(path[1:], module) for path, module in group]
        alone = len(inner) == 1 and not inner[0][0]
        if head in chain._modules or (not alone and any(not path for path, _ in inner)):
            return None
        part = inner[0][1] if alone else _nested(nn, inner)
        if part is None:
            return None
        chain.add_module(head, part)
    return chain


def _copy_weights(torch: Any, network: Network, module: Any) -> None:
    turned = {f"{node.name}.weight" for node in network.graph.nodes if getattr(node.layer, "flip", False)}
    tensors = module.state_dict()
    for name, value in state_dict(network).items():
        given = np.ascontiguousarray(value[..., ::-1, ::-1] if name in turned else value)
        tensors[name].copy_(torch.from_numpy(given.reshape(tuple(tensors[name].shape))))
