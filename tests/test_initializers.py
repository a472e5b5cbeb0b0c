from math import sqrt

import numpy as np
import pytest

from pellucid.errors import ConfigError
from pellucid.initializers import (
    INITIALIZERS,
    Glorot,
    He,
    Initializer,
    LeCun,
    Orthogonal,
    Uniform,
    Zeros,
    resolve_initializer,
)

RNG = np.random.default_rng
FAN_IN, FAN_OUT = 150, 50
SHAPE = (200, 6, 25, 10)  # 300,000 draws: the relative error of their variance is about √(2/300000) = 0.3 %
VARIANCES = {He: 2 / 150, Glorot: 2 / 200, LeCun: 1 / 150}


@pytest.mark.parametrize("kind", VARIANCES)
@pytest.mark.parametrize(("distribution", "kurtosis"), [("normal", 3.0), ("uniform", 1.8)])
def test_moments_of_scaled_draws(kind, distribution, kurtosis):
    w = kind(distribution)(SHAPE, FAN_IN, FAN_OUT, RNG(0))
    sigma = sqrt(VARIANCES[kind])
    assert w.shape == SHAPE
    assert w.dtype == np.float64
    assert abs(w.mean()) < 4 * sigma / sqrt(w.size)
    assert w.var() == pytest.approx(sigma**2, rel=0.015)
    assert (w**4).mean() / w.var() ** 2 == pytest.approx(kurtosis, rel=0.03)
    if distribution == "uniform":
        assert 0.999 * sigma * sqrt(3) < abs(w).max() <= sigma * sqrt(3)


def test_he_by_fan_out():
    w = He(mode="fan_out")(SHAPE, FAN_IN, FAN_OUT, RNG(0))
    assert w.var() == pytest.approx(2 / FAN_OUT, rel=0.015)
    with pytest.raises(ConfigError, match=r"He\(mode='fan'\): mode must be 'fan_in' or 'fan_out'"):
        He(mode="fan")


def test_normal_is_the_default():
    for kind in VARIANCES:
        assert kind() == kind("normal")
        assert abs(kind()(SHAPE, FAN_IN, FAN_OUT, RNG(1))).max() > 3.5 * sqrt(VARIANCES[kind])


@pytest.mark.parametrize("limit", [None, 0.25, 0.0])
def test_uniform_fills_its_interval(limit):
    w = Uniform(limit)(SHAPE, FAN_IN, FAN_OUT, RNG(2))
    bound = 1 / sqrt(FAN_IN) if limit is None else limit
    assert abs(w).max() <= bound
    assert abs(w).max() >= 0.999 * bound
    assert abs(w.mean()) <= 4 * bound / sqrt(3 * w.size)
    assert w.var() == pytest.approx(bound**2 / 3, rel=0.01)


@pytest.mark.parametrize(
    "shape", [(4, 4), (3, 8), (8, 3), (4, 3), (3, 4), (6, 2, 3, 3), (40, 2, 3, 3), (1, 5), (5, 1), (7,)]
)
@pytest.mark.parametrize("gain", [1.0, 1.5])
def test_orthogonal_rows_or_columns(shape, gain):
    w = Orthogonal(gain)(shape, 1, 1, RNG(3))
    assert w.shape == shape
    matrix = w.reshape(shape[0], -1)
    small = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(small, gain**2 * np.eye(len(small)), atol=1e-13)


def test_orthogonal_draws_are_uniform_over_the_orthogonal_matrices():
    # Of a uniformly drawn n×n matrix every entry has mean 0 and variance 1/n; QR alone leaves the diagonal negative.
    rng, n, draws = RNG(4), 3, 4000
    q = np.stack([Orthogonal()((n, n), n, n, rng) for _ in range(draws)])
    assert abs(q.mean(axis=0)).max() < 4 / sqrt(n * draws)
    np.testing.assert_allclose((q**2).mean(axis=0), np.full((n, n), 1 / n), rtol=0.07)
    positive = sum(np.linalg.det(matrix) > 0 for matrix in q)
    assert abs(positive - draws / 2) < 4 * sqrt(draws) / 2


def test_zeros():
    assert Zeros()((2, 3), 1, 1, RNG(5)).tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize("name", ["he", "glorot", "lecun", "orthogonal", "uniform"])
def test_the_generator_alone_decides_the_draw(name):
    draw = lambda seed: INITIALIZERS[name]((4, 5), 5, 4, RNG(seed))  # noqa: E731
    assert draw(6).tolist() == draw(6).tolist()
    assert (draw(6) != draw(7)).all()


def test_initialisers_are_found_by_name():
    assert {name: resolve_initializer(name) for name in INITIALIZERS} == {
        "he": He(),
        "glorot": Glorot(),
        "lecun": LeCun(),
        "orthogonal": Orthogonal(),
        "uniform": Uniform(),
        "zeros": Zeros(),
    }
    mine = He("uniform")
    assert resolve_initializer(mine) is mine


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: resolve_initializer("xavier"),
            "no initialiser called 'xavier'; there are he, glorot, lecun, orthogonal, uniform, zeros",
        ),
        (lambda: He("cauchy"), "He(distribution='cauchy'): distribution must be 'normal' or 'uniform'"),
        (lambda: Glorot(None), "Glorot(distribution=None): distribution must be 'normal' or 'uniform'"),
        (lambda: Uniform(-0.5), "Uniform(limit=-0.5): limit must not be negative"),
    ],
)
def test_settings_out_of_range(make, message):
    with pytest.raises(ConfigError) as error:
        make()
    assert str(error.value) == message


def test_an_unfinished_initialiser_says_so():
    with pytest.raises(NotImplementedError, match="Initializer does not define __call__"):
        Initializer()((2,), 1, 1, RNG(8))
