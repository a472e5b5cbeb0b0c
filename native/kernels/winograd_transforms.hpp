// Winograd's convolution along one axis for kernels of 3: F(4, 3) gives four outputs of a correlation from the six
// inputs beneath them with 6 products instead of 12. With the points 0, 1, −1, 2, −2 and ∞:
//
//     y = Aᵀ[(G w) ⊙ (Bᵀ x)]           A: 6×4 and G: 6×3, powers of the points, G divided by their distances;  B: 6×6
//
// Its derivative is as cheap, read from right to left:
//
//     dx = B[(G w) ⊙ (A dy)]           dw = Gᵀ[(Bᵀ x) ⊙ (A dy)]
//
// Source: Winograd 1980; Lavin & Gray 2016, §4.
#pragma once

#include "winograd_sizes.hpp"

// Bᵀx: six inputs, `step` apart, become six values. Where all inputs are the same number, all but the second are
// exactly 0, and all outputs the same: what pools choose among equals is to be what the direct way leaves to them.
template <typename V>
void transform_input(const V* x, std::ptrdiff_t step, V* t) {
    const V x0 = x[0], x1 = x[step], x2 = x[2 * step], x3 = x[3 * step], x4 = x[4 * step], x5 = x[5 * step];
    const V even1 = x4 - 4.0f * x2, odd1 = x3 - 4.0f * x1, even2 = x4 - x2, odd2 = x3 - x1;
    t[0] = 4.0f * (x0 - x2) + even2;
    t[1] = even1 + odd1;
    t[2] = even1 - odd1;
    t[3] = even2 + 2.0f * odd2;
    t[4] = even2 - 2.0f * odd2;
    t[5] = (x5 - x3) - 4.0f * odd2;
}

// Aᵀp: six products, `step` apart, become four outputs.
template <typename V>
void transform_products(const V* p, std::ptrdiff_t step, V* y) {
    const V sum1 = p[step] + p[2 * step], difference1 = p[step] - p[2 * step];
    const V sum2 = p[3 * step] + p[4 * step], difference2 = p[3 * step] - p[4 * step];
    y[0] = p[0] + sum1 + sum2;
    y[1] = difference1 + 2.0f * difference2;
    y[2] = sum1 + 4.0f * sum2;
    y[3] = difference1 + 8.0f * difference2 + p[5 * step];
}

// A dy: four values, `step` apart, become six.
template <typename V>
void transform_output_back(const V* dy, std::ptrdiff_t step, V* v) {
    const V even1 = dy[0] + dy[2 * step], odd1 = dy[step] + dy[3 * step];
    const V even2 = dy[0] + 4.0f * dy[2 * step], odd2 = 2.0f * dy[step] + 8.0f * dy[3 * step];
    v[0] = dy[0];
    v[1] = even1 + odd1;
    v[2] = even1 - odd1;
    v[3] = even2 + odd2;
    v[4] = even2 - odd2;
    v[5] = dy[3 * step];
}

// G w: three weights, `step` apart, become six.
inline void transform_weights(const lanes* w, std::ptrdiff_t step, lanes* u, std::ptrdiff_t u_step) {
    const lanes even1 = w[0] + w[2 * step], odd1 = w[step];
    const lanes even2 = w[0] + 4.0f * w[2 * step], odd2 = 2.0f * w[step];
    u[0] = 0.25f * w[0];
    u[u_step] = (even1 + odd1) * (-1.0f / 6.0f);
    u[2 * u_step] = (even1 - odd1) * (-1.0f / 6.0f);
    u[3 * u_step] = (even2 + odd2) * (1.0f / 24.0f);
    u[4 * u_step] = (even2 - odd2) * (1.0f / 24.0f);
    u[5 * u_step] = w[2 * step];
}

// Gᵀu: six values, `step` apart, become three weights.
inline void transform_weights_back(const lanes* u, std::ptrdiff_t step, lanes* w, std::ptrdiff_t w_step) {
    const lanes sum1 = (u[step] + u[2 * step]) * (-1.0f / 6.0f);
    const lanes difference1 = (u[step] - u[2 * step]) * (-1.0f / 6.0f);
    const lanes sum2 = (u[3 * step] + u[4 * step]) * (1.0f / 24.0f);
    const lanes difference2 = (u[3 * step] - u[4 * step]) * (1.0f / 24.0f);
    w[0] = 0.25f * u[0] + sum1 + sum2;
    w[w_step] = difference1 + 2.0f * difference2;
    w[2 * w_step] = sum1 + 4.0f * sum2 + u[5 * step];
}
