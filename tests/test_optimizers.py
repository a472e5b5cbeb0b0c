"""Optimizers: a few steps of every rule worked by hand, clipping, max-norm, state, and bad settings."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields

import numpy as np
import pytest
from harness import awkward

from pellucid.description import from_json, to_json
from pellucid.errors import ConfigError, PellucidError, ShapeError
from pellucid.optimizers import (
    OPTIMIZERS,
    SGD,
    AdaDelta,
    AdaGrad,
    Adam,
    AdaMax,
    AdamW,
    Optimizer,
    OptimizerState,
    RMSProp,
    clip_by_norm,
    clip_by_value,
    limit_norms,
    resolve_optimizer,
)
from pellucid.schedules import Cosine, LinearWarmup

EVERY = [*OPTIMIZERS.values(), SGD(weight_decay=0.1)]

# optimizer, the gradients of three steps, θ before them and after each, worked out on paper
WORKED = [
    (SGD(0.1), (0.5, -1.0, 2.0), (1.0, 0.95, 1.05, 0.85)),
    # g + ½θ: 1, −0.55, 2.4775
    (SGD(0.1, weight_decay=0.5), (0.5, -1.0, 2.0), (1.0, 0.9, 0.955, 0.70725)),
    # v: 0.5, −0.55, 1.505
    (SGD(0.1, momentum=0.9), (0.5, -1.0, 2.0), (1.0, 0.95, 1.005, 0.8545)),
    # g + 0.9v: 0.95, −1.495, 3.3545
    (SGD(0.1, momentum=0.9, nesterov=True), (0.5, -1.0, 2.0), (1.0, 0.905, 1.0545, 0.71905)),
    # g + ½θ: 1, −0.55, 2.4325; v: 1, 0.35, 2.7475
    (SGD(0.1, momentum=0.9, weight_decay=0.5), (0.5, -1.0, 2.0), (1.0, 0.9, 0.865, 0.59025)),
    # √s: 3, 5, 13
    (AdaGrad(1.0, eps=1.0), (3.0, -4.0, 12.0), (1.0, 1 / 4, 1 / 4 + 4 / 6, 1 / 4 + 4 / 6 - 12 / 14)),
    # s: 4, 3, 6.25
    (RMSProp(1.0, alpha=0.75, eps=1.0), (4.0, 0.0, -4.0), (1.0, -1 / 3, -1 / 3, -1 / 3 + 4 / 3.5)),
    # s: 8, 24, 15; u before each step: 0, 8/9, 4/9 + 68/45 = 88/45
    (
        AdaDelta(0.5, rho=0.5, eps=1.0),
        (4.0, math.sqrt(40), math.sqrt(6)),
        (
            1.0,
            1 / 3,
            1 / 3 - 0.5 * math.sqrt(40 * 17 / 9) / 5,
            1 / 3 - 0.5 * math.sqrt(40 * 17 / 9) / 5 - 0.5 * math.sqrt(6 * 133 / 45) / 4,
        ),
    ),
    # m: 1.5, 1.25, −1.375; v: 2.25, 1.9375, 5.453125; 1 − β₁ᵗ: 1/2, 3/4, 7/8; 1 − β₂ᵗ: 1/4, 7/16, 37/64
    (
        Adam(1.0, betas=(0.5, 0.75), eps=1.0),
        (3.0, 1.0, -4.0),
        (
            2.0,
            2 - 3 / 4,
            2 - 3 / 4 - (5 / 3) / (math.sqrt(31 / 7) + 1),
            2 - 3 / 4 - (5 / 3) / (math.sqrt(31 / 7) + 1) + (11 / 7) / (math.sqrt(349 / 37) + 1),
        ),
    ),
    # half of θ goes first: 2·½ − ¼·3/4, then that
    (
        AdamW(0.25, betas=(0.5, 0.75), eps=1.0, weight_decay=2.0),
        (3.0, 1.0),
        (2.0, 1 - 3 / 16, (1 - 3 / 16) / 2 - 0.25 * (5 / 3) / (math.sqrt(31 / 7) + 1)),
    ),
    # m: 1.5, 0.25, 2.125; u: 3.5, 2.625, 4.5; 1 − β₁ᵗ: 1/2, 3/4, 7/8
    (
        AdaMax(1.0, betas=(0.5, 0.75), eps=0.5),
        (3.0, -1.0, 4.0),
        (1.0, 1 - 6 / 7, 1 - 6 / 7 - 8 / 63, 1 - 6 / 7 - 8 / 63 - 34 / 63),
    ),
]


@pytest.mark.parametrize(("optimizer", "gradients", "path"), WORKED, ids=lambda value: str(value)[:50])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-14), ("float32", 1e-6)])
def test_steps_worked_by_hand(optimizer, gradients, path, dtype, tolerance):
    param = np.full((2, 3), path[0], dtype)
    state = optimizer.start({"0.weight": param})
    for step, (gradient, expected) in enumerate(zip(gradients, path[1:], strict=True), start=1):
        optimizer.apply(
            {"0.weight": param}, {"0.weight": awkward(np.full((2, 3), gradient, dtype))}, state, optimizer.learning_rate
        )
        np.testing.assert_allclose(param, np.full((2, 3), expected), rtol=0, atol=tolerance)
        assert state.step == step
    assert param.dtype == dtype
    assert {slot.dtype for slot in state.slots["0.weight"].values()} <= {np.dtype(dtype)}


@pytest.mark.parametrize("optimizer", EVERY, ids=repr)
def test_every_entry_of_every_array_takes_its_own_way(optimizer):
    """A step on arrays equals the steps on each number alone."""
    rng = np.random.default_rng(3)
    shapes = {"a.weight": (3, 2, 2, 1), "a.bias": (3,), "b.weight": (1, 17)}
    whole = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    single = {(name, i): np.array([v]) for name, p in whole.items() for i, v in enumerate(p.ravel())}
    state, single_state = optimizer.start(whole), optimizer.start(single)
    for _ in range(3):
        grads = {name: rng.normal(size=shape) for name, shape in shapes.items()}
        optimizer.apply(whole, grads, state, 0.01)
        pieces = {(name, i): np.array([v]) for name, g in grads.items() for i, v in enumerate(g.ravel())}
        optimizer.apply(single, pieces, single_state, 0.01)
    for name, param in whole.items():
        np.testing.assert_array_equal(param.ravel(), [single[name, i][0] for i in range(param.size)])


@pytest.mark.parametrize("optimizer", EVERY, ids=repr)
def test_a_gradient_of_zero_from_the_start_moves_nothing(optimizer):
    """Dead units: no 0/0, and nothing but weight decay moves them."""
    decay = getattr(optimizer, "weight_decay", 0.0)
    params = {"w": np.array([2.0])}
    optimizer.apply(params, {"w": np.zeros(1)}, optimizer.start(params), 0.5)
    np.testing.assert_allclose(params["w"], [2.0 * (1 - 0.5 * decay)], rtol=1e-15)


def test_float32_is_rounded_at_every_operation():
    rng = np.random.default_rng(0)
    param, grad = rng.normal(size=(2, 1000)).astype(np.float32)
    expected = [np.float32(p) - np.float32(0.1) * np.float32(g) for p, g in zip(param, grad, strict=True)]
    SGD().apply({"w": param}, {"w": grad}, OptimizerState(), 0.1)
    np.testing.assert_array_equal(param, expected)


@pytest.mark.parametrize("optimizer", EVERY, ids=repr)
def test_numpy_scalars_change_no_bit_of_float32(optimizer):
    settings = {f.name: getattr(optimizer, f.name) for f in fields(optimizer)}
    paths = []
    for scalar in (float, np.float64):
        other = type(optimizer)(**{k: scalar(v) if isinstance(v, float) else v for k, v in settings.items()})
        rng = np.random.default_rng(1)
        params = {"w": rng.normal(size=500).astype(np.float32)}
        state = other.start(params)
        for _ in range(3):
            grads = {"w": rng.normal(size=500).astype(np.float32)}
            other.apply(params, grads, state, scalar(0.1))
        paths.append(params["w"])
    np.testing.assert_array_equal(*paths)


def test_the_learning_rate_of_the_moment_counts():
    params = {"w": np.array([1.0])}
    SGD(Cosine(5.0)).apply(params, {"w": np.array([2.0])}, OptimizerState(), np.float64(0.25))
    assert params["w"][0] == 0.5


def test_clip_by_value_cuts_every_entry():
    grads = {"w": np.array([[-7.0, 0.5], [3.0, np.nan]], np.float32), "b": np.array([2.0])}
    clipped = clip_by_value(grads, 2.5)
    np.testing.assert_array_equal(clipped["w"], [[-2.5, 0.5], [2.5, np.nan]])
    np.testing.assert_array_equal(clipped["b"], [2.0])
    assert clipped["w"].dtype == np.float32
    np.testing.assert_array_equal(grads["w"], [[-7.0, 0.5], [3.0, np.nan]])


def test_clip_by_norm_takes_all_gradients_as_one_vector():
    grads = {"w": np.array([[3.0], [0.0]]), "b": np.array([-4.0])}
    clipped = clip_by_norm(grads, 1.0)
    np.testing.assert_allclose(clipped["w"], [[0.6], [0.0]], rtol=3e-7)
    np.testing.assert_allclose(clipped["b"], [-0.8], rtol=3e-7)
    assert float(grads["b"][0]) == -4.0
    np.testing.assert_array_equal(clip_by_norm(grads, 5.1)["b"], [-4.0])


def test_the_norm_does_not_overflow_in_float32():
    clipped = clip_by_norm({"w": np.array([3e30, 4e30], np.float32)}, 1.0)["w"]
    np.testing.assert_allclose(clipped, [0.6, 0.8], rtol=1e-6)
    assert clipped.dtype == np.float32


def test_no_gradients_have_norm_zero():
    assert clip_by_norm({}, 1.0) == {}
    np.testing.assert_array_equal(clip_by_norm({"w": np.zeros(3)}, 1.0)["w"], np.zeros(3))


def test_values_are_clipped_before_the_norm():
    """(3, −40) becomes (3, −4), of norm 5, then (0.6, −0.8)."""
    params, grads = {"w": np.zeros(2)}, {"w": np.array([3.0, -40.0])}
    SGD(clip_value=4.0, clip_norm=1.0).apply(params, grads, OptimizerState(), 1.0)
    np.testing.assert_allclose(params["w"], [-0.6, 0.8], rtol=3e-7)
    np.testing.assert_array_equal(grads["w"], [3.0, -40.0])


def test_limit_norms_scales_the_units_that_exceed_it():
    weight = np.array([[[3.0, 0.0], [0.0, -4.0]], [[0.3, 0.0], [0.4, 0.0]], [[0.0, 0.0], [0.0, 0.0]]], np.float32)
    limit_norms(weight, 1.0)
    np.testing.assert_allclose(weight[0], [[0.6, 0.0], [0.0, -0.8]], rtol=1e-7)
    np.testing.assert_array_equal(weight[1], np.array([[0.3, 0.0], [0.4, 0.0]], np.float32))
    np.testing.assert_array_equal(weight[2], 0.0)


def test_max_norm_bounds_the_given_parameters_after_the_update():
    params = {"0.weight": np.zeros((2, 2)), "0.bias": np.zeros(2)}
    grads = {"0.weight": np.array([[-6.0, 8.0], [1.0, 0.0]]), "0.bias": np.array([-9.0, 9.0])}
    SGD(max_norm=2.0).apply(params, grads, OptimizerState(), 1.0, max_norm_on=[params["0.weight"]])
    np.testing.assert_allclose(params["0.weight"], [[1.2, -1.6], [-1.0, 0.0]], rtol=1e-15)
    np.testing.assert_array_equal(params["0.bias"], [9.0, -9.0])


def test_a_state_continues_where_it_was_saved():
    """The third step of Nesterov's rule and of Adam in WORKED, after a rest between the second and the third."""
    for optimizer, gradients, path in (WORKED[3], WORKED[8]):
        params = {"conv1.weight": np.array([path[0]])}
        state = optimizer.start(params)
        for gradient in gradients[:2]:
            optimizer.apply(params, {"conv1.weight": np.array([gradient])}, state, optimizer.learning_rate)
        tensors = state.to_tensors()
        optimizer.apply(params, {"conv1.weight": np.array([gradients[2]])}, state, optimizer.learning_rate)
        for value in tensors.values():
            value.flags.writeable = False
        restored, params = OptimizerState.from_tensors(tensors), {"conv1.weight": np.array([path[2]])}
        assert restored.step == 2
        optimizer.apply(params, {"conv1.weight": np.array([gradients[2]])}, restored, optimizer.learning_rate)
        assert params["conv1.weight"][0] == pytest.approx(path[3], abs=1e-14)


def test_a_state_names_its_tensors():
    state = Adam().start({"conv1.weight": np.zeros((2, 3), np.float32)})
    tensors = state.to_tensors()
    assert {name: (t.shape, t.dtype.name) for name, t in tensors.items()} == {
        "step": ((), "int64"),
        "conv1.weight.mean": ((2, 3), "float32"),
        "conv1.weight.square_mean": ((2, 3), "float32"),
    }
    assert list(SGD().start({"w": np.zeros(3)}).to_tensors()) == ["step"]


@dataclass(frozen=True)
class SignDescent(Optimizer):
    """A user's own: θ ← θ − η sign g."""

    def update(self, param, grad, slots, learning_rate, step):
        param -= learning_rate * np.sign(grad)


def test_an_optimizer_of_ones_own_needs_update_only():
    params = {"w": np.array([1.0, 2.0, 3.0])}
    mine = SignDescent(0.5, clip_value=1.0)
    mine.apply(params, {"w": np.array([-9.0, 0.0, 0.1])}, mine.start(params), 0.5)
    np.testing.assert_array_equal(params["w"], [1.5, 2.0, 2.5])
    with pytest.raises(NotImplementedError, match="Optimizer does not define update"):
        Optimizer(0.1).apply(params, params, OptimizerState(), 0.1)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sgd", SGD(learning_rate=0.1, momentum=0.0, nesterov=False, weight_decay=0.0)),
        ("momentum", SGD(learning_rate=0.1, momentum=0.9)),
        ("nesterov", SGD(learning_rate=0.1, momentum=0.9, nesterov=True)),
        ("adagrad", AdaGrad(learning_rate=0.01, eps=1e-10)),
        ("rmsprop", RMSProp(learning_rate=0.001, alpha=0.9, eps=1e-8)),
        ("adadelta", AdaDelta(learning_rate=1.0, rho=0.9, eps=1e-6)),
        ("adam", Adam(learning_rate=0.001, betas=(0.9, 0.999), eps=1e-8)),
        ("adamax", AdaMax(learning_rate=0.002, betas=(0.9, 0.999), eps=1e-8)),
        ("adamw", AdamW(learning_rate=0.001, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)),
    ],
)
def test_names(name, expected):
    assert resolve_optimizer(name) == expected
    changed = resolve_optimizer(name, 0.5)
    assert changed.learning_rate == 0.5
    assert to_json(changed) == {**to_json(expected), "learning_rate": 0.5}


def test_an_object_is_taken_as_it_is():
    adam = Adam(LinearWarmup(Cosine(0.01), warmup_epochs=1))
    assert resolve_optimizer(adam) is adam
    assert resolve_optimizer("adam", Cosine(0.01)).learning_rate == Cosine(0.01)


def test_settings_survive_json():
    adam = AdamW(LinearWarmup(Cosine(0.01), warmup_epochs=1), betas=[0.8, 0.9], clip_norm=1, max_norm=3)
    data = json.loads(json.dumps(to_json(adam)))
    assert data["betas"] == [0.8, 0.9]
    assert data["learning_rate"]["then"] == {"type": "Cosine", "learning_rate": 0.01}
    assert from_json(data, Optimizer) == adam
    assert repr(adam) == (
        "AdamW(learning_rate=LinearWarmup(Cosine(0.01), warmup_epochs=1.0), betas=(0.8, 0.9), clip_norm=1.0, "
        "max_norm=3.0)"
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SGD(-0.1), "SGD: learning_rate must be a schedule or a finite number of at least 0; got -0.1"),
        (lambda: Adam("fast"), "Adam: learning_rate must be a schedule or a finite number of at least 0; got 'fast'"),
        (lambda: Adam(math.nan), "Adam: learning_rate must be a schedule or a finite number of at least 0; got nan"),
        (lambda: SGD(True), "SGD: learning_rate must be a schedule or a finite number of at least 0; got True"),
        (lambda: SGD(momentum=1.0), "SGD: momentum must be a finite number of at least 0 and below 1; got 1.0"),
        (lambda: SGD(momentum=-0.1), "SGD: momentum must be a finite number of at least 0 and below 1; got -0.1"),
        (lambda: SGD(nesterov=True), "SGD: nesterov=True needs a momentum above 0, e.g. momentum=0.9"),
        (lambda: SGD(weight_decay=-1), "SGD: weight_decay must be a finite number of at least 0; got -1"),
        (lambda: SGD(clip_norm=0), "SGD: clip_norm must be a finite number above 0; got 0"),
        (lambda: SGD(clip_value=math.inf), "SGD: clip_value must be a finite number above 0; got inf"),
        (lambda: SGD(max_norm=-2), "SGD: max_norm must be a finite number above 0; got -2"),
        (lambda: AdaGrad(eps=0.0), "AdaGrad: eps must be a finite number above 0; got 0.0"),
        (lambda: RMSProp(alpha=1), "RMSProp: alpha must be a finite number of at least 0 and below 1; got 1"),
        (lambda: RMSProp(eps=-1), "RMSProp: eps must be a finite number above 0; got -1"),
        (lambda: AdaDelta(rho=1.5), "AdaDelta: rho must be a finite number of at least 0 and below 1; got 1.5"),
        (lambda: AdaDelta(eps=None), "AdaDelta: eps must be a finite number above 0; got None"),
        (lambda: Adam(betas=(0.9, 1.0)), "Adam: betas must be a finite number of at least 0 and below 1; got 1.0"),
        (lambda: Adam(betas=0.9), "Adam: betas must be a pair such as (0.9, 0.999); got 0.9"),
        (lambda: Adam(eps=0), "Adam: eps must be a finite number above 0; got 0"),
        (lambda: AdaMax(betas=(0.9,)), "AdaMax: betas must be a pair such as (0.9, 0.999); got (0.9,)"),
        (lambda: AdaMax(eps=0), "AdaMax: eps must be a finite number above 0; got 0"),
        (lambda: AdamW(weight_decay=-1.0), "AdamW: weight_decay must be a finite number of at least 0; got -1.0"),
        (
            lambda: resolve_optimizer("sdg"),
            "no optimizer called 'sdg'; there are sgd, momentum, nesterov, adagrad, rmsprop, adadelta, adam, adamax, "
            "adamw",
        ),
        (
            lambda: resolve_optimizer(Adam(), 0.1),
            "optimizer=Adam() has its own learning rate, so learning_rate=0.1 cannot be given as well; put it in the "
            "object: Adam(learning_rate=0.1, ...)",
        ),
    ],
)
def test_settings_out_of_range(make, message):
    with pytest.raises(ConfigError) as caught:
        make()
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("grads", "kept_by", "rate", "kind", "message"),
    [
        (
            {"w": np.zeros((1, 3))},
            Adam(),
            0.1,
            ShapeError,
            "Adam: 'w' has shape (2, 3), its gradient has (1, 3)",
        ),
        (
            {"v": np.zeros((2, 3))},
            Adam(),
            0.1,
            ShapeError,
            "Adam: parameters and gradients differ in ['v', 'w']; give one gradient for every parameter",
        ),
        (
            {"w": np.ones((2, 3))},
            SGD(momentum=0.9),
            0.1,
            ShapeError,
            "Adam: the state kept for 'w' is {'velocity': (2, 3)}, expected {'mean': (2, 3), 'square_mean': (2, 3)}; "
            "use the state that start() of this very optimizer gave for these parameters",
        ),
        (
            {"w": np.ones((2, 3))},
            Adam(),
            -0.1,
            ConfigError,
            "Adam: learning_rate must be a finite number of at least 0; got -0.1",
        ),
    ],
)
def test_a_step_that_does_not_fit_changes_nothing(grads, kept_by, rate, kind, message):
    params = {"w": np.ones((2, 3))}
    state = kept_by.start(params)
    with pytest.raises(PellucidError) as caught:
        Adam().apply(params, grads, state, rate)
    assert isinstance(caught.value, kind)
    assert str(caught.value) == message
    np.testing.assert_array_equal(params["w"], 1.0)
    assert state.step == 0
