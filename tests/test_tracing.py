from __future__ import annotations

import numpy as np
import pytest
from written_out import LABELS, mean_cross_entropy, pixels, run, slopes, small, softmax

from pellucid import Input, Network
from pellucid.layers import Add, BatchNorm2d, Conv2d, Dropout, Flatten, Linear, ReLU


def test_trace_names_the_steps_in_order() -> None:
    trace = small().trace(pixels(), LABELS)
    assert [step.name for step in trace] == ["conv", "1", "2", "3", "out"]
    assert [step.inputs for step in trace] == [("input",), ("conv",), ("1",), ("2",), ("3",)]
    assert [step.layer for step in trace][:2] == [Conv2d(2, 3, name="conv"), ReLU()]
    assert len(trace) == 5
    assert trace["out"] is trace.steps[4]
    with pytest.raises(KeyError, match="no layer called 'fc'; there are conv, 1, 2, 3, out"):
        trace["fc"]


def test_trace_gives_the_outputs_and_slopes_of_the_network_written_out() -> None:
    network, x = small(), pixels()
    trace = network.trace(x, LABELS)
    outputs = run(network, x)
    # Some values below 0 for ReLU to cut off, but none so close, and no window without a maximum: no kinks.
    assert (outputs[0] < 0).any()
    assert abs(outputs[0]).min() > 1e-4
    assert outputs[2].min() > 0
    np.testing.assert_array_equal(trace.input, x)
    for position, (step, output) in enumerate(zip(trace, outputs, strict=True)):
        np.testing.assert_allclose(step.output, output, rtol=1e-12)

        def loss(position: int = position, output: np.ndarray = output) -> float:
            return mean_cross_entropy([output, *run(network, output, position + 1)][-1], LABELS)

        np.testing.assert_allclose(step.delta, slopes(loss, output), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(trace.input_delta, slopes(lambda: mean_cross_entropy(run(network, x)[-1], LABELS), x),
                               rtol=1e-6, atol=1e-9)  # fmt: skip
    np.testing.assert_allclose(trace.prediction, softmax(outputs[-1]), rtol=1e-12)
    np.testing.assert_array_equal(trace.target, [[0, 0, 1], [1, 0, 0], [0, 1, 0]])
    assert trace.loss == pytest.approx(mean_cross_entropy(outputs[-1], LABELS), rel=1e-12)


def test_trace_gives_each_layer_its_own_gradients() -> None:
    network, x = small(), pixels()
    trace = network.trace(x, LABELS)
    for name, parameter in network.parameters.items():
        layer, _, key = name.rpartition(".")
        expected = slopes(lambda: mean_cross_entropy(run(network, x)[-1], LABELS), parameter)
        np.testing.assert_allclose(trace[layer].gradients[key], expected, rtol=1e-6, atol=1e-9)
    assert [sorted(step.gradients) for step in trace] == [["bias", "weight"], [], [], [], ["bias", "weight"]]


def test_trace_adds_the_slopes_of_all_readers_of_a_value() -> None:
    x = Input((3,))
    h = Linear(4, name="h")(x)
    network = Network(Linear(2, name="out")(Add(name="sum")(Linear(4, name="body")(ReLU(name="relu")(h)), h)),
                      loss="squared_error", dtype="float64", seed=1)  # fmt: skip
    data = np.random.default_rng(2).normal(size=(4, 3))
    target = np.random.default_rng(3).normal(size=(4, 2))
    p = network.parameters
    trace = network.trace(data, target)
    hidden = trace["h"].output.copy()

    def loss() -> float:
        body = np.maximum(hidden, 0) @ p["body.weight"].T + p["body.bias"]
        out = (body + hidden) @ p["out.weight"].T + p["out.bias"]
        return 0.5 * float(((out - target) ** 2).sum()) / 4

    assert trace.loss == pytest.approx(loss(), rel=1e-12)
    np.testing.assert_allclose(trace["h"].delta, slopes(loss, hidden), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(trace["sum"].delta, trace["body"].delta, rtol=0)


def test_trace_changes_nothing() -> None:
    layers = [BatchNorm2d(), Conv2d(2, 3), Dropout(0.5), Flatten(), Linear(3)]
    network = Network(layers, (1, 6, 6), seed=3, input_mean=[0.25], dtype="float64")
    network.loss_and_gradients(pixels(), LABELS)
    network.step = 7
    before = {name: value.tobytes() for name, value in network.tensors().items()}
    x = pixels()
    first, second = network.trace(x, LABELS), network.trace(x, LABELS)
    network.trace(x, LABELS, training=False)
    assert {name: value.tobytes() for name, value in network.tensors().items()} == before
    assert network.step == 7
    np.testing.assert_array_equal(x, pixels())
    # The same step draws the same dropout, and the input is shown centred.
    np.testing.assert_array_equal(first["2"].output, second["2"].output)
    np.testing.assert_array_equal(first.input, x - 0.25)


def test_trace_writes_nothing_into_the_network_when_its_arrays_are_written_to() -> None:
    network = small()
    before = {name: value.copy() for name, value in network.parameters.items()}
    trace = network.trace(pixels(), LABELS)
    for step in trace:
        for array in (step.output, step.delta, *step.gradients.values()):
            array[...] = 99
    for name, value in network.parameters.items():
        np.testing.assert_array_equal(value, before[name])


def test_trace_of_inference_uses_running_statistics_and_no_dropout() -> None:
    network = Network([BatchNorm2d(eps=1e-12), Dropout(0.5), Flatten(), Linear(3)], (1, 6, 6), dtype="float64")
    network.state["0.running_mean"] = [2.0]
    network.state["0.running_var"] = [9.0]
    trace = network.trace(pixels(), LABELS, training=False)
    np.testing.assert_allclose(trace["0"].output, (pixels() - 2) / 3, rtol=1e-9)
    np.testing.assert_allclose(trace["1"].output, (pixels() - 2) / 3, rtol=1e-9)
    trained = network.trace(pixels(), LABELS)
    x = pixels()
    np.testing.assert_allclose(trained["0"].output, (x - x.mean()) / x.std(), rtol=1e-9)
    assert (trained["1"].output == 0).mean() > 0.2


def test_training_moves_the_running_statistics_and_nothing_else() -> None:
    network = Network([BatchNorm2d(momentum=0.5), Flatten(), Linear(3)], (1, 6, 6), dtype="float64")
    before = {name: value.copy() for name, value in network.parameters.items()}
    network.loss_and_gradients(pixels(), LABELS)
    np.testing.assert_allclose(network.state["0.running_mean"], [0.5 * pixels().mean()], rtol=1e-12)
    assert network.step == 0
    for name, value in network.parameters.items():
        np.testing.assert_array_equal(value, before[name])
    state = {name: value.copy() for name, value in network.state.items()}
    network.forward(pixels())
    network.evaluate(pixels(), LABELS)
    for name, value in network.state.items():
        np.testing.assert_array_equal(value, state[name])
