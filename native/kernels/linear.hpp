// The weight gradient of linear layers, over all samples t of a batch: dw[f, c] = Σ_t dy[f, t] x[c, t].
//
// Every block leaves its x, turned out of the lanes, and its dy. When all have, the rows of dw are handed out to the
// threads: each number is written once, by the thread that updates it.
#pragma once

#include "pointwise.hpp"

inline constexpr int kSummedBlocks = 4;  // whose samples one tile sums before it writes
inline constexpr int kKeptPanel = 4096;  // vectors of x, 256 KiB, that all rows pass over

// What the blocks leave: x as [kWide channels][sample][kWide], dy as [f][sample].
struct Kept {
    lanes *x, *delta;
    int blocks;

    Kept(const Slot& in, const Step& step, lanes* kept, int count)
        : x(kept + step.kept * count), delta(x + kept_channels(in.channels) * count), blocks(count) {}

    lanes* group(int number, int block) const {
        return x + (static_cast<std::ptrdiff_t>(number) * blocks + block) * kLanes * kProductVectors;
    }
};

inline void keep_samples(const Program& program, const Step& step, lanes* arena, lanes* kept, int block, int blocks,
                         Part part) {
    const Slot &in = program.slots[step.input], &out = program.slots[step.output];
    const Kept to(in, step, kept, blocks);
    const Grid x(in, arena + in.value, 1, 1);
    for (const int g : part.of((in.channels + kWide - 1) / kWide)) {
        turn_pixels(x, g * kWide, at_most(kWide, in.channels - g * kWide), 0, 1, 0, 1, to.group(g, block));
    }
    for (const int f : part.of(out.channels)) {
        to.delta[static_cast<std::ptrdiff_t>(f) * blocks + block] = arena[out.delta + f * out.plane() + out.border];
    }
}

// The tiles of rows that begin among the parameters in [from, to).
inline Range tiles_within(const Program& program, const Step& step, std::ptrdiff_t from, std::ptrdiff_t to) {
    const std::ptrdiff_t tile = std::ptrdiff_t{kProductRows} * program.slots[step.input].channels;
    const int tiles = row_tiles(program.slots[step.output]);
    const auto from_there_on = [&](std::ptrdiff_t parameter) {
        const std::ptrdiff_t before = parameter > step.weight ? (parameter - step.weight + tile - 1) / tile : 0;
        return before < tiles ? static_cast<int>(before) : tiles;
    };
    return {from_there_on(from), from_there_on(to)};
}

// Ask for the cache lines of weights that are to be written soon. Other threads have read them, and taking a line from
// another processor's cache lasts longer than writing it.
inline void fetch_to_write(const float* weights, std::ptrdiff_t row, int rows, int count) {
    for (int i = 0; i < rows; ++i) {
        for (int c = 0; c < count; c += kLanes) __builtin_prefetch(weights + i * row + c, 1);
    }
}

// `params`: what is to be updated next; null for nothing.
inline void linear_weight_gradient(const Program& program, const Step& step, lanes* kept, int blocks, float* gradients,
                                   const float* params, Range tiles) {
    const Slot &in = program.slots[step.input], &out = program.slots[step.output];
    const Kept from(in, step, kept, blocks);
    const int channels = in.channels, groups = (channels + kWide - 1) / kWide;
    const int most = kKeptPanel / (kLanes * kProductVectors) / blocks, together = most > 1 ? most : 1;
    for (int g0 = 0; g0 < groups; g0 += together) {
        for (const int tile : tiles) {
            const int f = tile * kProductRows, rows = at_most(kProductRows, out.channels - f);
            const float* delta = reinterpret_cast<const float*>(from.delta + static_cast<std::ptrdiff_t>(f) * blocks);
            const std::ptrdiff_t first = step.weight + static_cast<std::ptrdiff_t>(f) * channels;
            float* dw = gradients + first;
            for (int g = g0; g < at_most(g0 + together, groups); ++g) {
                const int features = at_most(kWide, channels - g * kWide);
                const GradientTile sum = find_gradient_tile(rows, vectors_of(features));
                if (params) fetch_to_write(params + first + g * kWide, channels, rows, features);
                for (int b = 0; b < blocks; b += kSummedBlocks) {
                    sum(dw + g * kWide, channels, features, b > 0, delta + b * kLanes, std::ptrdiff_t{blocks} * kLanes,
                        0, 1, at_most(kSummedBlocks, blocks - b) * kLanes, from.group(g, b));
                }
            }
        }
    }
}
