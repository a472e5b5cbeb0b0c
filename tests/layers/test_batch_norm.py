import statistics
from itertools import product
from math import sqrt

import numpy as np
import pytest
from harness import assert_gradients, awkward

from pellucid import Network
from pellucid.errors import ConfigError, DataError, ShapeError
from pellucid.layers import Flatten
from pellucid.layers.batch_norm import BatchNorm, BatchNorm2d

RNG = np.random.default_rng


def run(layer, x, *, params=None, state=None, training=True):
    """Return y, saved, params and state of one forward pass, with coefficients that are neither 1 nor 0."""
    rng = RNG(99)
    if params is None:
        params = {
            k: (v + rng.normal(size=v.shape)).astype(x.dtype) for k, v in layer.init_params(x.shape[1:], rng).items()
        }
    if state is None:
        state = {k: v.astype(x.dtype) for k, v in layer.init_state(x.shape[1:]).items()}
    y, saved = layer.forward(params, x, state=state, training=training, rng=rng)
    return y, saved, params, state


def epelbaum(h, eps):
    """Return ĥ_f, σ̂²_f and h̃ of "Modification to Batch Normalization", loop by loop."""
    samples, maps, height, width = h.shape
    mean, variance, normalized = np.zeros(maps), np.zeros(maps), np.zeros(h.shape)
    for f in range(maps):
        pixels = list(product(range(samples), range(height), range(width)))
        for t, u, v in pixels:
            mean[f] += h[t, f, u, v] / (samples * height * width)
        for t, u, v in pixels:
            variance[f] += (h[t, f, u, v] - mean[f]) ** 2 / (samples * height * width)
        for t, u, v in pixels:
            normalized[t, f, u, v] = (h[t, f, u, v] - mean[f]) / sqrt(variance[f] + eps)
    return mean, variance, normalized


def grishin(z, eps):
    """Return μ, V and Z⁽²²⁾ of §18, Layer 21 to 22, for z (N, K)."""
    samples, units = z.shape
    mu, variance, normalized = np.zeros(units), np.zeros(units), np.zeros(z.shape)
    for s in range(units):
        mu[s] = sum(z[e, s] for e in range(samples)) / samples
        variance[s] = sum((z[e, s] - mu[s]) ** 2 for e in range(samples)) / samples
        for e in range(samples):
            normalized[e, s] = (z[e, s] - mu[s]) / sqrt(variance[s] + eps)
    return mu, variance, normalized


@pytest.mark.parametrize("shape", [(2, 1, 1, 1), (1, 2, 2, 3), (3, 2, 5, 4), (7, 3, 1, 2), (16, 4, 3, 3)])
@pytest.mark.parametrize("eps", [1e-5, 0.3])
def test_feature_maps_are_normalized_as_epelbaum_prints_it(shape, eps):
    x = 3 + 2 * RNG(1).normal(size=shape)
    y, _, params, _ = run(BatchNorm2d(eps=eps), x)
    _, _, normalized = epelbaum(x, eps)
    for c in range(shape[1]):
        expected = params["weight"][c] * normalized[:, c] + params["bias"][c]
        np.testing.assert_allclose(y[:, c], expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("shape", [(2, 1), (3, 5), (17, 4)])
@pytest.mark.parametrize("eps", [1e-5, 0.3])
def test_activations_are_normalized_as_grishin_prints_it(shape, eps):
    x = RNG(2).normal(size=shape) - 4
    y, _, params, _ = run(BatchNorm(eps=eps), x)
    _, _, normalized = grishin(x, eps)
    np.testing.assert_allclose(y, params["weight"] * normalized + params["bias"], rtol=1e-11, atol=1e-11)


def test_per_activation_normalizes_every_pixel_of_a_map_on_its_own():
    x = RNG(3).normal(size=(5, 2, 3, 4))
    y, _, params, _ = run(BatchNorm(), x)
    assert params["weight"].shape == params["bias"].shape == (2, 3, 4)
    for c, u, v in product(range(2), range(3), range(4)):
        _, _, normalized = grishin(x[:, c, u, v][:, None], 1e-5)
        expected = params["weight"][c, u, v] * normalized[:, 0] + params["bias"][c, u, v]
        np.testing.assert_allclose(y[:, c, u, v], expected, rtol=1e-11, atol=1e-11)


def test_backward_is_epelbaums_jacobian_contracted_with_delta():
    rng, eps, (samples, maps, height, width) = RNG(4), 1e-2, (3, 2, 2, 3)
    x, dy = rng.normal(size=(samples, maps, height, width)), rng.normal(size=(samples, maps, height, width))
    layer = BatchNorm2d(eps=eps)
    _, saved, params, _ = run(layer, x)
    dx, grads = layer.backward(params, saved, dy)

    _, variance, h = epelbaum(x, eps)
    m = samples * height * width
    expected, dgamma, dbeta = np.zeros(x.shape), np.zeros(maps), np.zeros(maps)
    for f in range(maps):
        places = list(product(range(samples), range(height), range(width)))
        for t, u, v in places:
            dgamma[f] += dy[t, f, u, v] * h[t, f, u, v]
            dbeta[f] += dy[t, f, u, v]
            for t2, u2, v2 in places:
                same = (t, u, v) == (t2, u2, v2)
                jacobian = (params["weight"][f] / sqrt(variance[f] + eps)) * (
                    same - (1 + h[t2, f, u2, v2] * h[t, f, u, v]) / m
                )
                expected[t, f, u, v] += jacobian * dy[t2, f, u2, v2]
    np.testing.assert_allclose(dx, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(grads["weight"], dgamma, rtol=1e-12)
    np.testing.assert_allclose(grads["bias"], dbeta, rtol=1e-12)


def test_backward_is_grishins_t_in_both_of_its_forms():
    rng, eps, (samples, units) = RNG(5), 1e-2, (5, 3)
    z, h = rng.normal(size=(samples, units)), rng.normal(size=(samples, units))
    layer = BatchNorm(eps=eps)
    _, saved, params, _ = run(layer, z)
    dx, grads = layer.backward(params, saved, h)

    mu, variance, normalized = grishin(z, eps)
    alpha = params["weight"]
    for e, s in product(range(samples), range(units)):
        root = sqrt(variance[s] + eps)
        double_sum = 0.0
        for e2 in range(samples):
            bracket = samples * (e == e2) / root - 1 / root - (z[e2, s] - mu[s]) / root**3 * (z[e, s] - mu[s])
            double_sum += h[e2, s] * alpha[s] * bracket / samples
        sum_h = sum(h[e2, s] for e2 in range(samples))
        sum_hz = sum(h[e2, s] * z[e2, s] for e2 in range(samples))
        long_form = (
            h[e, s] * alpha[s] / root
            - alpha[s] / root * sum_h / samples
            - alpha[s] * (z[e, s] - mu[s]) / root**3 * (sum_hz - mu[s] * sum_h) / samples
        )
        assert dx[e, s] == pytest.approx(double_sum, rel=1e-11, abs=1e-13)
        assert dx[e, s] == pytest.approx(long_form, rel=1e-11, abs=1e-13)
    for s in range(units):
        assert grads["weight"][s] == pytest.approx(sum(h[e, s] * normalized[e, s] for e in range(samples)), rel=1e-12)
        assert grads["bias"][s] == pytest.approx(sum(h[e, s] for e in range(samples)), rel=1e-12)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", [BatchNorm2d, BatchNorm])
def test_gradients_of_random_maps(kind, training):
    rng = RNG(6)
    for trial in range(60):
        shape = tuple(int(n) for n in (rng.integers(1, 5), rng.integers(1, 6), rng.integers(1, 6)))
        batch = int(rng.integers(3, 8))
        assert_gradients(kind(eps=0.01), shape, seed=trial, batch=batch, training=training)


@pytest.mark.parametrize("training", [True, False])
def test_gradients_of_random_vectors(training):
    rng = RNG(7)
    for trial in range(60):
        assert_gradients(
            BatchNorm(eps=0.01),
            (int(rng.integers(1, 20)),),
            seed=trial,
            batch=int(rng.integers(2, 9)),
            training=training,
        )


@pytest.mark.parametrize("kind", [BatchNorm2d, BatchNorm])
def test_exponential_running_statistics_by_hand(kind):
    # One unit, three batches of two: means 2, 6, 0; unbiased variances 2, 8, 18.
    layer = kind(momentum=0.25)
    state = layer.init_state((1, 1, 1))
    seen = []
    for batch in ([1.0, 3.0], [4.0, 8.0], [-3.0, 3.0]):
        run(layer, np.reshape(batch, (2, 1, 1, 1)), state=state)
        seen.append((state["running_mean"].item(), state["running_var"].item(), state["num_batches"].item()))
    assert seen == [(0.5, 1.25, 1), (1.875, 2.9375, 2), (1.40625, 6.703125, 3)]


@pytest.mark.parametrize("kind", [BatchNorm2d, BatchNorm])
def test_cumulative_running_statistics_by_hand(kind):
    layer = kind(running="cumulative")
    state = layer.init_state((1, 1, 1))
    seen = []
    for batch in ([1.0, 3.0], [4.0, 8.0], [-2.0, 2.0]):
        run(layer, np.reshape(batch, (2, 1, 1, 1)), state=state)
        seen.append((state["running_mean"].item(), state["running_var"].item(), state["num_batches"].item()))
    assert seen[:2] == [(2.0, 2.0, 1), (4.0, 5.0, 2)]
    assert seen[2] == pytest.approx((8 / 3, 6.0, 3), rel=1e-15)


def test_cumulative_statistics_are_epelbaums_recursion_with_the_factor_of_all_values():
    rng, layer, (samples, height, width) = RNG(8), BatchNorm2d(running="cumulative"), (3, 2, 4)
    m = samples * height * width
    state = layer.init_state((2, height, width))
    expectation, variance = np.zeros(2), np.zeros(2)
    for e in range(6):
        x = rng.normal(e, 1 + e, size=(samples, 2, height, width))
        run(layer, x, state=state)
        mean, biased, _ = epelbaum(x, 1e-5)
        expectation = (e * expectation + mean) / (e + 1)
        variance = (e * variance + biased) / (e + 1)
    np.testing.assert_allclose(state["running_mean"], expectation, rtol=1e-13)
    np.testing.assert_allclose(state["running_var"], m / (m - 1) * variance, rtol=1e-13)


def test_epelbaums_printed_variance_factor_is_not_the_unbiased_one():
    x = RNG(9).normal(size=(2, 1, 3, 3))
    _, _, _, state = run(BatchNorm2d(running="cumulative"), x)
    _, biased, _ = epelbaum(x, 1e-5)
    unbiased = statistics.variance(x.ravel().tolist())
    assert state["running_var"].item() == pytest.approx(unbiased, rel=1e-13)
    printed = 2 / (2 - 1) * biased[0]
    assert printed / unbiased == pytest.approx(2 * 17 / 18, rel=1e-13)


@pytest.mark.parametrize("kind", [BatchNorm2d, BatchNorm])
def test_inference_uses_running_statistics_and_leaves_them_alone(kind):
    rng, layer = RNG(10), kind(eps=0.01)
    x, dy = rng.normal(size=(1, 2, 3, 2)), rng.normal(size=(1, 2, 3, 2))
    state = layer.init_state((2, 3, 2))
    state["running_mean"] += rng.normal(size=state["running_mean"].shape)
    state["running_var"] += rng.random(size=state["running_var"].shape)
    before = {name: value.copy() for name, value in state.items()}
    y, saved, params, _ = run(layer, x, state=state, training=False)
    dx, grads = layer.backward(params, saved, dy)

    dweight, dbias = np.zeros(params["weight"].shape), np.zeros(params["bias"].shape)
    for c, u, v in product(range(2), range(3), range(2)):
        at = (c,) if kind is BatchNorm2d else (c, u, v)
        root = sqrt(state["running_var"][at] + 0.01)
        normalized = (x[0, c, u, v] - state["running_mean"][at]) / root
        assert y[0, c, u, v] == pytest.approx(params["weight"][at] * normalized + params["bias"][at], rel=1e-12)
        assert dx[0, c, u, v] == pytest.approx(params["weight"][at] / root * dy[0, c, u, v], rel=1e-12)
        dweight[at] += dy[0, c, u, v] * normalized
        dbias[at] += dy[0, c, u, v]
    np.testing.assert_allclose(grads["weight"], dweight, rtol=1e-12)
    np.testing.assert_allclose(grads["bias"], dbias, rtol=1e-12)
    for name, value in before.items():
        np.testing.assert_array_equal(state[name], value)


@pytest.mark.parametrize("kind", [BatchNorm2d, BatchNorm])
@pytest.mark.parametrize("offset", [0.0, 1e4, -1e6])
def test_a_big_offset_costs_float32_no_accuracy(kind, offset):
    # Steps of 1/16 are exact in float32 up to a million, so the same numbers can be had in float64.
    x = offset + RNG(11).integers(-40, 40, size=(64, 2, 4, 4)) / 16
    narrow = x.astype(np.float32)
    assert (narrow == x).all()
    y, saved, params, state = run(kind(), narrow)
    assert y.dtype == state["running_var"].dtype == np.float32
    over = (0, 2, 3) if kind is BatchNorm2d else 0
    mean, variance = x.mean(axis=over, keepdims=True), x.var(axis=over, keepdims=True)
    gamma, beta = (params[k].astype(float).reshape(mean.shape) for k in ("weight", "bias"))
    expected = gamma * (x - mean) / np.sqrt(variance + 1e-5) + beta
    np.testing.assert_allclose(y, expected, rtol=2e-6, atol=2e-6)
    unbiased = x.var(axis=over, ddof=1)
    np.testing.assert_allclose(state["running_var"], 0.9 + 0.1 * unbiased, rtol=1e-6)
    dx, _ = kind().backward(params, saved, np.ones_like(y))
    assert dx.dtype == np.float32
    assert abs(dx).max() < 1e-5


@pytest.mark.parametrize("kind", [BatchNorm2d, BatchNorm])
def test_a_constant_batch_gives_the_bias(kind):
    x = np.full((3, 2, 2, 2), 7.25, np.float32)
    y, saved, params, state = run(kind(running="cumulative"), x)
    spread = params["bias"].reshape(1, 2, *((1, 1) if kind is BatchNorm2d else (2, 2)))
    np.testing.assert_array_equal(y, np.broadcast_to(spread, y.shape))
    assert (state["running_var"] == 0).all()
    dx, _ = kind().backward(params, saved, x)
    assert np.isfinite(dx).all()


@pytest.mark.parametrize("kind", [BatchNorm2d, BatchNorm])
def test_read_only_strided_arrays_give_the_same_and_stay_the_same(kind):
    rng, layer = RNG(12), kind()
    x, dy = rng.normal(size=(4, 2, 3, 5)), rng.normal(size=(4, 2, 3, 5))
    y, saved, params, _ = run(layer, x)
    dx, grads = layer.backward(params, saved, dy)
    rough = awkward(x)
    y2, saved2, _, _ = run(layer, rough, params={k: awkward(v) for k, v in params.items()})
    dx2, grads2 = layer.backward(params, saved2, awkward(dy))
    np.testing.assert_allclose(y2, y, rtol=1e-12)
    np.testing.assert_allclose(dx2, dx, rtol=1e-11, atol=1e-13)
    for key in grads:
        np.testing.assert_allclose(grads2[key], grads[key], rtol=1e-12)
    np.testing.assert_array_equal(rough, x)


def test_in_a_network_training_moves_the_statistics_that_prediction_uses():
    net = Network([BatchNorm(momentum=0.5, eps=1.0, name="bn")], (1,), loss="squared_error", dtype="float64")
    net.loss_and_gradients([[0.0], [4.0]], [[0.0], [0.0]])  # mean 2, unbiased variance 8
    assert {k: v.tolist() for k, v in net.state.items()} == {
        "bn.running_mean": [1.0],
        "bn.running_var": [4.5],
        "bn.num_batches": [1.0],
    }
    net.parameters = {"bn.weight": [3.0], "bn.bias": [0.25]}
    assert net.predict([[5.0]]).item() == pytest.approx(3 * (5 - 1) / sqrt(5.5) + 0.25, rel=1e-15)
    net.trace([[1.0], [9.0]], [[0.0], [0.0]])
    assert net.state["bn.num_batches"].item() == 1


def test_shapes_of_parameters_state_and_output():
    assert BatchNorm2d().output_shape((3, 4, 5)) == (3, 4, 5)
    assert BatchNorm().output_shape((7,)) == (7,)
    for layer, shape, expected in (
        (BatchNorm2d(), (3, 4, 5), (3,)),
        (BatchNorm(), (3, 4, 5), (3, 4, 5)),
        (BatchNorm(), (7,), (7,)),
    ):
        params, state = layer.init_params(shape, RNG(0)), layer.init_state(shape)
        assert {k: v.shape for k, v in params.items()} == {"weight": expected, "bias": expected}
        assert (params["weight"] == 1).all()
        assert (params["bias"] == 0).all()
        assert {k: v.shape for k, v in state.items()} == {
            "running_mean": expected,
            "running_var": expected,
            "num_batches": (1,),
        }
        assert (state["running_mean"] == 0).all()
        assert (state["running_var"] == 1).all()
        assert state["num_batches"] == 0


@pytest.mark.parametrize(
    ("layer", "x"),
    [(BatchNorm2d(), np.ones((1, 3, 1, 1))), (BatchNorm(), np.ones((1, 4))), (BatchNorm(), np.ones((1, 2, 3, 3)))],
)
def test_one_value_per_statistic_cannot_be_trained_on(layer, x):
    state = layer.init_state(x.shape[1:])
    with pytest.raises(DataError) as error:
        run(layer, x, state=state)
    assert str(error.value) == (
        f"{layer!r}: the batch has shape {x.shape}, a single value for each statistic, which has no variance; "
        "train with batches of two samples or more (a last batch of one sample counts too)"
    )
    assert (state["running_mean"] == 0).all()
    assert (state["running_var"] == 1).all()
    assert state["num_batches"] == 0
    y, _, params, _ = run(layer, x, state=state, training=False)
    spread = params["weight"] / sqrt(1 + 1e-5) + params["bias"]
    np.testing.assert_allclose(
        y, np.broadcast_to(spread.reshape(1, *spread.shape, *(1,) * (x.ndim - 1 - spread.ndim)), y.shape)
    )


def test_feature_maps_are_asked_for():
    with pytest.raises(ShapeError, match=r"BatchNorm2d\(\) takes feature maps of shape \(C, H, W\).*has shape \(9,\)"):
        Network([Flatten(), BatchNorm2d()], (1, 3, 3))


@pytest.mark.parametrize("kind", [BatchNorm2d, BatchNorm])
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"eps": 0.0}, "eps must be finite and positive; got 0.0"),
        ({"eps": -1e-5}, "eps must be finite and positive; got -1e-05"),
        ({"eps": float("nan")}, "eps must be finite and positive; got nan"),
        ({"momentum": 1.5}, "momentum must lie between 0 and 1; got 1.5"),
        ({"momentum": -0.1}, "momentum must lie between 0 and 1; got -0.1"),
        ({"running": "simple"}, "running must be one of ('exponential', 'cumulative'); got 'simple'"),
    ],
)
def test_settings_out_of_range(kind, settings, message):
    with pytest.raises(ConfigError) as error:
        kind(**settings)
    assert str(error.value).endswith(message)
    assert str(error.value).startswith(kind.__name__)
