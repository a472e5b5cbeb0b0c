import weakref
from dataclasses import dataclass

import numpy as np
import pytest

from pellucid.engine import reference
from pellucid.graph import INPUT, Graph
from pellucid.layers import (
    Add,
    BatchNorm2d,
    Concat,
    Conv2d,
    Dropout,
    Flatten,
    Input,
    Layer,
    Linear,
    MaxPool2d,
    ReLU,
    Residual,
)

RNG = np.random.default_rng


def line(name):
    return Linear(1, bias=False, name=name)


def diamond():
    """Return y = b·h + c·h + h with h = a·x, and its parameters: a = 2, b = 3, c = −5."""
    h = line("a")(Input((1,)))
    graph = Graph(Add(name="y")(line("b")(h), line("c")(h), h))
    return graph, {f"{name}.weight": np.array([[value]]) for name, value in (("a", 2.0), ("b", 3.0), ("c", -5.0))}


def test_deltas_of_all_consumers_are_added_by_hand():
    graph, params = diamond()
    run = reference.forward(graph, params, {}, np.array([[7.0], [1.0]]))
    assert run.values["a"].tolist() == [[14.0], [2.0]]
    assert run.values["y"].tolist() == [[42 - 70 + 14.0], [6 - 10 + 2.0]]
    deltas, grads = reference.backward(graph, params, run, np.array([[1.0], [10.0]]))
    assert deltas["y"].tolist() == deltas["b"].tolist() == deltas["c"].tolist() == [[1.0], [10.0]]
    assert deltas["a"].tolist() == [[3 - 5 + 1.0], [-10.0]]
    assert deltas[INPUT].tolist() == [[-2.0], [-20.0]]
    assert {name: value.item() for name, value in grads.items()} == {
        "a.weight": -1 * 7 - 10 * 1.0,
        "b.weight": 1 * 14 + 10 * 2.0,
        "c.weight": 1 * 14 + 10 * 2.0,
    }


def test_a_value_read_twice_by_one_layer_gets_delta_twice():
    h = line("a")(Input((1,)))
    graph = Graph(Add(name="y")(h, h, h))
    params = {"a.weight": np.array([[4.0]])}
    x = np.array([[0.5]])
    run = reference.forward(graph, params, {}, x)
    assert run.values["y"].tolist() == reference.infer(graph, params, {}, x).tolist() == [[6.0]]
    deltas, _ = reference.backward(graph, params, run, np.array([[1.0]]))
    assert deltas["a"].tolist() == [[3.0]]
    assert deltas[INPUT].tolist() == [[12.0]]


def test_delta_given_is_not_written_into():
    graph, params = diamond()
    run = reference.forward(graph, params, {}, np.array([[7.0]]))
    delta = np.array([[1.0]])
    reference.backward(graph, params, run, delta)
    assert delta.tolist() == [[1.0]]


def test_a_value_that_nobody_reads_gets_zero():
    graph = Graph.from_json(
        {
            "input_shape": [1],
            "layers": [
                {"name": name, "layer": {"type": "Linear", "out_features": 1}, "inputs": ["input"]}
                for name in ("idle", "used")
            ],
        }
    )
    params = {
        f"{n}.{k}": np.full((1, 1) if k == "weight" else 1, 3.0) for n in ("idle", "used") for k in ("weight", "bias")
    }
    run = reference.forward(graph, params, {}, np.array([[2.0]]))
    deltas, grads = reference.backward(graph, params, run, np.array([[1.0]]))
    assert deltas["idle"].tolist() == [[0.0]]
    assert grads["idle.weight"].tolist() == [[0.0]]
    assert grads["used.weight"].tolist() == [[2.0]]
    assert deltas[INPUT].tolist() == [[3.0]]
    assert reference.infer(graph, params, {}, np.array([[2.0]])).tolist() == [[9.0]]


def small_net(rng):
    graph = Graph(
        [
            Conv2d(4, 3, padding=1, name="stem"),
            BatchNorm2d(name="bn"),
            Residual([ReLU(), Conv2d(4, 3, padding=1)]),
            Concat([Conv2d(2, 1), [MaxPool2d(3, 1, 1), ReLU()]]),
            Dropout(0.5, name="drop"),
            Flatten(),
            Linear(3, name="head"),
        ],
        (2, 5, 5),
    )
    return graph, *graph.init_tensors(rng, np.float64)


def test_infer_gives_the_output_of_forward():
    graph, params, state = small_net(RNG(0))
    state["bn.running_mean"] += 0.5
    x = RNG(1).normal(size=(3, 2, 5, 5))
    expected = reference.forward(graph, params, state, x).values["head"]
    np.testing.assert_array_equal(reference.infer(graph, params, state, x), expected)
    assert (state["bn.running_mean"] == 0.5).all()


def test_infer_lets_go_of_values_that_have_been_read():
    alive = []

    @dataclass(frozen=True)
    class Watch(Layer):
        def output_shape(self, input_shape):
            return input_shape

        def forward(self, params, x, **_):
            alive.append(sum(ref() is not None for ref in watched))
            y = x + 1
            watched.append(weakref.ref(y))
            return y, None

    watched: list[weakref.ref] = []
    graph = Graph([Watch() for _ in range(6)], (2,))
    y = reference.infer(graph, {}, {}, np.zeros((1, 2)))
    assert y.tolist() == [[6.0, 6.0]]
    assert alive == [0, 1, 1, 1, 1, 1]


def test_training_reaches_state_and_random_layers():
    graph, params, state = small_net(RNG(2))
    x = RNG(3).normal(size=(4, 2, 5, 5))
    run = reference.forward(graph, params, state, x, training=True, seed=1, step=2)
    mean = run.values["stem"].mean(axis=(0, 2, 3))
    np.testing.assert_allclose(state["bn.running_mean"], 0.1 * mean, rtol=1e-12)
    dropped = run.values["drop"] == 0
    assert 0.3 < dropped.mean() < 0.8
    again = reference.forward(graph, params, state, x, training=True, seed=1, step=2).values["drop"] == 0
    other = reference.forward(graph, params, state, x, training=True, seed=1, step=3).values["drop"] == 0
    assert (dropped == again).all()
    assert (dropped != other).any()


def test_known_values_are_taken_as_they_are():
    graph, params = diamond()
    run = reference.forward(
        graph, params, {}, np.array([[7.0]]), known={"a": np.array([[1.0]]), "b": np.array([[0.0]])}
    )
    assert run.values["y"].tolist() == [[0 - 5 + 1.0]]


def test_own_takes_the_part_after_the_last_dot():
    graph = Graph([Linear(2, name="a.b"), Linear(2, name="b")], (2,))
    tensors = {"b.weight": np.ones(2), "a.b.weight": np.ones(1), "a.weight": np.ones(3), "weight": np.ones(4)}
    assert {k: len(v) for k, v in reference.own(tensors, graph.nodes[0]).items()} == {"weight": 1}
    assert {k: len(v) for k, v in reference.own(tensors, graph.nodes[1]).items()} == {"weight": 2}


@pytest.mark.parametrize("shape", [(1,), (2, 3, 3)])
def test_gradients_of_a_graph_against_central_differences(shape):
    # J = Σ v·y for a graph with three paths from x to y, two of them through a shared layer.
    rng = RNG(4)
    x = Input(shape)
    shared = (Linear(3, name="s") if len(shape) == 1 else Conv2d(3, 3, padding=1, name="s"))(x)
    left = (Linear(3, name="l") if len(shape) == 1 else Conv2d(3, 1, name="l"))(shared)
    graph = Graph(Concat()(Add()(shared, left), x, shared))
    params, state = graph.init_tensors(rng, np.float64)
    batch, v = rng.normal(size=(2, *shape)), rng.normal(size=(2, *graph.output_shape))

    def loss():
        return float((v * reference.infer(graph, params, state, batch)).sum())

    run = reference.forward(graph, params, state, batch)
    deltas, grads = reference.backward(graph, params, run, v)
    for tensor, gradient in [(batch, deltas[INPUT]), *((params[name], grads[name]) for name in params)]:
        for at in np.ndindex(tensor.shape):
            origin = tensor[at]
            tensor[at] = origin + 1e-4
            above = loss()
            tensor[at] = origin - 1e-4
            below = loss()
            tensor[at] = origin
            assert gradient[at] == pytest.approx((above - below) / 2e-4, rel=1e-6, abs=1e-9)
