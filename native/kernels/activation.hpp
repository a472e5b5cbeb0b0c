// Activations, element by element. Each derivative is written in terms of y, so that x need not be kept.
#pragma once

#include "program.hpp"

inline lanes select(mask condition, lanes yes, lanes no) { return condition ? yes : no; }

// x = n ln 2 + r for x ≤ 0, and the two parts of e^x = 2^n e^r: 2^n, and e^r − 1 by a polynomial.
struct PowerOfE {
    lanes two_to_n, rest;
};

inline PowerOfE power_of_e(lanes x) {
    const lanes shifter = lanes{} + 12582912.0f;  // 1.5·2²³: adding it rounds to a whole number in the low bits
    const lanes rounded = select(x < -87.3f, lanes{} - 87.3f, x) * 1.44269504088896341f + shifter;
    const lanes n = rounded - shifter;
    const lanes r = (select(x < -87.3f, lanes{} - 87.3f, x) - n * 0.693359375f) + n * 2.12194440e-4f;
    lanes p = lanes{} + 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    // These casts between vectors keep the bits: n becomes the exponent of a float.
    const lanes two_to_n = (lanes)(((mask)rounded - 0x4B400000 + 127) << 23);
    return {two_to_n, p * (r * r) + r};
}

// e^x for x ≤ 0; below −87.3, 0.
inline lanes exp_negative(lanes x) {
    const PowerOfE e = power_of_e(x);
    return select(x < -87.3f, lanes{}, e.two_to_n * e.rest + e.two_to_n);
}

// e^x − 1 for x ≤ 0, without the cancellation near 0.
inline lanes expm1_negative(lanes x) {
    const PowerOfE e = power_of_e(x);
    return e.two_to_n * e.rest + (e.two_to_n - 1.0f);
}

// tanh x = −m/(2 + m) for x ≥ 0, m = e^(−2x) − 1.
inline lanes tanh_lanes(lanes x) {
    const lanes m = expm1_negative(-2.0f * select(x < 0.0f, -x, x));
    const lanes y = m / (2.0f + m);
    return select(x < 0.0f, y, -y);
}

inline lanes sigmoid_lanes(lanes x) {
    const lanes e = exp_negative(select(x < 0.0f, x, -x));  // e^(−|x|)
    return select(x < 0.0f, e, lanes{} + 1.0f) / (1.0f + e);
}

inline void activate(Activation kind, float alpha, lanes* y, int count) {
    switch (kind) {
        case Activation::kNone:
            return;
        case Activation::kReLU:
            for (int i = 0; i < count; ++i) y[i] = select(y[i] < 0.0f, lanes{}, y[i]);  // NaN stays NaN
            return;
        case Activation::kLeakyReLU:
            for (int i = 0; i < count; ++i) y[i] = select(y[i] > 0.0f, y[i], alpha * y[i]);
            return;
        case Activation::kELU:
            for (int i = 0; i < count; ++i) {
                const lanes x = y[i];
                y[i] = select(x < 0.0f, alpha * expm1_negative(select(x < 0.0f, x, lanes{})), x);
            }
            return;
        case Activation::kSigmoid:
            for (int i = 0; i < count; ++i) y[i] = sigmoid_lanes(y[i]);
            return;
        case Activation::kTanh:
            for (int i = 0; i < count; ++i) y[i] = tanh_lanes(y[i]);
            return;
    }
}

// dy ← dy·f′, f′ from y.
inline void activate_backward(Activation kind, float alpha, const lanes* y, lanes* dy, int count) {
    switch (kind) {
        case Activation::kNone:
            return;
        case Activation::kReLU:
            for (int i = 0; i < count; ++i) dy[i] = select(y[i] > 0.0f, dy[i], lanes{});
            return;
        case Activation::kLeakyReLU:
            for (int i = 0; i < count; ++i) dy[i] = select(y[i] > 0.0f, dy[i], alpha * dy[i]);
            return;
        case Activation::kELU:
            for (int i = 0; i < count; ++i) dy[i] = select(y[i] < 0.0f, dy[i] * (y[i] + alpha), dy[i]);
            return;
        case Activation::kSigmoid:
            for (int i = 0; i < count; ++i) dy[i] = dy[i] * (y[i] * (1.0f - y[i]));
            return;
        case Activation::kTanh:
            for (int i = 0; i < count; ++i) dy[i] = dy[i] * (1.0f - y[i] * y[i]);
            return;
    }
}
