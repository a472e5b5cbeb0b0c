#pragma once

#include <cstddef>

#include "program.hpp"

namespace pellucid {

// What kernels/winograd*.hpp need of memory, in lanes; pellucid/engine/winograd.py plans with the same numbers.

inline constexpr int kPoints = 6;                          // values along one axis under a tile
inline constexpr int kTilesAtOnce = 32;                    // whose inputs the weight gradient keeps transformed
inline constexpr int kWeightsInputs = 2;                   // most channels that it takes together
inline constexpr int kZeros = 4 * kTilesAtOnce + kPoints;  // a row of inputs for so many tiles

// For a thread alone: zeros, then what the hungrier of dx and the weight gradient keeps; forward needs less.
static inline std::ptrdiff_t winograd_scratch(std::ptrdiff_t channels, std::ptrdiff_t filters) {
    const std::ptrdiff_t dx = kPoints * (filters + kPoints * channels);
    const std::ptrdiff_t sums = kLanes * vectors_of(filters);
    const std::ptrdiff_t weights = kZeros + kWeightsInputs * kPoints * (kTilesAtOnce + sums);
    return kZeros + (dx > weights ? dx : weights);
}

// In a block's arena: δ tile by tile, and Σ V ⊙ X with 16 filters to a vector.
static inline std::ptrdiff_t winograd_notes(int side, const Slot& in, const Slot& out) {
    const std::ptrdiff_t down = (out.height + side - 1) / side, across = (out.width + side - 1) / side;
    return out.channels * down * across * side * side +
           std::ptrdiff_t{in.channels} * kPoints * kPoints * vectors_of(out.channels);
}

}  // namespace pellucid
