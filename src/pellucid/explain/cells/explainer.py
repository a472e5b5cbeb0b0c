"""What is asked of those who explain the cells of a layer, and what is said of a layer that nobody can explain."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from pellucid.arrays import Shape
from pellucid.engine import reference
from pellucid.errors import ConfigError
from pellucid.explain.cells.draft import Draft, Sum
from pellucid.explain.cells.place import Place
from pellucid.layers.base import Layer

L = TypeVar("L", bound=Layer)


class Explainer(Generic[L]):
    """Explains the cells of one kind of layer. As it stands: those of a layer whose sums are not known, by its code."""

    def value(self, layer: L, at: Place) -> Draft:
        """Explain y at ``at.index``."""
        return self.forward(layer, at, given=float(at.y[at.index]), notes=(_own(layer, "forward"),))

    def share(self, layer: L, at: Place, slot: int) -> Draft:
        """Explain what the layer sends back to ``at.index`` of an input, ∂J/∂y·∂y/∂x summed over what reads x."""
        dx, _ = _run_again(layer, at)
        given = float(reference.by_input(dx)[slot][(at.sample, *at.index)])
        return self.backward(layer, at, "dx", given=given, notes=(_own(layer, "backward"),))

    def gradient(self, layer: L, at: Place, key: str) -> Draft:
        """Explain ∂J/∂parameter at ``at.index``, penalties left out."""
        _, grads = _run_again(layer, at)
        return self.backward(layer, at, f"d{key}", given=float(grads[key][at.index]), notes=(_own(layer, "backward"),))

    def inner(self, layer: L, at: Place, key: str) -> Draft:
        """Explain a quantity that the layer works out on the way.

        Raises:
            ConfigError: there is none of that name.
        """
        raise ConfigError(f"{at.node.name!r}, {layer!r}, works out no {key!r} on the way")

    def inner_shape(self, layer: L, output: Shape, key: str) -> Shape:
        """Return the shape of that quantity, without the batch, for an output's shape."""
        return output

    def inner_is_shared(self, key: str) -> bool:
        """Tell whether all samples share that quantity."""
        return False

    def forward(self, layer: L, at: Place, *sums: Sum, **rest: Any) -> Draft:
        """Return a draft under the layer's formula."""
        formula = layer.formula
        return Draft(formula.forward if formula else "", formula.source if formula else "", at.node.name, sums, **rest)

    def backward(self, layer: L, at: Place, quantity: str, *sums: Sum, **rest: Any) -> Draft:
        """Return a draft under the layer's formula for the derivative of ``quantity``."""
        formula = layer.formula
        shown = formula.backward.get(quantity, "") if formula else ""
        return Draft(shown, formula.source if formula else "", at.node.name, sums, **rest)


def _own(layer: Layer, method: str) -> str:
    return f"{type(layer).__name__} is a layer of your own: its {method} gives this number, the sum behind it is there."


def _run_again(layer: Layer, at: Place) -> tuple[Any, Any]:
    """Return what the layer's own backward gives for the batch of the trace."""
    network, inputs = at.view.network, [at.view.values(source) for source in at.node.inputs]
    params, state = dict(network.parameters), {name: value.copy() for name, value in network.state.items()}
    _, saved = reference.call(
        at.node,
        network.graph.nodes.index(at.node),
        params,
        state,
        inputs,
        training=at.training,
        seed=network.seed,
        step=network.step,
    )
    return layer.backward(reference.own(params, at.node), saved, at.view.deltas(at.node.name))
