// Winograd's convolution along one axis: F(M, R) gives M outputs of a correlation with R weights from the 6 = M + R − 1
// inputs beneath them with 6 products instead of M·R. With the points 0, 1, −1, 2, −2 and ∞:
//
//     y = Aᵀ[(G w) ⊙ (Bᵀ x)]           A: 6×M, powers of the points;  G: 6×R;  B: 6×6, the same for every M
//
// Its derivative is as cheap, read from right to left:
//
//     dx = B[(G w) ⊙ (A dy)]           dw = Gᵀ[(Bᵀ x) ⊙ (A dy)]
//
// Source: Winograd 1980; Lavin & Gray 2016, §4 (F(4, 3) there).
#pragma once

#include "winograd_sizes.hpp"

// Bᵀx: six inputs, `step` apart, become six values.
template <typename V>
void transform_input(const V* x, std::ptrdiff_t step, V* t) {
    const V x0 = x[0], x1 = x[step], x2 = x[2 * step], x3 = x[3 * step], x4 = x[4 * step], x5 = x[5 * step];
    const V even1 = x4 - 4.0f * x2, odd1 = x3 - 4.0f * x1, even2 = x4 - x2, odd2 = x3 - x1;
    t[0] = 4.0f * x0 - 5.0f * x2 + x4;
    t[1] = even1 + odd1;
    t[2] = even1 - odd1;
    t[3] = even2 + 2.0f * odd2;
    t[4] = even2 - 2.0f * odd2;
    t[5] = 4.0f * x1 - 5.0f * x3 + x5;
}

// B t, the way back.
inline void transform_input_back(const lanes* t, std::ptrdiff_t step, lanes* x) {
    const lanes t0 = t[0], t5 = t[5 * step];
    const lanes sum1 = t[step] + t[2 * step], difference1 = t[step] - t[2 * step];
    const lanes sum2 = t[3 * step] + t[4 * step], difference2 = t[3 * step] - t[4 * step];
    x[0] = 4.0f * t0;
    x[1] = 4.0f * (t5 - difference1) - 2.0f * difference2;
    x[2] = -5.0f * t0 - 4.0f * sum1 - sum2;
    x[3] = difference1 + 2.0f * difference2 - 5.0f * t5;
    x[4] = t0 + sum1 + sum2;
    x[5] = t5;
}

// Aᵀp: six products, `step` apart, become M outputs.
template <int M, typename V>
void transform_products(const V* p, std::ptrdiff_t step, V* y) {
    const V sum1 = p[step] + p[2 * step], difference1 = p[step] - p[2 * step];
    const V sum2 = p[3 * step] + p[4 * step], difference2 = p[3 * step] - p[4 * step];
    y[0] = p[0] + sum1 + sum2;
    if constexpr (M > 1) y[1] = difference1 + 2.0f * difference2;
    if constexpr (M > 2) y[2] = sum1 + 4.0f * sum2;
    if constexpr (M > 3) y[3] = difference1 + 8.0f * difference2;
    y[M - 1] += p[5 * step];
}

// A dy: M values, `step` apart, become six.
template <int M, typename V>
void transform_output_back(const V* dy, std::ptrdiff_t step, V* v) {
    V even1 = dy[0], even2 = dy[0], odd1 = V{}, odd2 = V{};
    if constexpr (M > 1) odd1 = dy[step], odd2 = 2.0f * dy[step];
    if constexpr (M > 2) even1 += dy[2 * step], even2 += 4.0f * dy[2 * step];
    if constexpr (M > 3) odd1 += dy[3 * step], odd2 += 8.0f * dy[3 * step];
    v[0] = dy[0];
    v[1] = even1 + odd1;
    v[2] = even1 - odd1;
    v[3] = even2 + odd2;
    v[4] = even2 - odd2;
    v[5] = dy[(M - 1) * step];
}

// G w: R weights, `step` apart, become six.
template <int R>
void transform_weights(const lanes* w, std::ptrdiff_t step, lanes* u, std::ptrdiff_t u_step) {
    lanes even1 = w[0], even2 = w[0], odd1 = w[step], odd2 = 2.0f * w[step];
    if constexpr (R > 2) even1 += w[2 * step], even2 += 4.0f * w[2 * step];
    if constexpr (R > 3) odd1 += w[3 * step], odd2 += 8.0f * w[3 * step];
    if constexpr (R > 4) even1 += w[4 * step], even2 += 16.0f * w[4 * step];
    u[0] = 0.25f * w[0];
    u[u_step] = (even1 + odd1) * (-1.0f / 6.0f);
    u[2 * u_step] = (even1 - odd1) * (-1.0f / 6.0f);
    u[3 * u_step] = (even2 + odd2) * (1.0f / 24.0f);
    u[4 * u_step] = (even2 - odd2) * (1.0f / 24.0f);
    u[5 * u_step] = w[(R - 1) * step];
}

// Gᵀu: six values, `step` apart, become R weights.
template <int R>
void transform_weights_back(const lanes* u, std::ptrdiff_t step, lanes* w, std::ptrdiff_t w_step) {
    const lanes sum1 = (u[step] + u[2 * step]) * (-1.0f / 6.0f);
    const lanes difference1 = (u[step] - u[2 * step]) * (-1.0f / 6.0f);
    const lanes sum2 = (u[3 * step] + u[4 * step]) * (1.0f / 24.0f);
    const lanes difference2 = (u[3 * step] - u[4 * step]) * (1.0f / 24.0f);
    w[0] = 0.25f * u[0] + sum1 + sum2;
    w[w_step] = difference1 + 2.0f * difference2;
    if constexpr (R > 2) w[2 * w_step] = sum1 + 4.0f * sum2;
    if constexpr (R > 3) w[3 * w_step] = difference1 + 8.0f * difference2;
    if constexpr (R > 4) w[4 * w_step] = sum1 + 16.0f * sum2;
    w[(R - 1) * w_step] += u[5 * step];
}
