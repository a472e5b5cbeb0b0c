// Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011, Parallel random numbers: as easy as 1, 2, 3): four random words that
// are a function of a counter and a key. pellucid/philox.py computes the same.
#pragma once

#include <cstdint>

#include "lanes.hpp"

// Four words for each lane: word i of lane t is words[i][t].
struct RandomWords {
    alignas(64) std::uint32_t words[4][kLanes];
};

// Of the counters (group, samples[t], layer, step), t being the lane. Written for one lane: the compiler makes vectors
// of the loop, and knows better than a vector type would tell it how to get at the high half of a product.
inline void draw(std::uint32_t group, const std::uint32_t* samples, std::uint32_t layer, std::uint32_t step,
                 std::uint64_t seed, RandomWords& found) {
    for (std::uint32_t t = 0; t < kLanes; ++t) {
        std::uint32_t a = group, b = samples[t], c = layer, d = step;
        std::uint32_t key = static_cast<std::uint32_t>(seed), other = static_cast<std::uint32_t>(seed >> 32);
        for (int round = 0; round < 10; ++round) {
            const std::uint64_t p = std::uint64_t{0xD2511F53} * a, q = std::uint64_t{0xCD9E8D57} * c;
            a = static_cast<std::uint32_t>(q >> 32) ^ b ^ key;
            b = static_cast<std::uint32_t>(q);
            c = static_cast<std::uint32_t>(p >> 32) ^ d ^ other;
            d = static_cast<std::uint32_t>(p);
            key += 0x9E3779B9u;
            other += 0xBB67AE85u;
        }
        found.words[0][t] = a;
        found.words[1][t] = b;
        found.words[2][t] = c;
        found.words[3][t] = d;
    }
}
