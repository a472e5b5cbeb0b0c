// Roots and powers. Powers go through double precision, so that one rounding to float is all that is lost.
#pragma once

#include <cstdint>

#include "lanes.hpp"

typedef double doubles __attribute__((vector_size(128), aligned(64)));
typedef std::int64_t longs __attribute__((vector_size(128), aligned(64)));

// The compiler makes vectors of these loops.
inline lanes square_root(lanes x) {
    for (int t = 0; t < kLanes; ++t) x[t] = __builtin_sqrtf(x[t]);
    return x;
}

inline doubles square_root(doubles x) {
    for (int t = 0; t < kLanes; ++t) x[t] = __builtin_sqrt(x[t]);
    return x;
}

// log₂ x, relative error below 2·10⁻¹²; ∓10³⁰⁰ for 0 (and what is below the smallest normal number) and infinity.
inline doubles log2_lanes(lanes x) {
    // x = 2^e·m, √½ ≤ m < √2; the casts keep the bits.
    const mask e = ((mask)x - 0x3F3504F3) >> 23;
    const doubles m = __builtin_convertvector((lanes)((mask)x - (e << 23)), doubles);
    // ln m = 2 artanh s = 2(s + s³/3 + s⁵/5 + …), |s| ≤ 0.172
    const doubles s = (m - 1.0) / (m + 1.0), square = s * s;
    doubles sum = square * (1.0 / 13) + 1.0 / 11;
    sum = sum * square + 1.0 / 9;
    sum = sum * square + 1.0 / 7;
    sum = sum * square + 1.0 / 5;
    sum = sum * square + 1.0 / 3;
    sum = sum * square + 1.0;
    const doubles log = __builtin_convertvector(e, doubles) + s * sum * 2.8853900817779268;  // 2/ln 2
    const doubles wide = __builtin_convertvector(x, doubles);
    return wide < 1.1754943508222875e-38 ? doubles{} - 1e300 : (wide > 3.5e38 ? doubles{} + 1e300 : log);
}

// 2^z, relative error below 10⁻¹¹, rounded once; 0 or infinity where float has nothing for it.
inline lanes exp2_lanes(doubles z) {
    z = z < -151.0 ? doubles{} - 151.0 : (z > 129.0 ? doubles{} + 129.0 : z);
    const doubles shifter =
        doubles{} + 6755399441055744.0;  // 1.5·2⁵²: adding it rounds to a whole number in the low bits
    const doubles rounded = z + shifter, f = (z - (rounded - shifter)) * 0.69314718055994531;
    doubles p = f * (1.0 / 362880) + 1.0 / 40320;
    p = p * f + 1.0 / 5040;
    p = p * f + 1.0 / 720;
    p = p * f + 1.0 / 120;
    p = p * f + 1.0 / 24;
    p = p * f + 1.0 / 6;
    p = p * f + 0.5;
    p = p * f + 1.0;
    p = p * f + 1.0;
    const doubles two_to_n = (doubles)(((longs)rounded + 1023) << 52);
    return __builtin_convertvector(p * two_to_n, lanes);
}

// x^a for x ≥ 0 and a ≠ 0, less than 0.51 units in the last place from the true one. NaN stays NaN.
inline lanes power(lanes x, double a) { return x == x ? exp2_lanes(log2_lanes(x) * a) : x; }
