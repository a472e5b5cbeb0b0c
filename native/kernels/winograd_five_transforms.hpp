// Winograd's convolution along one axis for kernels of 5: F(4, 5) gives four outputs from the eight inputs beneath them
// with 8 products instead of 20; matrices and derivatives as in winograd_transforms.hpp, with the points 0, 1, −1, ∞
// and 2, −2, 1/2, −1/2. What is linear in the products comes in two halves, for four points each: so many stay in
// registers.
//
// N is the number of outputs. Where a map ends after two of them, the points ±1/2 are left out: Bᵀ loses their factors
// (z ∓ 1/2) as a polynomial, and gets the numbers (a ∓ 1/2) instead, by which G has divided; the weights are the same.
//
// Source: Winograd 1980; Lavin & Gray 2016, §4.
#pragma once

#include "piece.hpp"
#include "winograd_sizes.hpp"

namespace five {

inline constexpr int kHalf = kPointsOfFive / 2;
inline constexpr int kInfinity = 3;
inline constexpr int kNarrow = 2;  // outputs of a tile at the edge

// Values along an axis of so many outputs, 8 or 6, and how many of them are in its half H.
constexpr int points_of(int outputs) { return outputs + kFive - 1; }
constexpr int points_of_half(int outputs, int half) { return half == 0 ? kHalf : points_of(outputs) - kHalf; }

// Bᵀx: eight inputs, `step` apart, become eight values, or six inputs six. Where all inputs are the same number, all
// but the second are exactly 0, and all outputs the same: what pools choose among equals is to be what the direct way
// leaves to them.
template <int N = kSide, typename V>
PELLUCID_INLINE void transform_input(const V* x, std::ptrdiff_t step, V* t) {
    const V x1 = x[step], x2 = x[2 * step], x3 = x[3 * step], x4 = x[4 * step], x5 = x[5 * step];
    if constexpr (N == kNarrow) {
        t[0] = (x[0] - x2) + 0.25f * (x4 - x2);
        t[kInfinity] = (x5 - x3) + 4.0f * (x1 - x3);
        const V even1 = 0.75f * x4 - 3.0f * x2, odd1 = 0.75f * x3 - 3.0f * x1;
        t[1] = even1 + odd1;
        t[2] = even1 - odd1;
        const V even2 = 3.75f * (x4 - x2), odd2 = 7.5f * (x3 - x1);
        t[4] = even2 + odd2;
        t[5] = even2 - odd2;
        return;
    }
    const V x6 = x[6 * step];
    t[0] = x[0] - x6 + 5.25f * (x4 - x2);
    t[kInfinity] = x[7 * step] - x1 + 5.25f * (x3 - x5);
    const V even1 = x2 + x6 - 4.25f * x4, odd1 = x1 + x5 - 4.25f * x3;
    t[1] = even1 + odd1;
    t[2] = even1 - odd1;
    const V x24 = x2 - x4, x64 = x6 - x4, x13 = x1 - x3, x53 = x5 - x3;
    const V even2 = x64 + 0.25f * x24, odd2 = 0.5f * x13 + 2.0f * x53;
    t[4] = even2 + odd2;
    t[5] = even2 - odd2;
    const V even3 = x64 + 4.0f * x24, odd3 = 2.0f * x13 + 0.5f * x53;
    t[6] = even3 + odd3;
    t[7] = even3 - odd3;
}

// Entry I of Bᵀx, whose inputs lie in eight rows, for column k; what the others take is left out by the compiler.
template <int I, int N = kSide, typename V>
PELLUCID_INLINE V input_at(const V* const* rows, int k) {
    constexpr int kInputs = points_of(N);
    V x[kInputs], t[kInputs];
    PELLUCID_UNROLL
    for (int r = 0; r < kInputs; ++r) x[r] = rows[r][k];
    transform_input<N>(x, 1, t);
    return t[I];
}

// What the values of a half are in B t, the way back.
template <int H, int N = kSide, typename V>
PELLUCID_INLINE void transform_input_back(const V* t, V* x) {
    if constexpr (N == kNarrow && H == 0) {
        const V sum = t[1] + t[2], difference = t[1] - t[2];
        x[0] = t[0];
        x[1] = 4.0f * t[kInfinity] - 3.0f * difference;
        x[2] = -1.25f * t[0] - 3.0f * sum;
        x[3] = 0.75f * difference - 5.0f * t[kInfinity];
        x[4] = 0.25f * t[0] + 0.75f * sum;
        x[5] = t[kInfinity];
    } else if constexpr (N == kNarrow) {
        x[4] = 3.75f * (t[0] + t[1]);
        x[3] = 7.5f * (t[0] - t[1]);
        x[2] = -x[4];
        x[1] = -x[3];
        x[0] = x[5] = V{};
    } else if constexpr (H == 0) {
        const V sum = t[1] + t[2], difference = t[1] - t[2];
        x[0] = t[0];
        x[1] = difference - t[kInfinity];
        x[2] = sum - 5.25f * t[0];
        x[3] = 5.25f * t[kInfinity] - 4.25f * difference;
        x[4] = 5.25f * t[0] - 4.25f * sum;
        x[5] = difference - 5.25f * t[kInfinity];
        x[6] = sum - t[0];
        x[7] = t[kInfinity];
    } else {
        const V sum2 = t[0] + t[1], difference2 = t[0] - t[1], sum3 = t[2] + t[3], difference3 = t[2] - t[3];
        x[0] = x[7] = V{};
        x[1] = 0.5f * difference2 + 2.0f * difference3;
        x[2] = 0.25f * sum2 + 4.0f * sum3;
        x[3] = -2.5f * (difference2 + difference3);
        x[4] = -1.25f * sum2 - 5.0f * sum3;
        x[5] = 2.0f * difference2 + 0.5f * difference3;
        x[6] = sum2 + sum3;
    }
}

// What the products of a half are in Aᵀp, the outputs.
template <int H, int N = kSide, typename V>
PELLUCID_INLINE void transform_products(const V* p, V* y) {
    if constexpr (N == kNarrow && H == 0) {
        y[0] = p[0] + (p[1] + p[2]);
        y[1] = (p[1] - p[2]) + p[kInfinity];
    } else if constexpr (N == kNarrow) {
        y[0] = p[0] + p[1];
        y[1] = 2.0f * (p[0] - p[1]);
    } else if constexpr (H == 0) {
        const V sum = p[1] + p[2], difference = p[1] - p[2];
        y[0] = p[0] + sum;
        y[1] = difference;
        y[2] = sum;
        y[3] = difference + p[kInfinity];
    } else {
        const V sum2 = p[0] + p[1], difference2 = p[0] - p[1], sum3 = p[2] + p[3], difference3 = p[2] - p[3];
        y[0] = sum2 + sum3;
        y[1] = 2.0f * difference2 + 0.5f * difference3;
        y[2] = 4.0f * sum2 + 0.25f * sum3;
        y[3] = 8.0f * difference2 + 0.125f * difference3;
    }
}

// The values of half H of A dy, from N values.
template <int H, int N = kSide, typename V>
PELLUCID_INLINE void transform_output_back(const V* dy, V* v) {
    if constexpr (N == kNarrow && H == 0) {
        v[0] = dy[0];
        v[1] = dy[0] + dy[1];
        v[2] = dy[0] - dy[1];
        v[kInfinity] = dy[1];
    } else if constexpr (N == kNarrow) {
        v[0] = dy[0] + 2.0f * dy[1];
        v[1] = dy[0] - 2.0f * dy[1];
    } else if constexpr (H == 0) {
        const V even = dy[0] + dy[2], odd = dy[1] + dy[3];
        v[0] = dy[0];
        v[1] = even + odd;
        v[2] = even - odd;
        v[kInfinity] = dy[3];
    } else {
        const V even2 = dy[0] + 4.0f * dy[2], odd2 = 2.0f * dy[1] + 8.0f * dy[3];
        const V even3 = dy[0] + 0.25f * dy[2], odd3 = 0.5f * dy[1] + 0.125f * dy[3];
        v[0] = even2 + odd2;
        v[1] = even2 - odd2;
        v[2] = even3 + odd3;
        v[3] = even3 - odd3;
    }
}

// A dy: four values become eight, or two six.
template <int N = kSide, typename V>
PELLUCID_INLINE void transform_whole_output_back(const V* dy, V* v) {
    transform_output_back<0, N>(dy, v);
    transform_output_back<1, N>(dy, v + kHalf);
}

inline constexpr float kScale1 = -2.0f / 9, kScale2 = 1.0f / 90, kScaleHalf = 32.0f / 45;

// G w: five weights, `step` apart, become eight.
PELLUCID_INLINE void transform_weights(const lanes* w, std::ptrdiff_t step, lanes* u) {
    const lanes w0 = w[0], w1 = w[step], w2 = w[2 * step], w3 = w[3 * step], w4 = w[4 * step];
    const lanes even1 = w0 + w2 + w4, odd1 = w1 + w3;
    const lanes even2 = w0 + 4.0f * w2 + 16.0f * w4, odd2 = 2.0f * w1 + 8.0f * w3;
    const lanes even3 = w0 + 0.25f * w2 + 0.0625f * w4, odd3 = 0.5f * w1 + 0.125f * w3;
    u[0] = w0;
    u[1] = kScale1 * (even1 + odd1);
    u[2] = kScale1 * (even1 - odd1);
    u[kInfinity] = w4;
    u[4] = kScale2 * (even2 + odd2);
    u[5] = kScale2 * (even2 - odd2);
    u[6] = kScaleHalf * (even3 + odd3);
    u[7] = kScaleHalf * (even3 - odd3);
}

// Gᵀu: eight values, `step` apart, become five weights.
PELLUCID_INLINE void transform_weights_back(const lanes* u, std::ptrdiff_t step, lanes* w, std::ptrdiff_t w_step) {
    const lanes sum1 = kScale1 * (u[step] + u[2 * step]), difference1 = kScale1 * (u[step] - u[2 * step]);
    const lanes sum2 = kScale2 * (u[4 * step] + u[5 * step]), difference2 = kScale2 * (u[4 * step] - u[5 * step]);
    const lanes sum3 = kScaleHalf * (u[6 * step] + u[7 * step]);
    const lanes difference3 = kScaleHalf * (u[6 * step] - u[7 * step]);
    w[0] = u[0] + sum1 + sum2 + sum3;
    w[w_step] = difference1 + 2.0f * difference2 + 0.5f * difference3;
    w[2 * w_step] = sum1 + 4.0f * sum2 + 0.25f * sum3;
    w[3 * w_step] = difference1 + 8.0f * difference2 + 0.125f * difference3;
    w[4 * w_step] = sum1 + 16.0f * sum2 + 0.0625f * sum3 + u[kInfinity * step];
}

// Call body<R, C>() for a tile that covers so many rows and columns of outputs.
template <typename Body>
void with_sides(int rows, int columns, Body body) {
    const bool low = rows <= kNarrow, slim = columns <= kNarrow;
    if (low && slim) return body.template operator()<kNarrow, kNarrow>();
    if (low) return body.template operator()<kNarrow, kSide>();
    if (slim) return body.template operator()<kSide, kNarrow>();
    body.template operator()<kSide, kSide>();
}

// Call body<0>(), …, body<7>().
template <typename Body>
void for_each_row(Body body) {
    body.template operator()<0>();
    body.template operator()<1>();
    body.template operator()<2>();
    body.template operator()<3>();
    body.template operator()<4>();
    body.template operator()<5>();
    body.template operator()<6>();
    body.template operator()<7>();
}

}  // namespace five
