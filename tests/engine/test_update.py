"""The native update against its formulas, written out here in float64."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from native_nets import RNG, SETS, set_isa
from update_rules import next_theta

from pellucid import Network
from pellucid.engine.update import NativeTraining
from pellucid.errors import ConfigError
from pellucid.layers import Conv2d, Flatten, Linear, MaxPool2d, Tanh
from pellucid.losses import CrossEntropy
from pellucid.optimizers import OPTIMIZERS, SGD, AdaDelta, AdaGrad, Adam, AdaMax, AdamW, Optimizer, RMSProp
from pellucid.regularizers import L1, L2, Penalty

pytest.importorskip("pellucid._native", reason="installed without a C++ compiler")

EPS = float(np.finfo(np.float32).eps)

RULES: list[Optimizer] = [
    SGD(0.1),
    SGD(0.1, weight_decay=0.3),
    SGD(0.1, momentum=0.9),
    SGD(0.1, momentum=0.8, nesterov=True, weight_decay=0.02),
    AdaGrad(0.05),
    RMSProp(0.01, alpha=0.8, eps=1e-3),
    AdaDelta(1.0, rho=0.8),
    Adam(0.01),
    Adam(0.1, betas=(0.5, 0.75), eps=1e-2),
    AdamW(0.01, weight_decay=0.5),
    AdaMax(0.02),
]
LIMITS: list[dict[str, float]] = [
    {},
    {"clip_value": 0.01},
    {"clip_norm": 0.05},
    {"max_norm": 0.4},
    {"clip_value": 0.02, "clip_norm": 0.1, "max_norm": 0.5},
]
PENALTIES: list[tuple[Penalty, ...]] = [(), (L1(0.01),), (L2(0.1),), (L2(0.1), L1(0.02), L2(0.05))]


def network(*penalties: Penalty, reduction: Any = "mean", **settings: Any) -> Network:
    """Return one of 1,483 parameters: more than a chunk of the native update, and no whole number of lanes."""
    layers = [Linear(40, name="a"), Tanh(), Linear(3, name="b")]
    return Network(
        layers, (33,), loss=CrossEntropy(reduction), regularization=penalties, **{"engine": "native", **settings}
    )


def samples(n: int = 50) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs whose first feature is always 0, and so is the gradient of its weights; and one-hot targets."""
    x = RNG(0).normal(size=(n, 33)).astype(np.float32)
    x[:, 0] = 0
    return x, np.eye(3, dtype=np.float32)[RNG(1).integers(0, 3, n)]


def start(net: Network, optimizer: Optimizer, weight: np.ndarray | None = None) -> NativeTraining:
    x, target = samples()
    training = net.native_training(
        optimizer, x, target, np.ones(50) if weight is None else weight, np.empty((50, 3), np.float32)
    )
    assert training is not None
    return training


def gradient(net: Network, rows: np.ndarray) -> np.ndarray:
    """Return what a step on these rows will take, bit for bit: once it is done, the old parameters lie there."""
    x, target = samples()
    return net.batch_gradient(x[rows], target[rows])[1].astype(np.float64)


def clipped(optimizer: Optimizer, g: np.ndarray) -> np.ndarray:
    if optimizer.clip_value is not None:
        g = np.minimum(np.maximum(g, -optimizer.clip_value), optimizer.clip_value)
    if optimizer.clip_norm is not None:
        g = g * min(1.0, optimizer.clip_norm / (np.sqrt((g**2).sum()) + 1e-6))
    return g


def limited(theta: np.ndarray, limit: float | None) -> np.ndarray:
    """Scale down every unit of the two weight arrays, which lie at 0 and, behind 40 biases, at 1,360."""
    theta = theta.copy()
    for first, units, incoming in ((0, 40, 33), (1360, 3, 40)):
        for unit in range(units):
            w = theta[first + unit * incoming :][:incoming]
            if limit is not None:
                w *= min(1.0, limit / np.sqrt((w**2).sum()))
    return theta


def assert_follows_the_formula(optimizer: Optimizer, steps: int = 12) -> None:
    """Hold a run against the formulas; they are given the run's own gradients, so that errors do not build up in g."""
    net = network()
    training = start(net, optimizer)
    theta, slots = net.flat_parameters.astype(np.float64), {}
    longest, largest = 0.0, 0.0
    for t in range(1, steps + 1):
        rate = float(optimizer.learning_rate) * (1 + t % 3)  # type: ignore[arg-type]
        rows = RNG(t).integers(0, 50, 20)
        g, before = clipped(optimizer, gradient(net, rows)), net.flat_parameters.copy()
        assert training.step(rows, 0, rate)[1:] == (True, True, True)
        np.testing.assert_array_equal(training.previous, before)
        after = next_theta(optimizer, theta, g, slots, rate, t)
        longest, largest = max(longest, abs(after - theta).max()), max(largest, abs(after).max())
        theta = limited(after, optimizer.max_norm)
        assert training.state.step == t
    assert longest > 1e-4
    # A step rounds θ, and its own change some ten times, each by half an ulp at most; slots carry errors on.
    tolerance = steps * EPS * (largest + 10 * longest)
    np.testing.assert_allclose(net.flat_parameters, theta, rtol=0, atol=tolerance)


@pytest.mark.parametrize("limits", LIMITS, ids=str)
@pytest.mark.parametrize("optimizer", RULES, ids=repr)
def test_every_rule_follows_its_formula(optimizer: Optimizer, limits: dict[str, float]) -> None:
    assert_follows_the_formula(replace(optimizer, **limits))


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize("optimizer", RULES, ids=repr)
def test_on_every_instruction_set(optimizer: Optimizer, isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_isa(monkeypatch, isa)
    assert_follows_the_formula(replace(optimizer, **LIMITS[-1]), steps=4)


def test_limits_that_bind_are_in_force() -> None:
    """The limits of these tests cut something off, and those without limits nothing."""
    net = network()
    g = gradient(net, np.arange(20))
    start(net, SGD(0.1)).step(np.arange(20), 0, 0.1)
    assert abs(g).max() > 0.02
    assert np.sqrt((g**2).sum()) > 0.1
    assert (np.linalg.norm(net.parameters["a.weight"], axis=1) > 0.5).any()


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("penalties", PENALTIES, ids=str)
def test_loss_and_gradient_are_those_of_float64_with_penalties(penalties: tuple[Penalty, ...], reduction: str) -> None:
    net = network(*penalties, reduction=reduction)
    net.parameters["a.weight"][3, 5] = 0  # sign 0 = 0
    exact = network(reduction=reduction, dtype="float64", engine="reference")
    exact.parameters = dict(net.parameters)
    x, target = samples()
    weight = RNG(2).uniform(0.5, 2, 50)
    training = start(net, SGD(0.1), weight)
    rows = RNG(3).integers(0, 50, 37)
    value, gradients = exact.loss_and_gradients(x[rows], target[rows], sample_weight=weight[rows])
    for penalty in penalties:
        for name in ("a.weight", "b.weight"):
            w = exact.parameters[name]
            value += penalty.strength * (abs(w).sum() if isinstance(penalty, L1) else 0.5 * (w**2).sum())
            gradients[name] = gradients[name] + penalty.strength * (np.sign(w) if isinstance(penalty, L1) else w)
    before, rate = {name: param.copy() for name, param in net.parameters.items()}, 2**10
    found, *_ = training.step(rows, 0, rate)
    assert found == pytest.approx(value, rel=1e-6)
    for name, after in net.parameters.items():
        taken = (before[name] - after) / rate
        np.testing.assert_allclose(taken, gradients[name], rtol=1e-5, atol=1e-5 * abs(gradients[name]).max())


def digest(*arrays: np.ndarray) -> str:
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


@pytest.mark.parametrize("optimizer", RULES, ids=repr)
def test_the_same_bits_on_any_number_of_threads(optimizer: Optimizer) -> None:
    found = set()
    for count in (1, 2, 3, 4):
        net = network(L1(0.01), L2(0.1))
        net.n_jobs = count
        training = start(net, replace(optimizer, **LIMITS[-1]))
        values = [training.step(RNG(t).integers(0, 50, 41), 0, 0.05)[0] for t in range(5)]
        found.add(digest(net.flat_parameters, np.array(values), *training.state.to_tensors().values()))
    assert len(found) == 1


def test_a_run_goes_on_from_its_state() -> None:
    batches = [RNG(t).integers(0, 50, 20) for t in range(6)]

    def run(net: Network, some: list[np.ndarray], state: dict[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
        training = start(net, Adam(0.01))
        if state is not None:
            training.state.step = int(state["step"])
            for name, value in training.state.slots["parameters"].items():
                value[...] = state[f"parameters.{name}"]
        for rows in some:
            training.step(rows, 0, 0.01)
        return training.state.to_tensors()

    whole = network()
    run(whole, batches)
    halves = network()
    state = run(halves, batches[:3])
    again = halves.copy()
    run(again, batches[3:], state)
    assert digest(again.flat_parameters) == digest(whole.flat_parameters) != digest(halves.flat_parameters)


# Both engines.

LAYERS = [Conv2d(4, 3), Tanh(), MaxPool2d(2), Flatten(), Linear(3)]


@pytest.mark.parametrize("optimizer", [*OPTIMIZERS.values(), SGD(0.1, weight_decay=0.1, max_norm=0.7)], ids=repr)
def test_training_ends_where_it_does_on_the_reference_engine(optimizer: Optimizer) -> None:
    x, y = RNG(4).normal(size=(70, 1, 8, 8)), RNG(5).integers(0, 3, 70)
    ends = []
    for engine, dtype in (("native", "float32"), ("reference", "float64")):
        net = Network(LAYERS, (1, 8, 8), seed=2, engine=engine, dtype=dtype, regularization=[L2(0.01)])
        history = net.fit(x, y, epochs=2, batch_size=16, optimizer=replace(optimizer, clip_norm=1.0), verbose=0)
        ends.append((net.flat_parameters.copy(), history["loss"], history["accuracy"]))
    # Where a gradient all but vanishes, the rules that divide by its size blow float32's rounding up.
    np.testing.assert_allclose(ends[0][0], ends[1][0], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(ends[0][1], ends[1][1], rtol=1e-4)
    assert ends[0][2] == ends[1][2]


# What NumPy must have a part in.


@dataclass(frozen=True)
class Doubled(SGD):
    """Changes the equation; the native rule of its base would leave the 2 out."""

    def update(self, param: np.ndarray, grad: np.ndarray, slots: Any, learning_rate: float, step: int) -> None:
        super().update(param, grad, slots, 2 * learning_rate, step)


@dataclass(frozen=True)
class Twofold(SGD):
    """Changes the step around the equation."""

    def apply(self, *args: Any, **settings: Any) -> None:
        super().apply(*args, **settings)
        super().apply(*args, **settings)


@dataclass(frozen=True)
class Labelled(SGD):
    """Changes nothing that is computed."""

    label: str = ""


@dataclass(frozen=True)
class Half(L2):
    """Changes a penalty's gradient."""

    def gradient(self, weight: np.ndarray) -> np.ndarray:
        return 0.5 * super().gradient(weight)


@dataclass(frozen=True)
class OwnPenalty(Penalty):
    """J += λ Σθ."""

    def value(self, weight: np.ndarray) -> float:
        return self.strength * float(weight.sum())

    def gradient(self, weight: np.ndarray) -> np.ndarray:
        return np.full_like(weight, self.strength)


@pytest.mark.parametrize(
    ("optimizer", "penalty", "change"),
    [
        (Doubled(0.1), None, lambda w, g: -0.2 * g),
        (Twofold(0.1), None, lambda w, g: -0.2 * g),
        (SGD(0.1), Half(0.3), lambda w, g: -0.1 * (g + 0.15 * w)),
        (SGD(0.1), OwnPenalty(0.3), lambda w, g: -0.1 * (g + 0.3)),
    ],
)
def test_what_is_changed_is_computed_as_it_was_changed(optimizer: Any, penalty: Penalty | None, change: Any) -> None:
    net = network(*(() if penalty is None else (penalty,)))
    x, target = samples()
    before = net.parameters["a.weight"].copy()
    _, gradients = network().loss_and_gradients(x, target)
    net.fit(x, target, epochs=1, batch_size=50, optimizer=optimizer, verbose=0)
    expected = change(before, gradients["a.weight"])
    np.testing.assert_allclose(net.parameters["a.weight"] - before, expected, rtol=1e-4, atol=1e-6)


def test_who_takes_the_native_step() -> None:
    x, target = samples()
    outputs, ones = np.empty((50, 3), np.float32), np.ones(50)

    def native(net: Network, optimizer: Optimizer) -> bool:
        return net.native_training(optimizer, x, target, ones, outputs) is not None

    assert all(native(network(L1(0.1), L2(0.1)), optimizer) for optimizer in RULES)
    assert native(network(), Labelled(0.1, label="mine"))
    assert not native(network(), Doubled(0.1))
    assert not native(network(), Twofold(0.1))
    assert not native(network(L2(0.1), Half(0.1)), SGD(0.1))
    assert not native(network(OwnPenalty(0.1)), SGD(0.1))
    assert not native(network(engine="reference"), SGD(0.1))


def test_a_learning_rate_that_is_none() -> None:
    net = network()
    training, before = start(net, SGD(0.1)), net.flat_parameters.copy()
    with pytest.raises(ConfigError, match=r"SGD: learning_rate must be a finite number of at least 0; got -0\.5"):
        training.step(np.arange(3), 0, -0.5)
    np.testing.assert_array_equal(net.flat_parameters, before)
