from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from harness import assert_gradients, awkward, random_window
from scipy.signal import convolve2d, correlate2d

from pellucid.errors import ConfigError, ShapeError
from pellucid.initializers import Initializer
from pellucid.layers import Conv2d

RNG = np.random.default_rng


def loops(x, weight, bias, dy=None, *, stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), groups=1, flip=False):
    """Return y, or dx, dweight, dbias if there is a dy: the sums of the docstring, one product at a time.

    ``padding`` is ((top, bottom), (left, right)). With ``flip``, tap (j, k) reads the pixel of its mirror image.
    """
    (samples, _, height, width), (filters, depth, kernel_h, kernel_w) = x.shape, weight.shape
    sizes = [
        (length + sum(pads) - gap * (kernel - 1) - 1) // step + 1
        for length, pads, gap, kernel, step in zip(
            (height, width), padding, dilation, (kernel_h, kernel_w), stride, strict=True
        )
    ]
    y = np.zeros((samples, filters, *sizes))
    dx, dweight, dbias = np.zeros(x.shape), np.zeros(weight.shape), np.zeros(filters)
    for t, f, l, m in product(*map(range, y.shape)):  # noqa: E741 - Epelbaum's letters
        y[t, f, l, m] += 0.0 if bias is None else bias[f]
        dbias[f] += 0.0 if dy is None else dy[t, f, l, m]
        first_map = f // (filters // groups) * depth
        for c, j, k in product(range(depth), range(kernel_h), range(kernel_w)):
            a, b = (kernel_h - 1 - j, kernel_w - 1 - k) if flip else (j, k)
            u = stride[0] * l + dilation[0] * a - padding[0][0]
            v = stride[1] * m + dilation[1] * b - padding[1][0]
            if not (0 <= u < height and 0 <= v < width):
                continue
            y[t, f, l, m] += weight[f, c, j, k] * x[t, first_map + c, u, v]
            if dy is not None:
                dx[t, first_map + c, u, v] += weight[f, c, j, k] * dy[t, f, l, m]
                dweight[f, c, j, k] += dy[t, f, l, m] * x[t, first_map + c, u, v]
    return y if dy is None else (dx, dweight, dbias)


def compare(layer, input_shape, pads, seed, batch=2):
    """Hold forward and backward of a layer against the loops."""
    rng = RNG(seed)
    params = {k: rng.normal(size=v.shape) for k, v in layer.init_params(input_shape, rng).items()}
    x = rng.normal(size=(batch, *input_shape))
    y, saved = layer.forward(params, x)
    as_pair = lambda value: value if isinstance(value, tuple) else (value, value)  # noqa: E731
    options = {
        "stride": as_pair(layer.stride),
        "dilation": as_pair(layer.dilation),
        "padding": pads,
        "groups": layer.groups,
        "flip": layer.flip,
    }
    expected = loops(x, params["weight"], params.get("bias"), **options)
    assert y.shape == expected.shape == (batch, *layer.output_shape(input_shape)), layer
    np.testing.assert_allclose(y, expected, rtol=1e-11, atol=1e-11, err_msg=repr(layer))
    dy = rng.normal(size=y.shape)
    dx, grads = layer.backward(params, saved, dy)
    expected_dx, dweight, dbias = loops(x, params["weight"], None, dy, **options)
    np.testing.assert_allclose(dx, expected_dx, rtol=1e-11, atol=1e-11, err_msg=repr(layer))
    np.testing.assert_allclose(grads["weight"], dweight, rtol=1e-11, atol=1e-11, err_msg=repr(layer))
    assert grads.keys() == params.keys()
    if layer.bias:
        np.testing.assert_allclose(grads["bias"], dbias, rtol=1e-11, atol=1e-11, err_msg=repr(layer))


def random_layer(rng):
    """Return a layer with every option drawn at random, the shape of an input that it fits, and its padding."""
    settings, (height, width) = random_window(rng, pooling=False)
    groups = int(rng.integers(1, 4))
    layer = Conv2d(
        groups * int(rng.integers(1, 3)),
        groups=groups,
        bias=bool(rng.integers(2)),
        flip=bool(rng.integers(2)),
        **settings,
    )
    top, left = settings["padding"]
    return layer, (groups * int(rng.integers(1, 3)), height, width), ((top, top), (left, left))


def test_random_settings_against_loops():
    rng = RNG(0)
    for trial in range(120):
        layer, shape, pads = random_layer(rng)
        compare(layer, shape, pads, seed=trial, batch=int(rng.integers(1, 3)))


def test_gradients_of_random_settings():
    rng = RNG(1)
    checked = 0
    while checked < 110:
        layer, shape, _ = random_layer(rng)
        if np.prod(shape) <= 60:
            assert_gradients(layer, shape, seed=checked)
            checked += 1


@pytest.mark.parametrize(
    ("padding", "kernel", "stride", "dilation", "size", "pads"),
    [
        ("valid", 3, 1, 1, (5, 6), ((0, 0), (0, 0))),
        ("same", 3, 1, 1, (5, 6), ((1, 1), (1, 1))),
        ("same", (2, 4), 1, 1, (5, 6), ((0, 1), (1, 2))),
        ("same", (5, 2), 1, (1, 3), (3, 2), ((2, 2), (1, 2))),
        ("same", 3, 2, 1, (5, 6), ((1, 1), (0, 1))),
        ("same", 3, (3, 2), 1, (8, 7), ((0, 1), (1, 1))),
        ("same", 1, 3, 1, (5, 7), ((0, 0), (0, 0))),
        ("full", 3, 1, 1, (5, 6), ((2, 2), (2, 2))),
        ("full", (2, 4), (2, 3), 1, (5, 6), ((1, 1), (3, 3))),
        ("full", (2, 3), 1, (3, 2), (2, 1), ((3, 3), (4, 4))),
        (0, 3, 1, 1, (5, 6), ((0, 0), (0, 0))),
        (2, 3, 2, 1, (5, 6), ((2, 2), (2, 2))),
        ((0, 3), 3, 1, 1, (5, 6), ((0, 0), (3, 3))),
        ((5, 1), (2, 3), 1, 1, (1, 4), ((5, 5), (1, 1))),
    ],
)
@pytest.mark.parametrize("flip", [False, True])
def test_paddings_against_loops(padding, kernel, stride, dilation, size, pads, flip):
    layer = Conv2d(2, kernel, stride, padding, dilation, flip=flip)
    compare(layer, (2, *size), pads, seed=2)
    if padding == "same":
        steps = (stride, stride) if isinstance(stride, int) else stride
        assert layer.output_shape((2, *size))[1:] == tuple(-(-n // s) for n, s in zip(size, steps, strict=True))


@pytest.mark.parametrize("mode", ["valid", "same", "full"])
@pytest.mark.parametrize(("size", "kernel"), [((28, 28), (5, 5)), ((9, 14), (3, 7)), ((11, 5), (1, 3))])
def test_single_maps_against_scipy(mode, size, kernel):
    rng = RNG(3)
    image, filter_ = rng.normal(size=size), rng.normal(size=kernel)
    params = {"weight": filter_[None, None]}
    correlated, _ = Conv2d(1, kernel, padding=mode, bias=False).forward(params, image[None, None])
    convolved, _ = Conv2d(1, kernel, padding=mode, bias=False, flip=True).forward(params, image[None, None])
    np.testing.assert_allclose(correlated[0, 0], correlate2d(image, filter_, mode), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(convolved[0, 0], convolve2d(image, filter_, mode), rtol=1e-12, atol=1e-12)


def test_many_maps_against_scipy_forward_and_backward():
    # Binding (2.18): dk[i,j] = corr2(x[i], δ[j], 'valid'); (2.20): dx[i] = Σ_j corr2(δ[j], rot180(k[i,j]), 'full').
    rng = RNG(4)
    x, weight, dy = rng.normal(size=(3, 6, 12, 11)), rng.normal(size=(4, 6, 5, 3)), rng.normal(size=(3, 4, 8, 9))
    layer, params = Conv2d(4, (5, 3)), {"weight": weight, "bias": rng.normal(size=4)}
    y, saved = layer.forward(params, x)
    dx, grads = layer.backward(params, saved, dy)
    for t, f in product(range(3), range(4)):
        expected = params["bias"][f] + sum(correlate2d(x[t, c], weight[f, c], "valid") for c in range(6))
        np.testing.assert_allclose(y[t, f], expected, rtol=1e-11, atol=1e-11)
    for f, c in product(range(4), range(6)):
        expected = sum(correlate2d(x[t, c], dy[t, f], "valid") for t in range(3))
        np.testing.assert_allclose(grads["weight"][f, c], expected, rtol=1e-11, atol=1e-11)
    for t, c in product(range(3), range(6)):
        expected = sum(correlate2d(dy[t, f], np.rot90(weight[f, c], 2), "full") for f in range(4))
        np.testing.assert_allclose(dx[t, c], expected, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(grads["bias"], [sum(dy[t, f].sum() for t in range(3)) for f in range(4)], rtol=1e-11)


def test_bindings_one_dimensional_example():
    x, w, b, delta = [2.0, -1.0, 3.0, 5.0], [4.0, -2.0], 1.0, [1.0, -2.0, 3.0]
    row = lambda values: np.reshape(values, (1, 1, 1, -1))  # noqa: E731
    params = {"weight": row(w), "bias": np.array([b])}
    layer = Conv2d(1, (1, 2))
    y, saved = layer.forward(params, row(x))
    assert y.tolist() == row([11.0, -9.0, 3.0]).tolist()  # (B.1)
    dx, grads = layer.backward(params, saved, row(delta))
    assert grads["bias"].tolist() == [2.0]  # (B.2)
    assert grads["weight"].ravel().tolist() == [13.0, 8.0]  # (B.4)
    assert dx.ravel().tolist() == [4.0, -10.0, 16.0, -6.0]  # (B.7)
    for j, expected in enumerate([[2.0, -1.0], [-1.0, 3.0], [3.0, 5.0]]):  # (B.5), one row of ∂y/∂w at a time
        unit = row(np.eye(3)[j])
        assert layer.backward(params, saved, unit)[1]["weight"].ravel().tolist() == expected
    correlated, _ = Conv2d(1, (1, 3), bias=False).forward({"weight": row(delta)}, row(x))
    assert correlated.ravel().tolist() == [13.0, 8.0]  # (B.6)
    full, _ = Conv2d(1, (1, 2), padding="full", bias=False).forward({"weight": row([-2.0, 4.0])}, row(delta))
    assert full.ravel().tolist() == [4.0, -10.0, 16.0, -6.0]  # (B.8)


def test_bindings_two_dimensional_example():
    x = np.array([[1.0, 2, 0, -1], [3, 1, 2, 0], [0, -2, 1, 4], [2, 0, 3, 1]])[None, None]  # (B.9)
    w = np.array([[1.0, 2], [-1, 3]])[None, None]  # (B.10)
    delta = np.array([[1.0, 0, 2], [-1, 1, 0], [0, 3, -2]])[None, None]
    params = {"weight": w, "bias": np.array([0.5])}
    layer = Conv2d(1, 2)
    y, saved = layer.forward(params, x)
    # (B.11), (B.12): y00 = 1·1 + 2·2 − 1·3 + 3·1 + ½, and the third number of the row is y02 (the text prints y03).
    assert y[0, 0].tolist() == [[5.5, 7.5, -3.5], [-0.5, 10.5, 13.5], [-5.5, 9.5, 9.5]]
    dx, grads = layer.backward(params, saved, delta)
    assert grads["bias"].tolist() == [4.0]  # (B.13)
    assert grads["weight"][0, 0].tolist() == [[-9.0, -4.0], [-1.0, 11.0]]  # (B.17), (B.18)
    assert dx[0, 0].tolist() == [[1.0, 2, 2, 4], [-2, 2, 0, 6], [1, -1, 7, -4], [0, -3, 11, -6]]  # (B.26)
    assert dx[0, 0, 0, 0] == delta[0, 0, 0, 0] * w[0, 0, 0, 0]  # (B.24), (B.25)
    for i, j in product(range(3), range(3)):  # (B.16) and (B.22): the Jacobians of y_ij
        unit = np.zeros_like(delta)
        unit[0, 0, i, j] = 1
        back, own = layer.backward(params, saved, unit)
        assert own["weight"].tolist() == x[:, :, i : i + 2, j : j + 2].tolist()
        for m, n in product(range(4), range(4)):
            inside = 0 <= m - i < 2 and 0 <= n - j < 2
            assert back[0, 0, m, n] == (w[0, 0, m - i, n - j] if inside else 0)
    turned = np.array([[3.0, -1], [2, 1]])[None, None]
    full, _ = Conv2d(1, 2, padding="full", bias=False).forward({"weight": turned}, delta)
    assert full.tolist() == dx.tolist()  # (B.27)
    flipped, _ = Conv2d(1, 2, padding="full", bias=False, flip=True).forward({"weight": w}, delta)
    assert flipped.tolist() == dx.tolist()


def test_bindings_convolution_index_and_full_size_as_corrected():
    # (1.2) prints F(h_F − m), which for m = 0 lies outside the filter; h_F − 1 − m is meant.
    image, filter_ = RNG(5).normal(size=(5, 5)), RNG(6).normal(size=(3, 3))
    y, _ = Conv2d(1, 3, bias=False, flip=True).forward({"weight": filter_[None, None]}, image[None, None])
    for i, j in product(range(3), range(3)):
        expected = sum(image[i + m, j + n] * filter_[2 - m, 2 - n] for m in range(3) for n in range(3))
        assert y[0, 0, i, j] == pytest.approx(expected, rel=1e-12)
    # "full": the text prints h_I + h_F/2 + 1 = 7.5 rows for h_I = 5, h_F = 3.
    assert Conv2d(1, 3, padding="full").output_shape((1, 5, 5)) == (1, 7, 7)
    assert Conv2d(1, 2).output_shape((1, 5, 5)) == (1, 4, 4)  # figure 1.1


def test_nguyens_second_convolution_by_his_procedure():
    rng = RNG(7)
    p1, k2, b2, dls2 = (rng.normal(size=s) for s in ((6, 12, 12), (12, 6, 5, 5), (12,), (12, 8, 8)))
    layer, params = Conv2d(12, 5), {"weight": k2, "bias": b2}
    s2, saved = layer.forward(params, p1[None])
    dlp1, grads = layer.backward(params, saved, dls2[None])
    ds2p1 = np.zeros((6, 12, 12, 12, 8, 8))
    dk2 = np.zeros_like(k2)
    for u, v in product(range(8), range(8)):
        window = p1[:, u : u + 5, v : v + 5]
        for m in range(12):
            assert s2[0, m, u, v] == pytest.approx((window * k2[m]).sum() + b2[m], rel=1e-9)  # (3)
            ds2p1[0:6, u : u + 5, v : v + 5, m, u, v] = k2[m]  # (55)
            dk2[m] += dls2[m, u, v] * window  # (50)
    np.testing.assert_allclose(dlp1[0], np.tensordot(ds2p1, dls2, axes=3), rtol=1e-10, atol=1e-12)  # (56)
    np.testing.assert_allclose(grads["weight"], dk2, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(grads["bias"], [dls2[m].sum() for m in range(12)], rtol=1e-10)  # (47)


@pytest.mark.parametrize(
    ("layer", "before", "after"),
    [
        (Conv2d(6, 5), (1, 28, 28), (6, 24, 24)),  # Nguyen C1
        (Conv2d(12, 5), (6, 12, 12), (12, 8, 8)),  # Nguyen C2
        (Conv2d(6, 5, padding=2), (1, 32, 32), (6, 32, 32)),  # Grishin, layer 1 to 2
        (Conv2d(16, 5, padding="same"), (6, 16, 16), (16, 16, 16)),  # Grishin, layer 3 to 4
        (Conv2d(96, 11, 4), (3, 227, 227), (96, 55, 55)),  # Epelbaum, AlexNet
        (Conv2d(64, 7, 2, padding=3), (3, 224, 224), (64, 112, 112)),  # ResNet: (224 + 6 − 7)/2 does not divide
        (Conv2d(4, 3, dilation=2), (1, 5, 5), (4, 1, 1)),
    ],
)
def test_shapes_of_the_texts(layer, before, after):
    assert layer.output_shape(before) == after
    params = layer.init_params(before, RNG(0))
    size = layer.kernel_size
    assert params["weight"].shape == (after[0], before[0], size, size)
    assert params["bias"].shape == (after[0],)


def test_multiply_adds_are_the_products_of_the_loops():
    assert Conv2d(6, 5).multiply_adds((1, 28, 28)) == 6 * 24 * 24 * 25
    assert Conv2d(4, (1, 3), 2, groups=2).multiply_adds((6, 5, 7)) == 4 * 3 * 3 * (3 * 1 * 3)


@dataclass(frozen=True)
class Fans(Initializer):
    def __call__(self, shape, fan_in, fan_out, rng):
        return np.full(shape, 1000.0 * fan_in + fan_out)


def test_weights_are_drawn_with_the_fans_of_one_group():
    params = Conv2d(8, (3, 2), groups=2, weight_init=Fans(), bias_init=Fans()).init_params((6, 9, 9), RNG(0))
    assert params["weight"].shape == (8, 3, 3, 2)
    assert (params["weight"] == 1000 * (3 * 6) + 4 * 6).all()
    assert (params["bias"] == 1000 * (3 * 6) + 4 * 6).all()
    assert (Conv2d(2, 3).init_params((1, 5, 5), RNG(0))["bias"] == 0).all()
    assert list(Conv2d(2, 3, bias=False).init_params((1, 5, 5), RNG(0))) == ["weight"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_read_only_strided_arrays_give_the_same_in_their_own_dtype(dtype):
    rng = RNG(8)
    layer = Conv2d(4, (3, 2), 2, (1, 2), groups=2)
    x, dy, weight, bias = (rng.normal(size=s).astype(dtype) for s in ((3, 2, 6, 7), (3, 4, 3, 5), (4, 1, 3, 2), (4,)))
    params = {"weight": awkward(weight), "bias": awkward(bias)}
    y, saved = layer.forward(params, awkward(x))
    dx, grads = layer.backward(params, saved, awkward(dy))
    options = {"stride": (2, 2), "padding": ((1, 1), (2, 2)), "groups": 2}
    expected_dx, dweight, dbias = loops(x, weight, None, dy, **options)
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    for value, expected in (
        (y, loops(x, weight, bias, **options)),
        (dx, expected_dx),
        (grads["weight"], dweight),
        (grads["bias"], dbias),
    ):
        assert value.dtype == dtype
        np.testing.assert_allclose(value, expected, rtol=tolerance, atol=tolerance)


def test_four_sides_are_the_same_as_a_padded_map() -> None:
    rng = np.random.default_rng(11)
    for _ in range(50):
        sides = tuple((int(before), int(after)) for before, after in rng.integers(0, 5, (2, 2)))
        top, left = sides[0][0], sides[1][0]
        layer, plain = (Conv2d(3, (3, 2), (2, 1), padding, (1, 2)) for padding in (sides, 0))
        x = rng.normal(size=(2, 2, 6, 7))
        padded = np.pad(x, [(0, 0), (0, 0), *sides])
        params = layer.init_params((2, 6, 7), rng)
        (y, saved), (expected, padded_saved) = layer.forward(params, x), plain.forward(params, padded)
        np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)
        dy = rng.normal(size=y.shape)
        (dx, grads), (wide, expected_grads) = (
            layer.backward(params, saved, dy),
            plain.backward(params, padded_saved, dy),
        )
        np.testing.assert_allclose(dx, wide[:, :, top : top + 6, left : left + 7], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(grads["weight"], expected_grads["weight"], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((0, 3), "Conv2d(0, 3): out_channels must be a whole number of at least 1; got 0"),
        ((2.0, 3), "Conv2d(2.0, 3): out_channels must be a whole number of at least 1; got 2.0"),
        ((2, 0), "Conv2d(2, 0): kernel_size must be a whole number of at least 1, or a pair of them; got 0"),
        ((2, 2.5), "kernel_size must be a whole number of at least 1, or a pair of them; got 2.5"),
        ((2, (3, 3, 3)), "kernel_size must be a whole number of at least 1, or a pair of them; got (3, 3, 3)"),
        ((2, 3, 0), "stride must be a whole number of at least 1, or a pair of them; got 0"),
        ((2, 3, (1, -1)), "stride must be a whole number of at least 1, or a pair of them; got (1, -1)"),
        ((2, 3, 1, -1), "padding must be a whole number of at least 0, or a pair of them; got -1"),
        ((2, 3, 1, "sane"), "padding must be a number, a pair or one of ('valid', 'same', 'full'); got 'sane'"),
        ((2, 3, 1, 0, 0), "dilation must be a whole number of at least 1, or a pair of them; got 0"),
        ((2, 3, 1, 0, 1, 0), "groups must be a whole number of at least 1; got 0"),
        ((3, 3, 1, 0, 1, 2), "Conv2d(3, 3, groups=2): out_channels must be a multiple of groups (2)"),
        (
            (3, 3, 1, 0, 1, 1, True, False, "hee"),
            "no initialiser called 'hee'; there are he, glorot, lecun, orthogonal, uniform, zeros",
        ),
        (
            (3, 3, 1, 0, 1, 1, True, False, "he", "zero"),
            "no initialiser called 'zero'; there are he, glorot, lecun, orthogonal, uniform, zeros",
        ),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ConfigError) as error:
        Conv2d(*settings)
    assert str(error.value).endswith(message)


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (
            Conv2d(2, 3),
            (9,),
            "Conv2d(2, 3) takes feature maps of shape (C, H, W), but its input has shape (9,); "
            "put it before Flatten(), or reshape the data",
        ),
        (
            Conv2d(2, 3, groups=2),
            (3, 5, 5),
            "Conv2d(2, 3, groups=2): the 3 input maps cannot be split into 2 groups",
        ),
        (
            Conv2d(2, (3, 7), padding=1),
            (1, 5, 4),
            "Conv2d(2, (3, 7), padding=1): its kernel spans 7 pixels, more than the width of the padded input, 6 "
            "(input maps are 5×4); use a smaller kernel, more padding, a larger image, or drop a pooling layer before "
            "it",
        ),
        (
            Conv2d(2, 3, dilation=2),
            (1, 4, 9),
            "Conv2d(2, 3, dilation=2): its kernel spans 5 pixels, more than the height of the padded input, 4 "
            "(input maps are 4×9); use a smaller kernel, more padding, a larger image, or drop a pooling layer before "
            "it",
        ),
    ],
)
def test_inputs_that_do_not_fit(layer, shape, message):
    with pytest.raises(ShapeError) as error:
        layer.output_shape(shape)
    assert str(error.value) == message
