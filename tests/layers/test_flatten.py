from itertools import product
from math import ceil

import numpy as np
import pytest
from harness import assert_gradients, awkward

from pellucid.layers import Flatten

RNG = np.random.default_rng
SHAPES = [(1, 1, 1), (2, 3, 4), (3, 5, 2), (12, 4, 4), (16, 8, 8)]


def indices(shape, column_major):
    """Return for every (c, u, v) its place in the vector: W·H·c + W·u + v, or W·H·c + H·v + u column by column."""
    _, height, width = shape
    return {
        (c, u, v): width * height * c + (height * v + u if column_major else width * u + v)
        for c, u, v in product(*map(range, shape))
    }


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("column_major", [False, True])
def test_values_and_deltas_move_to_the_printed_index(shape, column_major):
    rng, layer = RNG(0), Flatten(column_major=column_major)
    x = rng.normal(size=(3, *shape))
    y, saved = layer.forward({}, x)
    assert y.shape == (3, np.prod(shape)) == (3, *layer.output_shape(shape))
    dy = rng.normal(size=y.shape)
    dx, grads = layer.backward({}, saved, dy)
    assert dx.shape == x.shape
    assert grads == {}
    places = indices(shape, column_major)
    assert sorted(places.values()) == list(range(y.shape[1]))
    for t, ((c, u, v), place) in product(range(3), places.items()):
        assert y[t, place] == x[t, c, u, v]
        assert dx[t, c, u, v] == dy[t, place]


def test_nguyens_order():
    p2 = RNG(1).normal(size=(1, 12, 4, 4))
    f, _ = Flatten().forward({}, p2)
    for m, x, y in product(range(12), range(4), range(4)):
        assert f[0, 16 * m + 4 * x + y] == p2[0, m, x, y]


def test_grishins_order_and_its_inverse_as_corrected():
    # His arrays are a[u, v] per map k, all counted from 1. The inverse prints ceil([s₆ − 64k₅]/8), 64(k₅ − 1) is meant.
    a5 = RNG(2).normal(size=(1, 16, 8, 8))
    a6, _ = Flatten(column_major=True).forward({}, a5)
    for k5, u5, v5 in product(range(1, 17), range(1, 9), range(1, 9)):
        s6 = 64 * (k5 - 1) + 8 * (v5 - 1) + u5
        assert a6[0, s6 - 1] == a5[0, k5 - 1, u5 - 1, v5 - 1]
        assert ceil(s6 / 64) == k5
        assert ceil((s6 - 64 * (k5 - 1)) / 8) == v5
        assert ceil((s6 - 64 * k5) / 8) < 1


@pytest.mark.parametrize("column_major", [False, True])
def test_vectors_pass_as_they_are(column_major):
    layer, x = Flatten(column_major=column_major), RNG(3).normal(size=(4, 7))
    y, saved = layer.forward({}, x)
    assert layer.output_shape((7,)) == (7,)
    assert y.tolist() == x.tolist()
    assert layer.backward({}, saved, 2 * x)[0].tolist() == (2 * x).tolist()


@pytest.mark.parametrize("column_major", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_read_only_strided_arrays_give_the_same_in_their_own_dtype(column_major, dtype):
    x = RNG(4).normal(size=(2, 3, 4, 5)).astype(dtype)
    layer, places = Flatten(column_major=column_major), indices((3, 4, 5), column_major)
    y, saved = layer.forward({}, awkward(x))
    dx, _ = layer.backward({}, saved, awkward(y))
    assert y.dtype == dx.dtype == dtype
    for t, ((c, u, v), place) in product(range(2), places.items()):
        assert y[t, place] == dx[t, c, u, v] == x[t, c, u, v]


@pytest.mark.parametrize("column_major", [False, True])
def test_gradients_of_random_shapes(column_major):
    rng = RNG(5)
    for trial in range(50):
        shape = tuple(int(n) for n in rng.integers(1, 5, rng.choice([1, 3])))
        assert_gradients(Flatten(column_major=column_major), shape, seed=trial)
