// Activations, element by element. Each derivative is written in terms of y, so that x need not be kept.
#pragma once

#include "piece.hpp"
#include "program.hpp"

template <typename V>
V select(Mask<V> condition, V yes, V no) {
    return condition ? yes : no;
}

// x = n ln 2 + r for x ≤ 0, and the two parts of e^x = 2^n e^r: 2^n, and e^r − 1 by a polynomial.
template <typename V>
struct PowerOfE {
    V two_to_n, rest;
};

template <typename V>
PowerOfE<V> power_of_e(V x) {
    const V shifter = V{} + 12582912.0f;  // 1.5·2²³: adding it rounds to a whole number in the low bits
    const V rounded = select<V>(x < -87.3f, V{} - 87.3f, x) * 1.44269504088896341f + shifter;
    const V n = rounded - shifter;
    const V r = (select<V>(x < -87.3f, V{} - 87.3f, x) - n * 0.693359375f) + n * 2.12194440e-4f;
    V p = V{} + 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    // These casts between vectors keep the bits: n becomes the exponent of a float.
    const V two_to_n = (V)(((Mask<V>)rounded - 0x4B400000 + 127) << 23);
    return {two_to_n, p * (r * r) + r};
}

// e^x for x ≤ 0; below −87.3, 0.
template <typename V>
V exp_negative(V x) {
    const PowerOfE<V> e = power_of_e(x);
    return select<V>(x < -87.3f, V{}, e.two_to_n * e.rest + e.two_to_n);
}

// e^x − 1 for x ≤ 0, without the cancellation near 0.
template <typename V>
V expm1_negative(V x) {
    const PowerOfE<V> e = power_of_e(x);
    return e.two_to_n * e.rest + (e.two_to_n - 1.0f);
}

// tanh x = −m/(2 + m) for x ≥ 0, m = e^(−2x) − 1.
template <typename V>
V tanh_lanes(V x) {
    const V m = expm1_negative(-2.0f * select<V>(x < 0.0f, -x, x));
    const V y = m / (2.0f + m);
    return select<V>(x < 0.0f, y, -y);
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

// dy ← dy·f′, f′ from y.
inline void activate_backward(Activation kind, float alpha, const lanes* outputs, lanes* deltas, int vector_count) {
    const piece* y = pieces(outputs, 0);
    piece* dy = pieces(deltas, 0);
    const int count = vector_count * kParts;
    switch (kind) {
        case Activation::kNone:
            return;
        case Activation::kReLU:
            for (int i = 0; i < count; ++i) dy[i] = select<piece>(y[i] > 0.0f, dy[i], piece{});
            return;
        case Activation::kLeakyReLU:
            for (int i = 0; i < count; ++i) dy[i] = select<piece>(y[i] > 0.0f, dy[i], alpha * dy[i]);
            return;
        case Activation::kELU:
            for (int i = 0; i < count; ++i) dy[i] = select<piece>(y[i] < 0.0f, dy[i] * (y[i] + alpha), dy[i]);
            return;
        case Activation::kSigmoid:
            for (int i = 0; i < count; ++i) dy[i] = dy[i] * (y[i] * (1.0f - y[i]));
            return;
        case Activation::kTanh:
            for (int i = 0; i < count; ++i) dy[i] = dy[i] * (1.0f - y[i] * y[i]);
            return;
    }
}
