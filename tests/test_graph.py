import json
from dataclasses import dataclass

import pytest

from pellucid.errors import ConfigError, ShapeError
from pellucid.graph import INPUT, Graph
from pellucid.layers import (
    Add,
    Concat,
    Conv2d,
    Flatten,
    Input,
    Layer,
    Linear,
    MaxPool2d,
    ReLU,
    Residual,
    Sequential,
)


def wiring(graph):
    return [(node.name, node.inputs, node.shape) for node in graph.nodes]


def test_a_list_becomes_a_chain_with_its_shapes():
    graph = Graph([Conv2d(6, 5), ReLU(), MaxPool2d(2), Flatten(), Linear(10, name="head")], (1, 28, 28))
    assert wiring(graph) == [
        ("0", (INPUT,), (6, 24, 24)),
        ("1", ("0",), (6, 24, 24)),
        ("2", ("1",), (6, 12, 12)),
        ("3", ("2",), (864,)),
        ("head", ("3",), (10,)),
    ]
    assert [node.input_shapes for node in graph.nodes][:2] == [((1, 28, 28),), ((6, 24, 24),)]
    assert graph.input_shape == (1, 28, 28)
    assert graph.output_shape == (10,)


def test_one_layer_is_a_network_too():
    assert wiring(Graph(Linear(3), (2,))) == [("0", (INPUT,), (3,))]
    assert wiring(Graph(Linear(3, name="only"), (2,))) == [("only", (INPUT,), (3,))]
    assert wiring(Graph(Sequential([Linear(3), ReLU()]), [2])) == [("0", (INPUT,), (3,)), ("1", ("0",), (3,))]


def test_three_ways_to_write_a_network_give_the_same_graph():
    def body():
        return [Conv2d(4, 3, padding=1, name="a"), ReLU(), Conv2d(4, 3, padding=1, name="b")]

    nested = Graph([Conv2d(4, 1), Residual(body(), name="1"), Flatten()], (3, 6, 6))
    blocks = Graph(Sequential([Conv2d(4, 1), Residual(Sequential(body()), name="1"), Flatten()]), (3, 6, 6))
    x = Input((3, 6, 6))
    h = Conv2d(4, 1, name="0")(x)
    a = Conv2d(4, 3, padding=1, name="1.a")(h)
    b = Conv2d(4, 3, padding=1, name="1.b")(ReLU(name="1.1")(a))
    functional = Graph(Flatten(name="2")(Add(name="1.add")(b, h)))
    expected = [
        ("0", (INPUT,), (4, 6, 6)),
        ("1.a", ("0",), (4, 6, 6)),
        ("1.1", ("1.a",), (4, 6, 6)),
        ("1.b", ("1.1",), (4, 6, 6)),
        ("1.add", ("1.b", "0"), (4, 6, 6)),
        ("2", ("1.add",), (144,)),
    ]
    assert wiring(nested) == wiring(blocks) == wiring(functional) == expected


def test_symbols_run_after_everything_they_read_and_once():
    x = Input((2,))
    left, right = Linear(3, name="left")(x), Linear(3, name="right")(x)
    both = Add()(left, right)
    assert [node.name for node in Graph(both).nodes] == ["left", "right", "2"]
    graph = Graph(Concat()(both, left, x))
    assert wiring(graph) == [
        ("left", (INPUT,), (3,)),
        ("right", (INPUT,), (3,)),
        ("2", ("left", "right"), (3,)),
        ("3", ("2", "left", INPUT), (8,)),
    ]


def test_a_long_functional_chain_does_not_exhaust_the_stack():
    h = Input((1,))
    for _ in range(3000):
        h = ReLU()(h)
    graph = Graph(h, (1,))
    assert [node.name for node in graph.nodes] == [str(i) for i in range(3000)]


def test_json_and_back():
    x = Input((2, 8, 8))
    h = Residual([Conv2d(4, (3, 1), padding="same", name="conv"), ReLU()], Conv2d(4, 1, bias=False), name="block")(x)
    graph = Graph(Linear(3, weight_init="glorot")(Flatten(column_major=True)(Concat([Conv2d(1, 1), ReLU()])(h))))
    text = json.dumps(graph.to_json())
    rebuilt = Graph.from_json(json.loads(text))
    assert rebuilt.nodes == graph.nodes
    assert rebuilt.input_shape == (2, 8, 8)
    assert json.loads(text)["layers"][0] == {
        "name": "block.conv",
        "layer": {
            "type": "Conv2d",
            "name": "conv",
            "out_channels": 4,
            "kernel_size": [3, 1],
            "padding": "same",
        },
        "inputs": ["input"],
    }


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "the network's description is not well formed: KeyError 'input_shape'"),
        ([], "the network's description is not well formed: TypeError list indices must be integers"),
        ({"input_shape": [2]}, "the network's description is not well formed: KeyError 'layers'"),
        ({"input_shape": [2], "layers": []}, "the network's description has no layers"),
        (
            {"input_shape": [2], "layers": [{"name": "a", "layer": {"type": "ReLU"}, "inputs": ["b"]}]},
            "the network's description is not well formed: KeyError 'b'",
        ),
        (
            {"input_shape": [2], "layers": [{"name": "a", "layer": {"type": "ReLU"}, "inputs": []}]},
            "the network's description is not well formed: TypeError",
        ),
        (
            {"input_shape": [2], "layers": [{"name": "a", "layer": {"type": "Layer"}, "inputs": ["input"]}]},
            "the network's description is not well formed: NotImplementedError Layer does not define output_shape",
        ),
        (
            {"input_shape": [2], "layers": [{"name": "a", "layer": {"type": "Telu"}, "inputs": ["input"]}]},
            "unknown layer 'Telu'; if it is your own class, import the module that defines it before loading",
        ),
    ],
)
def test_descriptions_that_are_not_well_formed(data, message):
    with pytest.raises(ConfigError) as error:
        Graph.from_json(data)
    assert str(error.value).startswith(message)


def test_the_chain_of_shapes_is_shown_up_to_the_layer_that_does_not_fit():
    with pytest.raises(ShapeError) as error:
        Graph([Conv2d(6, 5), ReLU(), Linear(10)], (1, 8, 8))
    assert str(error.value) == (
        "layer '2' does not fit. Linear(10) takes a vector of shape (K,), but its input has shape (6, 4, 4); "
        "put Flatten() before it\n"
        "Shapes up to there:\n"
        "  input                (1, 8, 8)\n"
        "  0      Conv2d(6, 5)  (6, 4, 4)\n"
        "  1      ReLU()        (6, 4, 4)\n"
        "  2      Linear(10)    does not fit"
    )


def test_of_a_deep_network_the_chain_shows_the_last_layers():
    with pytest.raises(ShapeError) as error:
        Graph([*[ReLU()] * 20, Linear(1)], (1, 2, 2))
    lines = str(error.value).splitlines()
    assert lines[2:5] == ["  input             (1, 2, 2)", "  … 8 more layers", "  8      ReLU()     (1, 2, 2)"]
    assert len(lines) == 2 + 1 + 1 + 12 + 1
    assert lines[-1] == "  20     Linear(1)  does not fit"


@pytest.mark.parametrize("shape", [(28, 28), (), (1, 2, 3, 4), (0,), (3, -1, 3), (2.0,), 784, "abc"])
def test_input_shapes_that_are_none(shape):
    with pytest.raises(ShapeError) as error:
        Graph([ReLU()], shape)
    assert str(error.value) == (
        f"input_shape must be (channels, height, width) or (features,), without the batch; got {shape}"
    )


def test_the_input_shape_is_needed_and_not_contradicted():
    with pytest.raises(ConfigError) as error:
        Graph([ReLU()])
    assert str(error.value) == (
        "give input_shape, e.g. input_shape=(1, 28, 28) for 28×28 grey images, or start with Input"
    )
    with pytest.raises(ConfigError) as error:
        Graph(ReLU()(Input((3,))), (4,))
    assert str(error.value) == "input_shape (4,) contradicts Input((3,)); leave it out"


def test_a_network_has_one_input_and_a_layer():
    with pytest.raises(ConfigError) as error:
        Graph(Add()(Input((3,)), Input((3,))))
    assert str(error.value) == "a network has one Input, this one has 2"
    for nothing in ([], Sequential([])):
        with pytest.raises(ConfigError) as error:
            Graph(nothing, (3,))
        assert str(error.value) == "a network needs at least one layer"


def test_names_are_unique():
    told = (
        "two layers are called 'fc'; give each a name of its own (a layer that is used twice has two sets of weights, "
        "so it needs two names)"
    )
    with pytest.raises(ConfigError) as error:
        Graph([Linear(3, name="fc"), Linear(3, name="fc")], (3,))
    assert str(error.value) == told
    layer = Linear(3, name="fc")
    with pytest.raises(ConfigError) as error:
        Graph(layer(layer(Input((3,)))))
    assert str(error.value) == told
    with pytest.raises(ConfigError, match="two layers are called 'input'"):
        Graph([Linear(3, name="input")], (3,))


def test_a_layer_is_called_with_symbols():
    with pytest.raises(ConfigError) as error:
        ReLU()([1.0, 2.0])
    assert str(error.value) == (
        "ReLU() was called with ([1.0, 2.0],); call a layer with the result of Input(...) or of another layer. "
        "To run arrays through it, put it in a Network."
    )
    with pytest.raises(ConfigError, match=r"ReLU\(\) was called with \(\);"):
        ReLU()()


def test_a_layer_without_a_shape_rule_says_so():
    @dataclass(frozen=True)
    class Unfinished(Layer):
        pass

    with pytest.raises(NotImplementedError, match="Unfinished does not define output_shape"):
        Graph([Unfinished()], (3,))


def test_input_needs_a_shape():
    with pytest.raises(ShapeError, match=r"Input takes a shape such as \(1, 28, 28\) or \(4,\), got 5"):
        Input(5)
