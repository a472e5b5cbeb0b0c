import numpy as np
import pytest
from harness import assert_gradients, awkward

from pellucid import Network
from pellucid.errors import ConfigError, ShapeError
from pellucid.explain import check_gradients
from pellucid.graph import Graph
from pellucid.layers import Add, Concat, Conv2d, Flatten, Input, Linear, MaxPool2d, ReLU, Residual, Sequential

RNG = np.random.default_rng


def linear(features, name=None):
    return Linear(features, bias=False, name=name)


def network(layers, shape, **values):
    """Return a float64 network with squared error summed over the batch, and these parameters."""
    net = Network(layers, shape, loss="squared_error", dtype="float64")
    net.parameters = {name.replace("__", "."): value for name, value in values.items()}
    return net


def deltas(net, x):
    """Return the trace of one sample whose target is the output less 1, so that δ at the top is 1 everywhere."""
    return net.trace(x, net.forward(x) - 1)


def test_sequential_applies_its_layers_in_turn():
    # y = 5·relu(2·x₁ − 3·x₂): 20 at (2, 0) and 0 at (0, 1).
    net = network(Sequential([linear(1), ReLU(), linear(1)]), (2,), **{"0.weight": [[2, -3]], "2.weight": [[5]]})
    assert net.forward([[2.0, 0.0], [0.0, 1.0]]).tolist() == [[20.0], [0.0]]
    trace = deltas(net, [[2.0, 0.0]])
    assert [step.name for step in trace] == ["0", "1", "2"]
    assert trace["1"].delta.tolist() == trace["0"].delta.tolist() == [[5.0]]
    assert trace.input_delta.tolist() == [[10.0, -15.0]]


def test_residual_adds_its_input_and_its_delta():
    # y = W x + x, dx = Wᵀδ + δ.
    net = network(Residual(linear(2)), (2,), **{"0.weight": [[1, 2], [-3, 4]]})
    assert net.forward([[10.0, 1.0]]).tolist() == [[12 + 10.0, -26 + 1.0]]
    trace = deltas(net, [[10.0, 1.0]])
    assert [(step.name, step.inputs) for step in trace] == [("0", ("input",)), ("add", ("0", "input"))]
    assert trace.input_delta.tolist() == [[1 - 3 + 1.0, 2 + 4 + 1.0]]
    assert trace["0"].gradients["weight"].tolist() == [[10.0, 1.0], [10.0, 1.0]]


def test_residual_with_a_shortcut_adds_what_both_give():
    # y = 2·3·x + 7·x.
    block = Residual([linear(1), linear(1)], shortcut=linear(1))
    net = network(block, (1,), **{"0.weight": [[3]], "1.weight": [[2]], "shortcut.weight": [[7]]})
    assert net.forward([[0.5]]).tolist() == [[6.5]]
    trace = deltas(net, [[0.5]])
    assert trace.input_delta.tolist() == [[13.0]]
    assert {step.name: step.gradients["weight"].item() for step in trace if step.gradients} == {
        "0": 2 * 0.5,
        "1": 3 * 0.5,
        "shortcut": 0.5,
    }


def test_residual_with_an_empty_body_doubles():
    net = network(Residual([]), (2,))
    assert net.forward([[1.0, -4.0]]).tolist() == [[2.0, -8.0]]
    assert deltas(net, [[1.0, -4.0]]).input_delta.tolist() == [[2.0, 2.0]]


def test_concat_stacks_its_branches_and_splits_delta():
    # y = (3x, 5·2x, 5·(−1)x, relu x)
    net = network(
        Concat([linear(1), [linear(1), linear(2)], ReLU()]),
        (1,),
        **{"0.weight": [[3]], "1.0.weight": [[5]], "1.1.weight": [[2], [-1]]},
    )
    assert net.forward([[0.5], [-2.0]]).tolist() == [[1.5, 5.0, -2.5, 0.5], [-6.0, -20.0, 10.0, 0.0]]
    trace = deltas(net, [[0.5]])
    assert [step.name for step in trace] == ["0", "1.0", "1.1", "2", "concat"]
    assert trace.input_delta.tolist() == [[3.0 + 5 * (2 - 1) + 1]]
    assert trace["1.0"].delta.tolist() == [[1.0]]


def test_concat_of_maps_by_index():
    rng, sizes = RNG(0), (3, 1, 2)
    xs = [rng.normal(size=(2, c, 4, 5)) for c in sizes]
    layer = Concat()
    y, saved = layer.forward({}, *xs)
    assert y.shape == (2, 6, 4, 5)
    assert layer.output_shape(*(x.shape[1:] for x in xs)) == (6, 4, 5)
    dy = rng.normal(size=y.shape)
    parts, grads = layer.backward({}, saved, dy)
    assert grads == {}
    first = 0
    for x, part, maps in zip(xs, parts, sizes, strict=True):
        for c in range(maps):
            assert (y[:, first + c] == x[:, c]).all()
            assert (part[:, c] == dy[:, first + c]).all()
        first += maps


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_add_sums_and_hands_delta_to_everyone(count, dtype):
    rng = RNG(1)
    xs = [rng.integers(-9, 9, size=(2, 3, 4)).astype(dtype) for _ in range(count)]
    y, saved = Add().forward({}, *map(awkward, xs))
    assert y.dtype == dtype
    for at in np.ndindex(y.shape):
        assert y[at] == sum(x[at] for x in xs)
    dy = rng.normal(size=y.shape).astype(dtype)
    parts, grads = Add().backward({}, saved, awkward(dy))
    assert grads == {}
    assert len(parts) == count
    for part in parts:
        assert part.tolist() == dy.tolist()


def test_add_does_not_write_into_its_inputs():
    xs = [np.ones((1, 2)) for _ in range(3)]
    y, _ = Add().forward({}, *xs)
    y += 10
    assert [x.tolist() for x in xs] == [[[1.0, 1.0]]] * 3


def test_nested_names_are_joined_with_dots():
    def block(channels, shortcut=None):
        body = [Conv2d(channels, 1, name="conv1"), ReLU(), Conv2d(channels, 1, name="conv2")]
        return Residual(body, shortcut)

    graph = Graph(
        [
            Conv2d(2, 1, name="stem"),
            Sequential([block(2), block(4, Conv2d(4, 1, name="down"))], name="layer1"),
            Sequential([block(8, [Conv2d(8, 1), ReLU()])]),
            Concat([Conv2d(1, 1, name="left"), [ReLU(), Conv2d(1, 1)]], name="mixed"),
            Residual(Sequential([Conv2d(2, 1)], name="body")),
            Flatten(),
            Linear(3, name="head"),
        ],
        (1, 3, 3),
    )
    assert [node.name for node in graph.nodes] == [
        "stem",
        "layer1.0.conv1",
        "layer1.0.1",
        "layer1.0.conv2",
        "layer1.0.add",
        "layer1.1.conv1",
        "layer1.1.1",
        "layer1.1.conv2",
        "layer1.1.down",
        "layer1.1.add",
        "2.0.conv1",
        "2.0.1",
        "2.0.conv2",
        "2.0.shortcut.0",
        "2.0.shortcut.1",
        "2.0.add",
        "mixed.left",
        "mixed.1.0",
        "mixed.1.1",
        "mixed.concat",
        "4.body.0",
        "4.add",
        "5",
        "head",
    ]
    net = Network(graph, engine="reference")
    assert list(net.parameters)[:4] == ["stem.weight", "stem.bias", "layer1.0.conv1.weight", "layer1.0.conv1.bias"]
    assert "2.0.shortcut.0.weight" in net.parameters


def test_containers_in_the_functional_form():
    x = Input((2,))
    h = Residual(linear(2), name="block")(x)
    y = Concat()(h, linear(1, "left")(x))
    values = {"block.0.weight": [[1, 0], [0, 2]], "left.weight": [[4, 5]]}
    net = network(y, None, **values)
    assert net.forward([[1.0, 10.0]]).tolist() == [[2.0, 30.0, 54.0]]
    assert deltas(net, [[1.0, 10.0]]).input_delta.tolist() == [[2.0 + 4, 3.0 + 5]]


def test_gradients_of_random_residual_blocks():
    rng = RNG(2)
    for trial in range(60):
        channels, wide, step = (int(n) for n in rng.integers(1, 4, 3))
        shape = (channels, int(rng.integers(1, 5)), int(rng.integers(1, 5)))
        if trial % 2:
            block = Residual([Conv2d(wide, 3, padding=1), ReLU(), Conv2d(channels, 3, padding=1)])
        else:
            body = [Conv2d(wide, 3, step, padding=1), ReLU(), Conv2d(2, 1)]
            block = Residual(body, shortcut=Conv2d(2, 1, step, bias=False))
        report = check_gradients(block, shape, seed=trial, samples=4)
        assert report.error <= 1e-6, f"{block!r} on {shape}, seed {trial}: {report}"


def test_gradients_of_random_inception_blocks():
    rng = RNG(3)
    for trial in range(60):
        shape = tuple(int(n) for n in rng.integers(1, 4, 3))
        a, b, c, d = (int(n) for n in rng.integers(1, 3, 4))
        block = Concat(
            [
                Conv2d(a, 1),
                [Conv2d(b, 1), ReLU(), Conv2d(a, 3, padding="same")],
                [Conv2d(c, 1), ReLU(), Conv2d(b, 5, padding="same")],
                [MaxPool2d(3, 1, padding=1), Conv2d(d, 1)],
            ]
        )
        report = check_gradients(block, shape, seed=trial, samples=4)
        assert report.error <= 1e-6, f"{block!r} on {shape}, seed {trial}: {report}"


@pytest.mark.parametrize("trial", range(20))
def test_gradients_of_joins_of_random_shapes(trial):
    rng = RNG([4, trial])
    tail = tuple(int(n) for n in rng.integers(1, 4, rng.choice([0, 2])))
    shapes = [(int(c), *tail) for c in rng.integers(1, 4, int(rng.integers(2, 5)))]
    assert_gradients(Concat(), *shapes, seed=trial)
    assert_gradients(Add(), *[shapes[0]] * len(shapes), seed=trial)


def test_a_layer_twice_deep_in_a_network_by_the_texts_rule():
    # Epelbaum, "Batchpropagation through a ResNet module": two blocks in a row, y = (1 + b)(1 + a)x.
    net = network([Residual(linear(1)), Residual(linear(1))], (1,), **{"0.0.weight": [[2]], "1.0.weight": [[-4]]})
    assert net.forward([[5.0]]).tolist() == [[-45.0]]
    trace = deltas(net, [[5.0]])
    assert trace["0.add"].delta.tolist() == [[-4 + 1.0]]
    assert trace.input_delta.tolist() == [[-9.0]]
    assert trace["0.0"].gradients["weight"].tolist() == [[-3 * 5.0]]


@pytest.mark.parametrize("shapes", [[(2, 3, 3)], [(2, 3, 3), (2, 3, 4)], [(2,), (3,), (2,)]])
def test_add_needs_inputs_of_one_shape(shapes):
    with pytest.raises(ShapeError) as error:
        Add().output_shape(*shapes)
    assert str(error.value) == (
        f"Add() needs two or more inputs of the same shape, got {' and '.join(map(str, shapes))}; in a Residual, give "
        "the body's last layer as many channels as the input has, or a shortcut such as Conv2d(channels, 1, stride)"
    )


@pytest.mark.parametrize(
    ("shapes", "listed"),
    [([(2, 3, 3), (2, 3, 4)], "(2, 3, 3) and (2, 3, 4)"), ([(2,), (2, 3, 3)], "(2,) and (2, 3, 3)"), ([], "none")],
)
def test_concat_needs_inputs_that_differ_in_their_first_dimension(shapes, listed):
    with pytest.raises(ShapeError) as error:
        Concat().output_shape(*shapes)
    assert str(error.value) == (
        f"Concat() joins inputs that differ in their first dimension only, got {listed}; "
        "give the branches the same stride, and padding='same'"
    )


def test_a_block_that_does_not_fit_is_named_in_the_network():
    with pytest.raises(
        ShapeError, match=r"layer 'block.add' does not fit. Add\(\) needs two or more inputs of the same"
    ):
        Network([Residual(Conv2d(3, 3), name="block")], (3, 8, 8))
    with pytest.raises(ShapeError, match=r"layer 'mixed.concat' does not fit. Concat\(\) joins inputs that differ"):
        Network([Concat([Conv2d(3, 3), Conv2d(3, 1)], name="mixed")], (3, 8, 8))


@pytest.mark.parametrize(
    "make", [Sequential, Residual, lambda layers: Concat([layers]), lambda layers: Network(layers, (3,))]
)
def test_only_layers_can_be_combined(make):
    with pytest.raises(ConfigError) as error:
        make([Linear(2), ReLU])
    assert str(error.value) == (
        "a list of layers contains <class 'pellucid.layers.relu.ReLU'>, which is not a layer; "
        "write layers like ReLU(), with brackets"
    )
