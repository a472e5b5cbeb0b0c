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
inline constexpr int kPoints = 6;          // values along one axis under a tile
inline constexpr int kGroup = 4;           // tiles that are taken together
inline constexpr int kPointTile = 4;       // filters, or channels, of a register tile; 16 is a multiple of it
inline constexpr int kSumBlock = 128;      // channels, and filters, whose weight gradient is summed together
inline constexpr int kPointChannels = 64;  // whose X, four tiles of it, stays in the first cache

// From one of the 36 points to the next, in lanes, where each has so many channels of a group of tiles: the 36 writes
// of a tile would meet in the same place of the cache were it a power of two.
static constexpr std::ptrdiff_t point_step(std::ptrdiff_t channels) { return kGroup * (channels + 1); }

// How many of `count` channels or filters a block holds, filled up to whole register tiles.
static constexpr std::ptrdiff_t block_of(std::ptrdiff_t count, std::ptrdiff_t most, std::ptrdiff_t tile) {
    const std::ptrdiff_t whole = (count + tile - 1) / tile * tile;
    return whole < most ? whole : most;
}

// Maps that come out, at most, whose products wait together for their last transform. X of few channels stays in the
// second cache beside M of few filters; that of more is made once for as many as may be.
static constexpr int filters_together(std::ptrdiff_t channels) { return channels > kPointChannels ? 512 : 32; }

// Channels are taken kPointChannels at a time.
static constexpr std::ptrdiff_t point_runs(std::ptrdiff_t channels) {
    return (channels + kPointChannels - 1) / kPointChannels;
}

// Lanes of a panel of U, of 16 maps that come out and up to kPointChannels that go in: from one point to the next, with
// a vector between them for the reason of point_step; and all of it.
inline constexpr std::ptrdiff_t kPointPanelStep = kPointChannels + 1, kPointPanel = kPoints * kPoints * kPointPanelStep;

// From one point to the next of X of kPointChannels, and of M.
static constexpr std::ptrdiff_t x_step_of(std::ptrdiff_t channels) {
    return point_step(block_of(channels, kPointChannels, kPointTile));
}
static constexpr std::ptrdiff_t m_step_of(std::ptrdiff_t channels, std::ptrdiff_t filters) {
    return point_step(block_of(filters, filters_together(channels), kLanes));
}

// Lanes that forward takes for X, M and a panel; dx, with channels and filters in each other's place.
static constexpr std::ptrdiff_t point_maps_scratch(std::ptrdiff_t channels, std::ptrdiff_t filters) {
    return kPoints * kPoints * (x_step_of(channels) + m_step_of(channels, filters)) + kPointPanel;
}

// Lanes that the weight gradient takes for X, V and the sums.
static constexpr std::ptrdiff_t point_sums_scratch(std::ptrdiff_t channels, std::ptrdiff_t filters) {
    const std::ptrdiff_t c = block_of(channels, kSumBlock, kPointTile), f = block_of(filters, kSumBlock, kLanes);
    return kPoints * kPoints * (point_step(c) + point_step(f) + c * vectors_of(f));
}

static inline bool is_one_group(const Slot& maps) {
    return std::ptrdiff_t{(maps.height + kSide - 1) / kSide} * ((maps.width + kSide - 1) / kSide) <= kGroup;
}

// Whether U, one way, is more than the caches should be filled with: it is packed past them, or not at all.
static constexpr bool has_many_weights(std::ptrdiff_t channels, std::ptrdiff_t filters) {
    return kPoints * kPoints * channels * filters >= 1 << 20;
}

// Whether nothing is packed: many weights, and no more tiles than are taken together. Every block of samples then
// transforms the weights panel by panel, where it needs them.
static inline bool packs_nothing(const Slot& in, const Slot& out) {
    return is_one_group(in) && is_one_group(out) && has_many_weights(in.channels, out.channels);
}

// Floats of all panels, one way.
static constexpr std::ptrdiff_t point_weights(std::ptrdiff_t channels, std::ptrdiff_t filters) {
    return vectors_of(filters) * point_runs(channels) * kPointPanel * kLanes;
}

// Floats of a convolution's packed weights by points where forward and dx take the same place in turn.
static inline std::ptrdiff_t point_weights_in_turn(const Slot& in, const Slot& out, bool dx) {
    if (packs_nothing(in, out)) return 0;
    const std::ptrdiff_t forward = point_weights(in.channels, out.channels);
    const std::ptrdiff_t back = point_weights(out.channels, in.channels);
    return dx && back > forward ? back : forward;
}

// Floats of a step's packed weights, forward and perhaps for dx.
static inline std::ptrdiff_t winograd_packed(int kernel, const Slot& in, const Slot& out, bool dx) {
    if (kernel == 5) return std::ptrdiff_t{kPointsOfFive * kPointsOfFive} * in.channels * out.channels * (dx ? 2 : 1);
    if (packs_nothing(in, out)) return 0;
    return point_weights(in.channels, out.channels) + (dx ? point_weights(out.channels, in.channels) : 0);
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
