// The most multiply-adds that the arithmetic allows: what the kernels' speed is held against.
//
//     x ← x·x − 1.9
//
// One multiply-add waits for the one before, so twelve chains run side by side: enough to hide its latency, few enough
// for the registers. The numbers never settle, since |x| ≤ 1.9 stays so, and digits that change cost power as real ones
// do.
#pragma once

#include "piece.hpp"

inline constexpr int kWidth = sizeof(piece) / sizeof(float), kChains = 12;

// Returns the sum of all numbers, so that none of them may be left out.
inline float multiply_add_chains(long rounds) {
    piece start;
    for (int t = 0; t < kWidth; ++t) start[t] = 0.1f + 0.01f * static_cast<float>(t);
    piece x[kChains];
    for (int i = 0; i < kChains; ++i) x[i] = start + 0.1f * static_cast<float>(i);
    for (long round = 0; round < rounds; ++round) {
        for (int i = 0; i < kChains; ++i) x[i] = x[i] * x[i] - 1.9f;
    }
    piece sum = piece{};
    for (int i = 0; i < kChains; ++i) sum += x[i];
    float total = 0.0f;
    for (int t = 0; t < kWidth; ++t) total += sum[t];
    return total;
}
