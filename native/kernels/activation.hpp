// Activations, element by element. Each derivative is written in terms of y, so that x need not be kept.
#pragma once

#include "program.hpp"

inline lanes select(mask condition, lanes yes, lanes no) { return condition ? yes : no; }

// e^x for x ≤ 0, to 1 ULP: x = n ln 2 + r, e^x = 2^n e^r, e^r by a polynomial. Below −87.3, 0.
inline lanes exp_negative(lanes x) {
    const lanes shifter = lanes{} + 12582912.0f;  // 1.5·2²³: adding it rounds to a whole number in the low bits
    const lanes rounded = x * 1.44269504088896341f + shifter;
    const lanes n = rounded - shifter;
    const lanes r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    lanes p = lanes{} + 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    // These casts between vectors keep the bits: 2^n is added to the exponent of e^r.
    const mask scaled = (mask)p + (((mask)rounded - 0x4B400000) << 23);
    return select(x < -87.3f, lanes{}, (lanes)scaled);
}

// tanh x: x + x³·P(x²) near 0, where 1 − e^(−2|x|) would cancel; (1 − e)/(1 + e) elsewhere.
inline lanes tanh_lanes(lanes x) {
    const lanes size = select(x < 0.0f, -x, x);
    const lanes e = exp_negative(-2.0f * size);
    const lanes far = (1.0f - e) / (1.0f + e);
    const lanes z = x * x;
    lanes p = lanes{} - 5.70498872745e-3f;
    p = p * z + 2.06390887954e-2f;
    p = p * z - 5.37397155531e-2f;
    p = p * z + 1.33314422036e-1f;
    p = p * z - 3.33332819422e-1f;
    const lanes near = p * z * x + x;
    return select(size < 0.625f, near, select(x < 0.0f, -far, far));
}

inline lanes sigmoid_lanes(lanes x) {
    const lanes e = exp_negative(select(x < 0.0f, x, -x));  // e^(−|x|)
    return select(x < 0.0f, e, lanes{} + 1.0f) / (1.0f + e);
}

inline void activate(Activation kind, float alpha, lanes* y, int count) {
    switch (kind) {
        case Activation::kNone: return;
        case Activation::kReLU:
            for (int i = 0; i < count; ++i) y[i] = select(y[i] < 0.0f, lanes{}, y[i]);  // NaN stays NaN
            return;
        case Activation::kLeakyReLU:
            for (int i = 0; i < count; ++i) y[i] = select(y[i] > 0.0f, y[i], alpha * y[i]);
            return;
        case Activation::kELU:
            for (int i = 0; i < count; ++i) {
                const lanes x = y[i];
                // e^x − 1 near 0 by way of tanh, which does not cancel: e^x − 1 = 2t/(1 − t), t = tanh(x/2).
                const lanes t = tanh_lanes(0.5f * select(x < 0.0f, x, lanes{}));
                y[i] = select(x < 0.0f, alpha * (2.0f * t / (1.0f - t)), x);
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
        case Activation::kNone: return;
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
