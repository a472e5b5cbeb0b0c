"""What the tests of opened cells share: looking a number up where it stands, and holding a cell against it."""

from __future__ import annotations

import math

import numpy as np

from pellucid import Network
from pellucid.explain import Cell, Link, Trace, inspect


def number_at(network: Network, trace: Trace, link: Link) -> float:
    """Return the number that a link names, from the arrays of the trace and the network alone."""
    place = (link.sample, *link.index)
    if link.what == "value":
        return float((trace.input if link.node == "input" else trace[link.node].output)[place])
    if link.what == "delta":
        return float((trace.input_delta if link.node == "input" else trace[link.node].delta)[place])
    node, _, key = link.node.rpartition(".")
    if link.what == "parameter":
        return float(network.parameters[link.node][link.index])
    if link.what == "gradient":
        return float(trace[node].gradients[key][link.index])
    if link.what == "state":
        return float(network.state[link.node][link.index])
    if link.what == "prediction":
        return float(trace.prediction[place])
    if link.what == "target":
        return float(trace.target[place])
    if link.what == "weight":
        weight = network.loss.weights(trace.target, None)
        return float(weight[link.sample] / (weight.sum() if network.loss.reduction == "mean" else 1))
    if link.what == "sample_loss":
        last = trace.steps[-1].output
        return float(network.loss.per_sample(last, trace.target)[link.sample])
    if link.what == "loss":
        return trace.loss
    return _worked_out(network, trace, link)


def _worked_out(network: Network, trace: Trace, link: Link) -> float:
    """Return a number that no array holds: of the loss's softmax, of a layer's way to y, of one reader of several."""
    if link.what == "partition":
        a = trace.steps[-1].output[link.sample].astype(np.float64)
        return float(np.exp(a - a.max()).sum())
    if link.what == "share":
        slot, *index = link.index
        return float(_shares(network, trace, link.node)[slot][(link.sample, *index)])
    assert link.what == "inner"
    node, _, key = link.node.rpartition(".")
    step = trace[node]
    x = (trace.input if step.inputs[0] == "input" else trace[step.inputs[0]].output).astype(np.float64)
    if key == "partition":
        x = x[(link.sample, slice(None), *link.index)]
        return float(np.exp(x - x.max()).sum())
    if key == "s":
        c, u, v = link.index
        n = step.layer.size
        around = x[link.sample, max(c - n // 2, 0) : c + (n - 1) // 2 + 1, u, v]
        return step.layer.k + step.layer.alpha / n * float((around**2).sum())
    if key in ("mean", "variance"):
        unit = x[(slice(None), *link.index)]
        return float(unit.mean() if key == "mean" else unit.var())
    assert key == "normalized"
    unit = link.index[:1] if type(step.layer).__name__ == "BatchNorm2d" else link.index
    if trace.training:
        values = x[(slice(None), *unit)]
        mean, variance = values.mean(), values.var()
    else:
        mean, variance = (network.state[f"{node}.running_{kind}"][unit] for kind in ("mean", "var"))
    return float((x[(link.sample, *link.index)] - mean) / np.sqrt(variance + step.layer.eps))


def _shares(network: Network, trace: Trace, name: str) -> tuple[np.ndarray, ...]:
    """Return dx of a layer for every input, by its own forward and backward."""
    from pellucid.philox import Stream

    step = trace[name]
    position = [s.name for s in trace].index(name)
    xs = [trace.input if source == "input" else trace[source].output for source in step.inputs]
    params = {key: network.parameters[f"{name}.{key}"] for key in step.gradients}
    state = {key.removeprefix(f"{name}."): value.copy() for key, value in network.state.items() if key.startswith(name)}
    stream = Stream(network.seed, trace.step, position)
    _, saved = step.layer.forward(params, *xs, state=state, training=trace.training, stream=stream)
    dx, _ = step.layer.backward(params, saved, step.delta)
    return dx if isinstance(dx, tuple) else (dx,)


def assert_opens(network: Network, trace: Trace, link: Link, *, limit: int = 256) -> Cell:
    """Open a number; its terms must be the products of their factors, come to the number, and lead to where they say.

    The slack is rounding: of the trace's dtype, for as many terms as there are, relative to the sum of their sizes.
    """
    cell = inspect(network, trace, link.node, link.index, link.sample, link.what, limit=limit)
    expected = number_at(network, trace, link)
    assert (cell.node, cell.what, cell.index, cell.sample) == (link.node, link.what, link.index, link.sample)
    slack = 1e-10 if network.dtype == np.float64 else 2e-5
    assert math.isclose(cell.value, expected, rel_tol=slack, abs_tol=1e-300), (link, cell.value, expected)
    size = sum(abs(term.value) for term in cell.terms) + abs(cell.omitted_sum) + abs(expected)
    assert abs(cell.total - expected) <= slack * size, (link, cell.total, expected)
    if cell.terms and cell.outer is None:
        total = math.fsum(term.value for term in cell.terms) + cell.omitted_sum
        assert abs(total - expected) <= slack * size, (link, total, expected)
    for term in cell.terms:
        product = math.prod(factor.value for factor in term.factors)
        assert math.isclose(product, term.value, rel_tol=1e-12, abs_tol=1e-300), (link, term)
        for factor in term.factors:
            if factor.link is not None:
                own = factor.value if factor.argument is None else factor.argument
                there = number_at(network, trace, factor.link)
                assert math.isclose(own, there, rel_tol=slack, abs_tol=slack * 1e-3), (link, factor, there)
    return cell
