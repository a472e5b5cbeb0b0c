// Activations, element by element. Each derivative is written in terms of y, so that x need not be kept.
#pragma once

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "piece.hpp"
#include "program.hpp"

template <typename V>
V select(Mask<V> condition, V yes, V no) {
    return condition ? yes : no;
}

// x, or the bound where x is below it. NaN stays NaN, as with the processor's maximum, of which GCC does not think.
// (With a mask: without, GCC 12 warns of its own header.)
template <typename V>
V at_least(float bound, V x) {
#if defined(__AVX512F__)
    if constexpr (sizeof(V) == sizeof(__m512)) return (V)_mm512_maskz_max_ps(0xFFFF, (__m512)(V{} + bound), (__m512)x);
#elif defined(__AVX2__)
    if constexpr (sizeof(V) == sizeof(__m256)) return (V)_mm256_max_ps((__m256)(V{} + bound), (__m256)x);
#endif
    return select<V>(x < bound, V{} + bound, x);
}

// x = n ln 2 + r for x ≤ 0, and the two parts of e^x = 2^n e^r: 2^n, and e^r − 1 by a polynomial.
template <typename V>
struct PowerOfE {
    V two_to_n, rest;
};

inline constexpr float kLeastPower = -87.3f;  // below, e^x is no normal number

// Where only e^x − 1 is wanted, ln 2 need not be taken in two parts: what its rounding leaves, n·2·10⁻⁹, counts for
// nothing beside 1.
template <bool kMinusOne, typename V>
PowerOfE<V> power_of_e(V below) {
    const V x = at_least<V>(kLeastPower, below);
    // 1.5·2²³ + 127: adding it rounds to a whole number, and leaves it in the low bits as a float has its exponent.
    const V shifter = V{} + 12583039.0f;
    const V rounded = x * 1.44269504088896341f + shifter;
    const V n = rounded - shifter;
    const V r = kMinusOne ? x - n * 0.69314718056f : (x - n * 0.693359375f) + n * 2.12194440e-4f;
    V p = V{} + 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    return {(V)((Mask<V>)rounded << 23), p * (r * r) + r};
}

// e^x for x ≤ 0; below −87.3, 0.
template <typename V>
V exp_negative(V x) {
    const PowerOfE<V> e = power_of_e<false>(x);
    return select<V>(x < kLeastPower, V{}, e.two_to_n * e.rest + e.two_to_n);
}

// e^x − 1 for x ≤ 0, without the cancellation near 0.
template <typename V>
V expm1_negative(V x) {
    const PowerOfE<V> e = power_of_e<true>(x);
    return e.two_to_n * e.rest + (e.two_to_n - 1.0f);
}

// tanh |x| = −m/(2 + m), m = e^(−2|x|) − 1; with the sign of x.
template <typename V>
V tanh_lanes(V x) {
    constexpr int kSign = static_cast<int>(0x80000000);
    const V below = (V)((Mask<V>)x | kSign);  // −|x|
    const V m = expm1_negative<V>(below + below);
    const V y = m / (2.0f + m);
    return (V)(((Mask<V>)y & ~kSign) | ((Mask<V>)x & kSign));
}

template <typename V>
V sigmoid_lanes(V x) {
    const V e = exp_negative(select<V>(x < 0.0f, x, -x));  // e^(−|x|)
    return select<V>(x < 0.0f, e, V{} + 1.0f) / (1.0f + e);
}

inline void activate(Activation kind, float alpha, lanes* vectors, int vector_count) {
    piece* y = pieces(vectors, 0);
    const int count = vector_count * kParts;
    switch (kind) {
        case Activation::kNone:
            return;
        case Activation::kReLU:
            for (int i = 0; i < count; ++i) y[i] = select<piece>(y[i] < 0.0f, piece{}, y[i]);  // NaN stays NaN
            return;
        case Activation::kLeakyReLU:
            for (int i = 0; i < count; ++i) y[i] = select<piece>(y[i] > 0.0f, y[i], alpha * y[i]);
            return;
        case Activation::kELU:
            for (int i = 0; i < count; ++i) {
                const piece x = y[i];
                y[i] = select<piece>(x < 0.0f, alpha * expm1_negative<piece>(select<piece>(x < 0.0f, x, piece{})), x);
            }
            return;
        case Activation::kSigmoid:
            for (int i = 0; i < count; ++i) y[i] = sigmoid_lanes<piece>(y[i]);
            return;
        case Activation::kTanh:
            for (int i = 0; i < count; ++i) y[i] = tanh_lanes<piece>(y[i]);
            return;
    }
}

// dx = dy·f′, f′ from y; dy(i) is the δ of piece i.
template <typename Delta>
void activate_backward(Activation kind, float alpha, const lanes* outputs, Delta dy, lanes* deltas, int vector_count) {
    const piece* y = pieces(outputs, 0);
    piece* dx = pieces(deltas, 0);
    const int count = vector_count * kParts;
    switch (kind) {
        case Activation::kNone:
            for (int i = 0; i < count; ++i) dx[i] = dy(i);
            return;
        case Activation::kReLU:
            for (int i = 0; i < count; ++i) dx[i] = select<piece>(y[i] > 0.0f, dy(i), piece{});
            return;
        case Activation::kLeakyReLU:
            for (int i = 0; i < count; ++i) dx[i] = select<piece>(y[i] > 0.0f, dy(i), alpha * dy(i));
            return;
        case Activation::kELU:
            for (int i = 0; i < count; ++i) dx[i] = select<piece>(y[i] < 0.0f, dy(i) * (y[i] + alpha), dy(i));
            return;
        case Activation::kSigmoid:
            for (int i = 0; i < count; ++i) dx[i] = dy(i) * (y[i] * (1.0f - y[i]));
            return;
        case Activation::kTanh:
            for (int i = 0; i < count; ++i) dx[i] = dy(i) * (1.0f - y[i] * y[i]);
            return;
    }
}

// In place.
inline void activate_backward(Activation kind, float alpha, const lanes* outputs, lanes* deltas, int vector_count) {
    if (kind == Activation::kNone) return;
    const piece* dy = pieces(deltas, 0);
    activate_backward(kind, alpha, outputs, [dy](int i) { return dy[i]; }, deltas, vector_count);
}
