#pragma once

#include <cstddef>

#include "program.hpp"

namespace pellucid {

// What kernels/winograd*.hpp need of memory, in lanes; pellucid/engine/winograd.py plans with the same numbers.

inline constexpr int kSide = 4;  // of a tile of outputs

// F(4×4, 5×5), tile by tile.
inline constexpr int kFive = 5;
inline constexpr int kPointsOfFive = 8;                              // values along one axis under a tile
inline constexpr int kTilesOfFive = 16;                              // whose X the weight gradient keeps,
inline constexpr int kChannelsOfFive = 6;                            // of so many channels at most
inline constexpr int kZeros = kSide * kTilesOfFive + kPointsOfFive;  // a row of inputs for so many tiles

// From one row to the next of δ halfway to V, with a tile between them: the writes of a tile would meet in the same
// place of the cache were it a power of two.
static constexpr std::ptrdiff_t row_of_five(std::ptrdiff_t filters, std::ptrdiff_t tiles) {
    return (filters * tiles + 1) * kSide;
}

// Lanes that the weight gradient takes for a row of inputs, X and sums.
static constexpr std::ptrdiff_t sums_of_five(std::ptrdiff_t filters) {
    return kZeros + kChannelsOfFive * kPointsOfFive * (kTilesOfFive + vectors_of(filters) * kLanes);
}

// F(4×4, 3×3) by points.
inline constexpr int kPoints = 6;      // values along one axis under a tile
inline constexpr int kGroup = 4;       // tiles that are taken together
inline constexpr int kPointTile = 4;   // filters, or channels, of a register tile; 16 is a multiple of it
inline constexpr int kSumBlock = 128;  // channels, and filters, whose weight gradient is summed together

// From one of the 36 points to the next, in lanes, where each has so many channels of a group of tiles: the 36 writes
// of a tile would meet in the same place of the cache were it a power of two.
static constexpr std::ptrdiff_t point_step(std::ptrdiff_t channels) { return kGroup * (channels + 1); }

// How many of `count` channels or filters a block holds, filled up to whole register tiles.
static constexpr std::ptrdiff_t block_of(std::ptrdiff_t count, std::ptrdiff_t most, std::ptrdiff_t tile) {
    const std::ptrdiff_t whole = (count + tile - 1) / tile * tile;
    return whole < most ? whole : most;
}

// Filters, at most, whose products wait together for their last transform. X of up to 128 channels stays in the second
// cache beside M of few filters. That of more is fetched again for every block of filters; that of very many only once.
static constexpr int filters_together(std::ptrdiff_t channels) {
    return channels > 256 ? 512 : channels > 128 ? 64 : 32;
}

// Lanes that forward takes for X and M; dx, with channels and filters in each other's place.
static constexpr std::ptrdiff_t point_maps_scratch(std::ptrdiff_t channels, std::ptrdiff_t filters) {
    return kPoints * kPoints *
           (point_step(channels) + point_step(block_of(filters, filters_together(channels), kPointTile)));
}

// Lanes that the weight gradient takes for X, V and the sums.
static constexpr std::ptrdiff_t point_sums_scratch(std::ptrdiff_t channels, std::ptrdiff_t filters) {
    const std::ptrdiff_t c = block_of(channels, kSumBlock, kPointTile), f = block_of(filters, kSumBlock, kLanes);
    return kPoints * kPoints * (point_step(c) + point_step(f) + c * vectors_of(f));
}

// Floats of the packed weights, one way: from one point to the next, with a vector between them for the same reason,
// and all of them.
static constexpr std::ptrdiff_t point_weights_step(std::ptrdiff_t channels, std::ptrdiff_t filters) {
    return (channels * vectors_of(filters) + 1) * kLanes;
}
static constexpr std::ptrdiff_t point_weights(std::ptrdiff_t channels, std::ptrdiff_t filters) {
    return kPoints * kPoints * point_weights_step(channels, filters);
}

// Floats of a convolution's packed weights by points where forward and dx take the same place in turn.
static inline std::ptrdiff_t point_weights_in_turn(std::ptrdiff_t channels, std::ptrdiff_t filters, bool dx) {
    const std::ptrdiff_t forward = point_weights(channels, filters), back = point_weights(filters, channels);
    return dx && back > forward ? back : forward;
}

// Floats of a step's packed weights, forward and perhaps for dx.
static inline std::ptrdiff_t winograd_packed(int kernel, std::ptrdiff_t channels, std::ptrdiff_t filters, bool dx) {
    if (kernel == 3) return point_weights(channels, filters) + (dx ? point_weights(filters, channels) : 0);
    return kPointsOfFive * kPointsOfFive * channels * filters * (dx ? 2 : 1);
}

// For a thread alone: zeros, then what the hungrier of dx and the weight gradient keeps; forward needs less.
static inline std::ptrdiff_t winograd_scratch(int kernel, std::ptrdiff_t channels, std::ptrdiff_t filters) {
    if (kernel == 3) {
        const std::ptrdiff_t forward = point_maps_scratch(channels, filters),
                             dx = point_maps_scratch(filters, channels);
        const std::ptrdiff_t maps = forward > dx ? forward : dx, weights = point_sums_scratch(channels, filters);
        return kZeros + (maps > weights ? maps : weights);
    }
    const std::ptrdiff_t dx = kPointsOfFive * (filters + kPointsOfFive * channels);
    const std::ptrdiff_t weights = sums_of_five(filters);
    return kZeros + (dx > weights ? dx : weights);
}

// Whether a 5×5 convolution goes row by row, forward and for its weights: with one map, kernels/winograd_rows.hpp.
static constexpr bool goes_by_rows(const Slot& in) { return in.channels == 1; }

// In a block's arena: δ halfway to V, unless nothing reads it; and sums over tiles with 16 filters to a vector.
static inline std::ptrdiff_t delta_of_five(const Step& step, const Slot& in, const Slot& out) {
    if (goes_by_rows(in) && !(step.tile && step.needs_dx)) return 0;
    const std::ptrdiff_t down = (out.height + kSide - 1) / kSide, across = (out.width + kSide - 1) / kSide;
    return kPointsOfFive * row_of_five(out.channels, down * across);
}
static inline std::ptrdiff_t winograd_notes(const Step& step, const Slot& in, const Slot& out) {
    if (step.winograd() == 3) return 0;
    return delta_of_five(step, in, out) +
           std::ptrdiff_t{in.channels} * kPointsOfFive * kPointsOfFive * vectors_of(out.channels);
}

}  // namespace pellucid
