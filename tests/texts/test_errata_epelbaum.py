"""The slips E1 to E19 of ``docs/errata.md``: what Epelbaum's chapter prints is wrong, what the library does is right.

Oracles are SciPy's correlate2d and finite differences, and NumPy's statistics.
"""

# ruff: noqa: E741 - his l
from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.signal import correlate2d

from pellucid import Network
from pellucid.layers import AvgPool2d, BatchNorm, BatchNorm2d, Conv2d, Flatten, Linear, ReLU, Residual

RNG = np.random.default_rng
ε = 0.01


def slopes(J, x):
    """∂J/∂x by finite differences."""
    return approx_fprime(x.ravel(), lambda v: J(v.reshape(x.shape))).reshape(x.shape)


def assert_right(actual, oracle):
    np.testing.assert_allclose(actual, oracle, rtol=1e-5, atol=1e-5)


def assert_wrong(printed, oracle):
    assert abs(printed - oracle).max() > 0.01


def conv(Θ, h, S=1, P=0):
    """a = Θ on h by SciPy: every S-th pixel of the correlation."""
    h = np.pad(h, [(0, 0), (0, 0), (P, P), (P, P)])
    maps = [[sum(map(correlate2d, h_t, Θ_f, ["valid"] * len(h_t))) for Θ_f in Θ] for h_t in h]
    return np.array(maps)[:, :, ::S, ::S]


def normalize(h, γ=1.0, β=0.0):
    """y of a fully connected layer (T, F) or of maps (T, F, N, T)."""
    over = tuple(axis for axis in range(h.ndim) if axis != 1)
    deviation = h - h.mean(axis=over, keepdims=True)
    return γ * deviation / np.sqrt(np.square(deviation).mean(axis=over, keepdims=True) + ε) + β


def backward(layer, h, δ, **params):
    _, saved = layer.forward(params, h, state=layer.init_state(h.shape[1:]), training=True)
    return layer.backward(params, saved, δ)


def maps_case(F=2, F_p=2, size=(4, 4), S=1, P=1, R=3):
    """Maps h, filters Θ, and δ = ∂J/∂a for J = Σ δ·a."""
    rng = RNG(0)
    h, Θ = rng.normal(size=(2, F, *size)), rng.normal(size=(F_p, F, R, R))
    δ = rng.normal(size=conv(Θ, h, S, P).shape)
    return SimpleNamespace(h=h, Θ=Θ, δ=δ, S=S, P=P, layer=Conv2d(F_p, R, S, P, bias=False))


def test_e1_an_average_is_divided_by_the_pixels_of_its_window():
    h = RNG(1).normal(2, 1, size=(1, 1, 4, 6))
    mean = h.reshape(1, 1, 2, 2, 3, 2).mean(axis=(3, 5))
    printed = np.zeros((1, 1, 2, 3))
    for l, m, j, k in np.ndindex(2, 3, 2, 2):
        printed[0, 0, l, m] += h[0, 0, 2 * l + j, 2 * m + k]
    assert_wrong(printed, mean)
    assert_right(printed / 2**2, mean)
    assert_right(AvgPool2d(2).forward({}, h)[0], mean)


def conv_to_pool(case, *, swapped, rounded):
    """Σ Θ δ_{(l+P−j)/S_C (m+P−k)/S_C} of conv to pool; rounded: with fractions rounded down instead of left out."""
    out = np.zeros_like(case.h)
    for t, f, l, m in np.ndindex(out.shape):
        for f_, j, k in np.ndindex(len(case.Θ), 3, 3):
            (l_, off_l), (m_, off_m) = divmod(l + case.P - j, case.S), divmod(m + case.P - k, case.S)
            inside = 0 <= l_ < case.δ.shape[2] and 0 <= m_ < case.δ.shape[3]
            if inside and (rounded or off_l == off_m == 0):
                pair = case.Θ[f, f_, j, k] * case.δ[t, f, l_, m_]
                out[t, f, l, m] += pair if swapped else case.Θ[f_, f, j, k] * case.δ[t, f_, l_, m_]
    return out


def test_e2_conv_to_pool_sums_over_the_maps_of_delta():
    case = maps_case()
    oracle = slopes(lambda h: (case.δ * conv(case.Θ, h, P=1)).sum(), case.h)
    assert_wrong(conv_to_pool(case, swapped=True, rounded=False), oracle)
    assert_right(conv_to_pool(case, swapped=False, rounded=False), oracle)
    assert_right(backward(case.layer, case.h, case.δ, weight=case.Θ)[0], oracle)


def test_e3_conv_to_pool_leaves_out_what_the_stride_does_not_divide():
    case = maps_case(S=2)
    oracle = slopes(lambda h: (case.δ * conv(case.Θ, h, S=2, P=1)).sum(), case.h)
    assert_wrong(conv_to_pool(case, swapped=False, rounded=True), oracle)
    assert_right(conv_to_pool(case, swapped=False, rounded=False), oracle)
    assert_right(backward(case.layer, case.h, case.δ, weight=case.Θ)[0], oracle)


def test_e4_the_unbiased_variance_counts_pixels_too():
    h = RNG(2).normal(0, 3, size=(2, 1, 3, 2))
    T_mb, count = 2, 2 * 3 * 2
    unbiased = h.var(ddof=1)
    assert_wrong(T_mb / (T_mb - 1) * h.var(), unbiased)
    assert_right(count / (count - 1) * h.var(), unbiased)
    layer = BatchNorm2d(momentum=1.0)
    state = layer.init_state((1, 3, 2))
    layer.forward(layer.init_params((1, 3, 2), RNG(0)), h, state=state, training=True)
    assert_right(state["running_var"], unbiased)


def test_e5_the_running_variance_is_weighted_by_the_epochs_seen():
    """𝕍ar of three batches of one variance must be that variance; with any i ≠ e it is not."""
    h = RNG(3).normal(size=(4, 1, 3, 2))
    variance = h.var(ddof=1)
    layer = BatchNorm2d(running="cumulative")
    state = layer.init_state((1, 3, 2))
    for _ in range(3):
        layer.forward(layer.init_params((1, 3, 2), RNG(0)), h, state=state, training=True)
    e = 2
    for i in (0, 1, 3):
        assert_wrong((i * variance + variance) / (e + 1), variance)
    assert_right((e * variance + variance) / (e + 1), variance)
    assert_right(state["running_var"], variance)


def test_e6_fc_to_fc_takes_delta_of_the_other_sample():
    rng = RNG(4)
    h, Θ, δ = rng.normal(size=(4, 3)), rng.normal(size=(2, 3)), rng.normal(size=(4, 2))
    oracle = slopes(lambda h: (δ * (normalize(h) @ Θ.T)).sum(), h)
    h_tilde, σ = normalize(h), np.sqrt(h.var(axis=0) + ε)
    printed, mended = np.zeros_like(h), np.zeros_like(h)
    for t, f, t_, f_ in np.ndindex(4, 3, 4, 2):
        J = ((t == t_) - (1 + h_tilde[t_, f] * h_tilde[t, f]) / 4) / σ[f]
        printed[t, f] += Θ[f_, f] * J * δ[t, f_]
        mended[t, f] += Θ[f_, f] * J * δ[t_, f_]
    assert_wrong(printed, oracle)
    assert_right(mended, oracle)
    params = {"weight": np.ones(3), "bias": np.zeros(3)}
    assert_right(backward(BatchNorm(eps=ε), h, δ @ Θ, **params)[0], oracle)


def weight_update(case, S, l_end, m_end):
    """Σ_t Σ_{l<l_end} Σ_{m<m_end} y_{f′ Sl+j Sm+k} δ_{f l m}."""
    y, Δ = np.pad(case.h, [(0, 0), (0, 0), (case.P,) * 2, (case.P,) * 2]), np.zeros_like(case.Θ)
    for f, f_, j, k in np.ndindex(Δ.shape):
        for t, l, m in np.ndindex(len(y), l_end, m_end):
            Δ[f, f_, j, k] += y[t, f_, S * l + j, S * m + k] * case.δ[t, f, l, m]
    return Δ


def test_e7_limits_of_l_and_m_in_the_weight_update():
    case = maps_case(size=(3, 5))
    N, T = case.δ.shape[2:]
    oracle = slopes(lambda Θ: (case.δ * conv(Θ, case.h, P=1)).sum(), case.Θ)
    with pytest.raises(IndexError):
        weight_update(case, 1, T, N)
    assert_right(weight_update(case, 1, N, T), oracle)
    assert_right(backward(case.layer, case.h, case.δ, weight=case.Θ)[1]["weight"], oracle)


def test_e8_the_updates_move_with_the_stride():
    case = maps_case(size=(5, 5), S=2)
    oracle = slopes(lambda Θ: (case.δ * conv(Θ, case.h, S=2, P=1)).sum(), case.Θ)
    N, T = case.δ.shape[2:]
    assert_wrong(weight_update(case, 1, N, T), oracle)
    assert_right(weight_update(case, 2, N, T), oracle)
    assert_right(backward(case.layer, case.h, case.δ, weight=case.Θ)[1]["weight"], oracle)

    h_tilde = np.pad(normalize(case.h), [(0, 0), (0, 0), (1, 1), (1, 1)])
    oracle = slopes(lambda γ: (case.δ * conv(case.Θ, normalize(case.h, γ[:, None, None]), S=2, P=1)).sum(), np.ones(2))
    for S, assert_verdict in ((1, assert_wrong), (2, assert_right)):
        Δγ = np.zeros(2)
        for f, t, f_, l, m, j, k in np.ndindex(2, *case.δ.shape, 3, 3):
            Δγ[f] += case.Θ[f_, f, j, k] * h_tilde[t, f, S * l + j, S * m + k] * case.δ[t, f_, l, m]
        assert_verdict(Δγ, oracle)
    dy, _ = backward(case.layer, normalize(case.h), case.δ, weight=case.Θ)
    params = {"weight": np.ones(2), "bias": np.zeros(2)}
    assert_right(backward(BatchNorm2d(eps=ε), case.h, dy, **params)[1]["weight"], oracle)


def test_e9_padding_depends_on_nothing():
    """As printed, Δβ counts, and J gives a slope to, taps on padding: zeros that neither β nor h can move."""
    case = maps_case(F=1, F_p=1, size=(3, 3))
    count, σ, h_tilde = 2 * 3 * 3, np.sqrt(case.h.var() + ε), normalize(case.h)

    def loss(h, β=0.0):
        return (case.δ * conv(case.Θ, normalize(h, β=β), P=1)).sum()

    oracle_β, oracle_h = slopes(lambda β: loss(case.h, β), np.zeros(1))[0], slopes(loss, case.h)
    padded = np.pad(h_tilde, [(0, 0), (0, 0), (1, 1), (1, 1)])
    Δβ, δ = {"printed": 0.0, "mended": 0.0}, {"printed": np.zeros_like(case.h), "mended": np.zeros_like(case.h)}
    for t_, l_, m_, j, k in np.ndindex(2, 3, 3, 3, 3):
        term = case.Θ[0, 0, j, k] * case.δ[t_, 0, l_, m_]
        pixel = (t_, 0, l_ + j - 1, m_ + k - 1)
        J = -(1 + padded[t_, 0, l_ + j, m_ + k] * h_tilde) / count / σ
        real = 0 <= pixel[2] < 3 and 0 <= pixel[3] < 3
        if real:
            J[pixel] += 1 / σ
        for key in ["printed", "mended"] if real else ["printed"]:
            Δβ[key] += term
            δ[key] += term * J
    dy, _ = backward(case.layer, h_tilde, case.δ, weight=case.Θ)
    dx, grads = backward(BatchNorm2d(eps=ε), case.h, dy, weight=np.ones(1), bias=np.zeros(1))
    for printed, mended, ours, oracle in (
        (Δβ["printed"], Δβ["mended"], grads["bias"][0], oracle_β),
        (δ["printed"], δ["mended"], dx, oracle_h),
    ):
        assert_wrong(printed, oracle)
        assert_right(mended, oracle)
        assert_right(ours, oracle)


def bottleneck():
    """The residual module: 1×1 (4 maps to 2), 3×3, 1×1 (2 to 4), and its input h⁽⁰⁾."""
    rng = RNG(5)
    h0 = rng.normal(size=(2, 4, 3, 3))
    Θ = [rng.normal(size=(2, 4, 1, 1)), rng.normal(size=(2, 2, 3, 3)), rng.normal(size=(4, 2, 1, 1))]
    convolutions = [Conv2d(len(w), w.shape[2], padding=w.shape[2] // 2, bias=False) for w in Θ]
    return h0, Θ, [layer for c in convolutions for layer in (c, ReLU())]


def relu_conv(Θ, h):
    return np.maximum(conv(Θ, h, P=Θ.shape[2] // 2), 0)


def residual_trace(layers, h0, weights, δ):
    """Trace of a network that is these layers; J = ½Σ(a − target)² has δ at its output."""
    net = Network([*layers, Flatten(name="flat")], h0.shape[1:], loss="squared_error", dtype="float64")
    for name, w in zip(list(net.parameters), weights, strict=True):
        net.parameters[name] = w
    return net.trace(h0, net.forward(h0) - len(h0) * δ.reshape(len(h0), -1))


def test_e10_the_three_convolutions_of_resnet_have_weights_of_their_own():
    h0, Θ, body = bottleneck()
    h1 = relu_conv(Θ[0], h0)
    assert h1.shape[1] != Θ[0].shape[1]  # so Θ⁽⁰⁾ cannot act on h⁽¹⁾, as printed
    expected = h0 + relu_conv(Θ[2], relu_conv(Θ[1], h1))
    trace = residual_trace([Residual(body)], h0, Θ, np.zeros(h0.shape))
    assert_right(trace["flat"].output.reshape(h0.shape), expected)


def test_e11_the_second_1x1_convolution_reads_the_3x3_one():
    h0, Θ, body = bottleneck()
    h1 = relu_conv(Θ[0], h0)
    printed, mended = h0 + relu_conv(Θ[2], h1), h0 + relu_conv(Θ[2], relu_conv(Θ[1], h1))
    ours = residual_trace([Residual(body)], h0, Θ, np.zeros(h0.shape))["flat"].output.reshape(h0.shape)
    assert_wrong(printed, mended)
    assert_right(ours, mended)


def test_e12_the_skip_path_of_resnet_meets_the_activation():
    """For h⁽ᵛ⁺⁴⁾ = h⁽ᵛ⁺¹⁾ + g(a⁽ᵛ⁺³⁾) and h⁽ᵛ⁺¹⁾ = g(a⁽ᵛ⁾): ∂J/∂a⁽ᵛ⁾."""
    a, Θ, body = bottleneck()
    δ_h4 = RNG(6).normal(size=a.shape)

    def out(h):
        return relu_conv(Θ[2], relu_conv(Θ[1], relu_conv(Θ[0], h)))

    h = np.maximum(a, 0)
    oracle = slopes(lambda a: (δ_h4 * (np.maximum(a, 0) + out(np.maximum(a, 0)))).sum(), a)
    through_convolutions = slopes(lambda h: (δ_h4 * out(h)).sum(), h)
    g_prime, a3 = a > 0, conv(Θ[2], relu_conv(Θ[1], relu_conv(Θ[0], h)))
    assert_wrong(g_prime * through_convolutions + (a3 > 0) * δ_h4, oracle)
    assert_right(g_prime * (through_convolutions + δ_h4), oracle)
    trace = residual_trace([ReLU(), Residual(body)], a, Θ, δ_h4)
    assert_right(trace.input_delta, oracle)


def test_e13_sums_over_maps_end_at_the_maps_there_are():
    """4-D convolution: f′ ends at F − 1, not F_p − 1. Output: f′ ends at F_{N−1} − 1, not F_N − 1."""
    case = maps_case(F=2, F_p=3)
    window = case.h[0, :, :3, :3]
    with pytest.raises(IndexError):
        sum(case.Θ[0, f_, j, k] * window[f_, j, k] for f_, j, k in np.ndindex(3, 3, 3))
    assert_right(
        sum(case.Θ[0, f_, j, k] * window[f_, j, k] for f_, j, k in np.ndindex(2, 3, 3)),
        conv(case.Θ, case.h)[0, 0, 0, 0],
    )

    Θ, h = RNG(7).normal(size=(2, 5)), RNG(8).normal(size=(1, 5))
    assert_wrong(sum(Θ[:, f_] * h[0, f_] for f_ in range(2)), Θ @ h[0])
    assert_right(sum(Θ[:, f_] * h[0, f_] for f_ in range(5)), Θ @ h[0])
    assert_right(Linear(2, bias=False).forward({"weight": Θ}, h)[0][0], Θ @ h[0])


def test_e14_sums_in_the_details_end_one_earlier():
    """Fc to pool: j up to N, k up to T, f‴ up to F, all included, runs past the last pixel and the last map."""
    Θ, h = RNG(9).normal(size=(2, 3, 2, 2)), RNG(10).normal(size=(3, 2, 2))
    with pytest.raises(IndexError):
        sum(Θ[0, f, j, k] * h[f, j, k] for f in range(3 + 1) for j in range(2 + 1) for k in range(2 + 1))
    a = sum(Θ[0, f, j, k] * h[f, j, k] for f in range(3) for j in range(2) for k in range(2))
    assert_right(a, Linear(2, bias=False).forward({"weight": Θ.reshape(2, -1)}, h.reshape(1, -1))[0][0, 0])
    assert_right(a, np.vdot(Θ[0], h))


def test_e15_the_batch_mean_is_taken_once():
    """δ at the output holds 1/T_mb already; Δ^Θ must not divide again."""
    rng = RNG(11)
    h, Θ, y, T_mb = rng.normal(0, 3, (4, 3)), rng.normal(size=(2, 3)), rng.normal(size=(4, 2)), 4
    oracle = slopes(lambda Θ: np.square(h @ Θ.T - y).sum() / (2 * T_mb), Θ)
    δ = 1 / T_mb * (h @ Θ.T - y)
    assert_wrong(1 / T_mb * (δ.T @ h), oracle)
    assert_right(δ.T @ h, oracle)
    net = Network([Linear(2, bias=False)], (3,), loss="squared_error", dtype="float64")
    net.parameters["0.weight"] = Θ
    assert_right(net.loss_and_gradients(h, y)[1]["0.weight"], oracle)


def test_e16_padding_goes_on_both_sides():
    """With P zeros at the beginning only, R_C = 3 and P = 1 do not keep the size, and N_p is not his formula's."""
    image, Θ, P = RNG(12).normal(size=(6, 5)), RNG(13).normal(size=(3, 3)), 1
    same = correlate2d(image, Θ, "same")
    one_sided = correlate2d(np.pad(image, [(P, 0), (P, 0)]), Θ, "valid")
    assert one_sided.shape == (5, 4) != same.shape == ((6 + 2 * P - 3) // 1 + 1, (5 + 2 * P - 3) // 1 + 1)
    assert_right(
        Conv2d(1, 3, padding=P, bias=False).forward({"weight": Θ[None, None]}, image[None, None])[0][0, 0], same
    )


def test_e17_a_convolution_reads_the_padding_after_the_map_as_well():
    """S_C l + j runs to N_ν + 2P − 1, S_C m + k to T_ν + 2P − 1; printed is S_C l + j twice, to N_ν − 1 and T_ν − 1."""
    N, T, P, R, S = 7, 5, 1, 3, 2
    _, N_p, T_p = Conv2d(1, R, S, P).output_shape((1, N, T))
    last = S * (N_p - 1) + R - 1, S * (T_p - 1) + R - 1
    assert last == (N + 2 * P - 1, T + 2 * P - 1)
    image, Θ = RNG(14).normal(size=(1, 1, N, T)), RNG(15).normal(size=(1, 1, R, R))
    ours, _ = Conv2d(1, R, S, P, bias=False).forward({"weight": Θ}, image)
    assert_right(ours, conv(Θ, image, S, P))
    assert_wrong(conv(Θ, np.pad(image, [(0, 0), (0, 0), (P, 0), (P, 0)]), S)[0, 0, -1, -1], ours[0, 0, -1, -1])


def test_e18_delta_belongs_to_the_sample_itself():
    """λ⁽¹⁾ of sample t takes δ⁽ᵗ⁾; the t′ that is printed is not summed over, and no fixed one serves all samples."""
    case = maps_case()
    oracle = slopes(lambda h: (case.δ * conv(case.Θ, h, P=1)).sum(), case.h)
    turned = case.Θ.transpose(1, 0, 2, 3)[..., ::-1, ::-1]
    for t_ in range(2):
        assert_wrong(conv(turned, case.δ[[t_, t_]], P=1), oracle)
    assert_right(conv(turned, case.δ, P=1), oracle)
    assert_right(backward(case.layer, case.h, case.δ, weight=case.Θ)[0], oracle)


def test_e19_the_layer_above_has_sizes_of_its_own():
    """a⁽ᵛ⁾ has F_{ν+1} maps of N_{ν+1} × T_{ν+1}, so sums over δ⁽ᵛ⁺¹⁾ end at F_{ν+2}, N_{ν+2}, T_{ν+2}."""
    case = maps_case(F=3, F_p=2, P=0)
    oracle = slopes(lambda h: (case.δ * conv(case.Θ, h)).sum(), case.h)

    def error_rate(maps, width, height):
        out = np.zeros_like(case.h)
        for t, f_, l_, m_, f, j, k in np.ndindex(2, maps, width, height, 3, 3, 3):
            out[t, f, l_ + j, m_ + k] += case.Θ[f_, f, j, k] * case.δ[t, f_, l_, m_]
        return out

    with pytest.raises(IndexError):
        error_rate(*case.h.shape[1:])
    assert_right(error_rate(*case.δ.shape[1:]), oracle)
    assert_right(backward(case.layer, case.h, case.δ, weight=case.Θ)[0], oracle)
