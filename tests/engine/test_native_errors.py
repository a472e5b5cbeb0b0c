from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from native_nets import RNG, SETS, build, samples

import pellucid
from pellucid import Network
from pellucid.engine import instruction_set
from pellucid.errors import ConfigError, DataError, EngineError, EngineWarning, PellucidError, ShapeError
from pellucid.layers import (
    ELU,
    Conv2d,
    Flatten,
    Layer,
    LeakyReLU,
    Linear,
    MaxPool2d,
    ReLU,
    Tanh,
)
from pellucid.losses import SquaredError

pytest.importorskip("pellucid._native", reason="installed without a C++ compiler")


@dataclass(frozen=True)
class Twice(ReLU):
    """Changes forward; the native step of its base would leave the 2 out."""

    def forward(self, params, x, **_):
        return 2 * np.maximum(x, 0), x > 0


@dataclass(frozen=True)
class Through(ReLU):
    """Changes backward alone."""

    def backward(self, params, saved, dy):
        return dy, {}


@dataclass(frozen=True)
class Named(ReLU):
    """Changes nothing that is computed."""

    why: str = ""


@dataclass(frozen=True)
class Own(Layer):
    """A layer of a user's, without a native step."""

    def output_shape(self, input_shape):
        return input_shape

    def forward(self, params, x, **_):
        return 3 * x, None

    def backward(self, params, saved, dy):
        return 3 * dy, {}


@dataclass(frozen=True)
class OwnTanh(Own):
    """A layer of a user's that says which native step it is."""

    def forward(self, params, x, **_):
        return np.tanh(x), np.tanh(x)

    def backward(self, params, saved, dy):
        return dy * (1 - saved**2), {}

    def emit(self, program, slot):
        return program.activation(slot, "tanh")


@dataclass(frozen=True)
class TotalError(SquaredError):
    """A loss of a user's: the sum of all outputs."""

    def value_and_delta(self, a, target, sample_weight=None):
        return float(a.sum()), np.ones_like(a)


# What the native engine does not take.

REFUSED: list[tuple[list[Layer], tuple[int, ...], str]] = [
    ([Linear(3), Own()], (4,), r"layer '1': Own\(\) has no native step"),
    (
        [Conv2d(1, 65, padding=32), Flatten()],
        (1, 4, 4),
        r"layer '0': its kernel is larger than the native engine's 64 pixels",
    ),
    ([Conv2d(2, 2)], (1, 4, 4), "the native engine needs a network that ends in a vector"),
    ([Linear(3), Twice()], (4,), r"layer '1' Twice\(\) changes what its native step computes"),
    ([Linear(3), Through()], (4,), r"layer '1' Through\(\) changes what its native step computes"),
]


@pytest.mark.parametrize(("layers", "shape", "message"), REFUSED, ids=lambda value: str(value)[:40])
def test_layers_that_it_refuses_run_on_the_reference_engine(
    layers: list[Layer], shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(EngineError, match=message):
        Network(layers, shape, engine="native")
    with pytest.warns(EngineWarning, match=f"runs on the slower reference engine: .*{message}.*; engine='refe") as told:
        network = Network(layers, shape)
    assert (network.engine, len(told), told[0].filename) == ("reference", 1, __file__)
    x = RNG(0).normal(size=(3, *shape)).astype(np.float32)
    np.testing.assert_array_equal(network.forward(x), Network(layers, shape, engine="reference").forward(x))


def test_what_was_meant_or_cannot_be_helped_is_not_warned_about(monkeypatch: pytest.MonkeyPatch) -> None:
    # Warnings are errors here: none of these raises one.
    layers: list[Layer] = [Linear(3), Own()]
    Network(layers, (4,), engine="reference").copy()
    Network(layers, (4,), dtype="float64").copy()
    assert Network(layers, (4,), dtype="float64", engine="reference").copy(dtype="float32").engine == "reference"
    with pytest.warns(EngineWarning):
        network = Network(layers, (4,))
    assert network.copy().engine == network.copy(dtype="float64").engine == "reference"
    monkeypatch.delattr(pellucid, "_native", raising=False)
    monkeypatch.setitem(sys.modules, "pellucid._native", None)
    assert Network(layers, (4,)).engine == "reference"


def test_a_subclass_that_changes_the_equations_computes_its_own() -> None:
    network, x = Network([Twice()], (2,), loss="squared_error", engine="reference"), np.array([[3.0, -1.0]])
    assert (network.engine, network.forward(x).tolist()) == ("reference", [[6.0, 0.0]])
    assert Network([Named(why="")], (2,), loss="squared_error", engine="native").forward(x).tolist() == [[3.0, 0.0]]


def test_a_layer_of_ones_own_with_a_native_step() -> None:
    network = build([Linear(4), OwnTanh(), Linear(3)], (5,))
    twin = build([Linear(4), Tanh(), Linear(3)], (5,))
    x, y = samples(network, 20)
    np.testing.assert_array_equal(network.forward(x), twin.forward(x))
    np.testing.assert_allclose(network.forward(x), network.copy(dtype="float64").forward(x), rtol=1e-5, atol=1e-6)
    assert network.evaluate(x, y)["loss"] == pytest.approx(
        network.copy(dtype="float64").evaluate(x, y)["loss"], rel=1e-5
    )


def test_a_loss_of_ones_own() -> None:
    with pytest.raises(EngineError, match=r"does not know the loss TotalError\(\)$"):
        Network([Linear(2)], (3,), loss=TotalError(), engine="native")
    with pytest.warns(EngineWarning, match=r"does not know the loss TotalError\(\); engine='reference' says"):
        network = Network([Linear(2)], (3,), loss=TotalError())
    assert network.engine == "reference"
    assert network.loss_and_gradients(np.ones((4, 3)), np.zeros((4, 2)))[1]["0.bias"].tolist() == [4.0, 4.0]


def test_float64_is_for_the_reference_engine() -> None:
    with pytest.raises(EngineError, match="the native engine computes in float32, not float64; use engine='reference'"):
        Network([Linear(2)], (3,), dtype="float64", engine="native")
    assert Network([Linear(2)], (3,), dtype="float64").engine == "reference"


def test_engines_by_name() -> None:
    assert [Network([Linear(2)], (3,), engine=e).engine for e in ("auto", "native", "reference")] == [
        "native", "native", "reference",
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="no engine called 'gpu'; there are auto, reference, native"):
        Network([Linear(2)], (3,), engine="gpu")


def test_without_the_compiled_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(pellucid, "_native", raising=False)
    monkeypatch.setitem(sys.modules, "pellucid._native", None)
    with pytest.raises(
        EngineError, match=r"installed without a C\+\+ compiler; install one and reinstall .*, or use engi"
    ):
        Network([Linear(2)], (3,), engine="native")
    network = Network([Linear(2)], (3,))
    assert network.engine == "reference"
    x = RNG(1).normal(size=(5, 3))
    np.testing.assert_allclose(network.forward(x), x @ network.parameters["0.weight"].T, rtol=1e-5, atol=1e-6)


# Settings from the environment.


@pytest.mark.parametrize("isa", SETS)
def test_an_instruction_set_by_name(isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    widest = instruction_set()
    monkeypatch.setenv("PELLUCID_ISA", isa)
    if widest not in SETS or SETS.index(isa) > SETS.index(widest):
        with pytest.raises(ConfigError, match=f"PELLUCID_ISA='{isa}': this processor .* this one has '{widest}'"):
            Network([Linear(2)], (3,))
    else:
        network = Network([Linear(2)], (3,))
        assert network._native is not None
        assert network._native.isa == isa
        monkeypatch.delenv("PELLUCID_ISA")
        again = network.copy()._native
        assert again is not None
        assert again.isa == widest


@pytest.mark.parametrize("isa", ["sse9", "AVX2", "avx512 ", "avx1024"])
@pytest.mark.parametrize("engine", ["auto", "native"])
def test_an_unknown_instruction_set(isa: str, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PELLUCID_ISA", isa)
    with pytest.raises(
        ConfigError, match=rf"PELLUCID_ISA='{isa}': this processor or build does not have that instruct"
    ):
        Network([Linear(2)], (3,), engine=engine)
    assert Network([Linear(2)], (3,), engine="reference").engine == "reference"


@pytest.mark.parametrize("asked", ["100000", "99999999999"])
def test_more_threads_than_any_machine_starts_do_not_end_the_process(asked: str) -> None:
    script = (
        "import numpy as np\nfrom pellucid import Network\n"
        "from pellucid.layers import Linear\n"
        "network = Network([Linear(2)], (3,), engine='native')\n"
        "print(network.forward(np.zeros((40, 3))).sum())\n"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": asked}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, env=environment)
    assert (done.returncode, done.stdout) == (0, "0.0\n"), done.stderr[-300:]


# A native network in use.


def test_parameters_are_the_ones_that_run() -> None:
    network = build([Linear(2), ReLU()], (2,), loss="squared_error")
    x = np.array([[1.0, 2.0]])
    network.parameters = {"0.weight": [[1, 2], [3, -4]], "0.bias": [0.5, 10]}
    assert network.forward(x).tolist() == [[5.5, 5.0]]
    network.parameters["0.weight"][0, 0] = -2
    assert network.forward(x).tolist() == [[2.5, 5.0]]
    assert network.loss_and_gradients(x, np.array([[0.0, 4.0]]))[1]["0.weight"].tolist() == [[2.5, 5.0], [1.0, 2.0]]


def test_copies_and_files_keep_the_numbers_and_the_engine(tmp_path: Path) -> None:
    network = build([Conv2d(3, 3), ReLU(), MaxPool2d(2), Flatten(), Linear(4)], (1, 8, 9), input_mean=[0.25])
    x, y = samples(network, 20)
    network.fit(x, y, epochs=1, verbose=0)
    network.save(tmp_path / "net.safetensors")
    expected = network.forward(x)
    for other in (network.copy(), Network.load(tmp_path / "net.safetensors", engine="native")):
        assert other.engine == "native"
        np.testing.assert_array_equal(other.forward(x), expected)
        other.parameters["4.bias"][...] += 1
        np.testing.assert_allclose(other.forward(x), expected + 1, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(network.forward(x), expected)
    slow = Network.load(tmp_path / "net.safetensors", engine="reference")
    assert slow.engine == network.copy(dtype="float64").engine == "reference"
    np.testing.assert_allclose(slow.forward(x), expected, rtol=1e-5, atol=1e-5)


def test_training_ends_where_it_does_on_the_reference_engine() -> None:
    layers = [Conv2d(4, 3), Tanh(), MaxPool2d(2), Flatten(), Linear(3)]
    ends = []
    for engine, dtype in (("native", "float32"), ("reference", "float64")):
        network = Network(layers, (1, 8, 8), seed=2, engine=engine, dtype=dtype)
        x, y = samples(network, 70)
        history = network.fit(x, y, epochs=3, batch_size=16, learning_rate=0.05, optimizer="adam", verbose=0)
        ends.append((network.flat_parameters.copy(), history["loss"]))
    np.testing.assert_allclose(ends[0][0], ends[1][0], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(ends[0][1], ends[1][1], rtol=1e-4)


def test_a_trace_tells_what_ran() -> None:
    network = build([Conv2d(3, 3), ReLU(), Flatten(), Linear(4)], (1, 6, 5))
    x, y = samples(network, 9)
    loss, gradients = network.loss_and_gradients(x, y)
    trace = network.trace(x, y)
    assert trace.loss == pytest.approx(loss, rel=1e-6)
    np.testing.assert_allclose(trace["0"].gradients["weight"], gradients["0.weight"], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(trace["3"].output, network.forward(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.zeros((2, 4)), ShapeError, r"inputs have shape \(2, 4\), the network takes \(N, 3\)"),
        (np.zeros((0, 3)), DataError, "there are no samples"),
        (np.full((2, 3), np.nan), DataError, "sample 0 contains NaN or infinity"),
        (np.full((2, 3), 1e39), DataError, "sample 0 holds numbers too large for float32"),
        (np.array([["a"] * 3]), DataError, "images must be real numbers"),
    ],
)
def test_bad_samples(x: np.ndarray, error: type[PellucidError], message: str) -> None:
    network = build([Linear(2)], (3,))
    for use in (network.forward, lambda x: network.loss_and_gradients(x, [0] * len(x))):
        with pytest.raises(error, match=message):
            use(x)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (ELU(0.0), r"ELU\(alpha=0\.0\): the native step takes the slope from y, which needs alpha above 0"),
        (LeakyReLU(-0.5), r"the native step takes the slope from y, which needs one that is not negative"),
    ],
)
def test_activations_whose_slope_y_does_not_tell_are_refused(layer: Layer, message: str) -> None:
    with pytest.raises(EngineError, match=message):
        Network([Linear(3), layer, Linear(2)], (4,), engine="native")
    with pytest.warns(EngineWarning, match=message):
        assert Network([Linear(3), layer, Linear(2)], (4,)).engine == "reference"
