// Forward and dx of 3×3 convolutions by F(4×4, 3×3), as 36 matrix products, one for every point (i, j) of a tile:
//
//     M[i,j][f, t] = Σ_c U[i,j][f, c]·X[i,j][c, t]        y = AᵀM A
//
// for a group of four tiles t, each number of X and M being 16 samples. Every weight that comes from memory serves four
// tiles, and the inputs' transforms serve all filters, however wide the layer.
//
// dx is the same correlation: of δ, with the kernels turned by 180° and c and f in each other's place.
#pragma once

#include "conv.hpp"
#include "winograd_by_point_pack.hpp"
#include "winograd_tiles.hpp"

#if defined(__AVX512F__)
inline constexpr int kTilesInRegisters = 4;
#else
inline constexpr int kTilesInRegisters = 2;
#endif
inline constexpr int kWeightsAhead = 1024;  // floats: a page, at whose end the processor stops to fetch by itself

// Maps that are read, or written, tile by tile.
struct Maps {
    const Slot& slot;
    lanes* first;

    lanes* at(int c, int u, int v) const { return first + c * slot.plane() + u * slot.pitch() + slot.border + v; }
};

// Where a tile lies among the outputs, and how many of its 4×4 there are.
struct Tile {
    int top, left, rows, columns;

    bool takes(int point) const { return takes_point(rows, point / kPoints) && takes_point(columns, point % kPoints); }
};

// Tiles that are taken together.
struct Group {
    int count;
    Tile tiles[kGroup];

    // How many it takes to the last that has a product at this point.
    int taking(int point) const {
        int taken = count;
        while (taken > 0 && !tiles[taken - 1].takes(point)) --taken;
        return taken;
    }

    // Of three, whether the one in the middle has none: it is alone at the right edge of the map.
    bool takes_ends(int point) const { return taking(point) == 3 && !tiles[1].takes(point); }
};

// A correlation of `from` with 3×3 kernels, cut into tiles of up to 4×4 outputs, row by row.
struct Correlation {
    Maps from, to;
    int before_rows, before_columns;
    const lanes* zeros;

    int across() const { return (to.slot.width + kSide - 1) / kSide; }
    int tiles() const { return (to.slot.height + kSide - 1) / kSide * across(); }
    int groups() const { return (tiles() + kGroup - 1) / kGroup; }

    Group group(int number) const {
        Group found{at_most(kGroup, tiles() - number * kGroup), {}};
        for (int t = 0; t < found.count; ++t) {
            const int tile = number * kGroup + t, top = tile / across() * kSide, left = tile % across() * kSide;
            found.tiles[t] = {top, left, at_most(kSide, to.slot.height - top), at_most(kSide, to.slot.width - left)};
        }
        return found;
    }

    // Row `r` of the inputs under a tile, or zeros outside the map.
    const lanes* input_row(int c, const Tile& tile, int r) const {
        const int u = tile.top + r - before_rows;
        return u < 0 || u >= from.slot.height ? zeros : from.at(c, u, tile.left - before_columns);
    }
};

// X = Bᵀx B of one channel under one tile of R×C outputs, its 36 numbers `step` apart.
template <int R, int C>
void transform_tile(const Correlation& maps, int c, const Tile& tile, lanes* x, std::ptrdiff_t step) {
    const lanes* rows[R + 2];
    for (int r = 0; r < R + 2; ++r) {
        rows[r] = maps.input_row(c, tile, r);
        for (int k = 0; k < C; ++k) __builtin_prefetch(rows[r] + maps.from.slot.plane() + k);  // the next channel's
    }
    for (int part = 0; part < kParts; ++part) {
        transform_rows_of_inputs<R, C, 0, 5>(rows, part, x, step);
        transform_rows_of_inputs<R, C, 1, 2>(rows, part, x, step);
        transform_rows_of_inputs<R, C, 3, 4>(rows, part, x, step);
    }
}

// X of `channels` channels from c0 on under a group of tiles, [36][c][tile].
inline void transform_group(const Correlation& maps, const Group& group, int c0, int channels, lanes* x,
                            std::ptrdiff_t step) {
    for (int c = 0; c < channels; ++c) {
        for (int t = 0; t < group.count; ++t) {
            const Tile& tile = group.tiles[t];
            with_outputs(tile.rows, tile.columns,
                         [&]<int R, int C>() { transform_tile<R, C>(maps, c0 + c, tile, x + c * kGroup + t, step); });
        }
    }
}

// m[f][t] (+)= Σ_c u[c][f]·x[c][t] for four filters and TT tiles, kApart from each other.
template <int TT, int kApart = 1>
void point_tile(const float* u, const lanes* x, int channels, bool begin, lanes* m) {
    for (int part = 0; part < kParts; ++part) {
        piece s[kPointTile][TT];
        for (int f = 0; f < kPointTile; ++f) {
            for (int t = 0; t < TT; ++t) s[f][t] = begin ? piece{} : *pieces(m + f * kGroup + t * kApart, part);
        }
        for (int c = 0; c < channels; ++c) {
            __builtin_prefetch(u + c * kPointTile + kWeightsAhead);
            const piece* pixels = pieces(x + c * kGroup, part);
            piece v[TT];
            for (int t = 0; t < TT; ++t) v[t] = pixels[t * kApart * kParts];
            for (int f = 0; f < kPointTile; ++f) {
                piece weight = u[c * kPointTile + f] - piece{};
                keep_in_register(weight);
                for (int t = 0; t < TT; ++t) s[f][t] += weight * v[t];
            }
        }
        for (int f = 0; f < kPointTile; ++f) {
            for (int t = 0; t < TT; ++t) *pieces(m + f * kGroup + t * kApart, part) = s[f][t];
        }
    }
}

inline void point_tile(int tiles, const float* u, const lanes* x, int channels, bool begin, lanes* m) {
    switch (tiles) {
        case 1:
            return point_tile<1>(u, x, channels, begin, m);
#if defined(__AVX512F__)
        case 3:
            return point_tile<3>(u, x, channels, begin, m);
        case 4:
            return point_tile<4>(u, x, channels, begin, m);
#endif
        default:
            return point_tile<2>(u, x, channels, begin, m);
    }
}

// M of a block of filters for a group of tiles.
inline void point_products(const Group& group, const float* weights, const lanes* x, int channels, int f0, int filters,
                           int all_filters, lanes* m, std::ptrdiff_t m_step) {
    const std::ptrdiff_t x_step = point_step(channels);
    for (int point = 0; point < kPoints * kPoints; ++point) {
        const int taking = group.taking(point);
        const bool ends = group.takes_ends(point);
        for (int c0 = 0; c0 < channels; c0 += kPointChannels) {
            const int count = at_most(kPointChannels, channels - c0);
            for (int f = 0; f < filters; f += kPointTile) {
                const float* u = weights + point_weight(channels, all_filters, point, f0 + f, c0);
                const lanes* pixels = x + point * x_step + c0 * kGroup;
                lanes* products = m + point * m_step + f * kGroup;
                if (ends) point_tile<2, 2>(u, pixels, count, c0 == 0, products);
                for (int t = 0; t < taking && !ends; t += kTilesInRegisters) {
                    point_tile(at_most(kTilesInRegisters, taking - t), u, pixels + t, count, c0 == 0, products + t);
                }
            }
        }
    }
}

// Threads that share a block share its groups of tiles and, where these are few, their blocks of filters.
// `finish` takes outputs of a row and their number; `bias` may be null. The scratch holds X, [36][c][tile], and M,
// [36][f][tile].
template <bool kAdds, typename Finish>
void correlate_by_point(const Correlation& maps, const float* weights, const float* bias, lanes* scratch, Part part,
                        Finish finish) {
    const int channels = maps.from.slot.channels, filters = maps.to.slot.channels;
    // As many filters together as may be, unless the groups alone would be unequal shares.
    const int sharing = maps.groups() % part.count == 0 ? 1 : part.count;
    const int share = (filters + sharing * kPointTile - 1) / (sharing * kPointTile) * kPointTile;
    const int by_filter = at_most(filters_together(channels), share);
    const int blocks = (filters + by_filter - 1) / by_filter;
    const std::ptrdiff_t x_step = point_step(channels);
    const std::ptrdiff_t m_step = point_step(block_of(filters, filters_together(channels), kPointTile));
    lanes *x = scratch + kZeros, *m = x + kPoints * kPoints * x_step;
    int transformed = -1;
    for (const int item : part.of(maps.groups() * blocks)) {
        const Group group = maps.group(item / blocks);
        const int f0 = item % blocks * by_filter, count = at_most(by_filter, filters - f0);
        if (item / blocks != transformed) transform_group(maps, group, 0, channels, x, x_step);
        transformed = item / blocks;
        point_products(group, weights, x, channels, f0, count, filters, m, m_step);
        for (int f = 0; f < count; ++f) {
            for (int t = 0; t < group.count; ++t) {
                const Tile& tile = group.tiles[t];
                lanes* to = maps.to.at(f0 + f, tile.top, tile.left);
                with_outputs(tile.rows, tile.columns, [&]<int R, int C>() {
                    transform_products_of_tile<R, C, kAdds>(m + f * kGroup + t, m_step, bias ? bias[f0 + f] : 0.0f, to,
                                                            maps.to.slot.pitch());
                    for (int l = 0; l < R; ++l) finish(to + l * maps.to.slot.pitch(), C);
                });
            }
        }
    }
}

template <typename Activate>
void forward_by_point(const Program& program, const Step& step, lanes* arena, lanes* scratch, const float* weights,
                      const float* params, Part part, Activate activate) {
    const Slot &in = program.slots[step.input], &out = program.slots[step.output];
    const Correlation maps{
        {in, arena + in.value}, {out, arena + out.value}, step.rows.before, step.columns.before, scratch};
    const float* bias = step.bias < 0 ? nullptr : params + step.bias;
    correlate_by_point<false>(maps, weights, bias, scratch, part, activate);
}

inline void dx_by_point(const Program& program, const Step& step, lanes* arena, lanes* scratch, const float* weights,
                        Part part) {
    const Slot &in = program.slots[step.input], &out = program.slots[step.output];
    const Correlation maps{{out, arena + out.delta},
                           {in, arena + in.delta},
                           step.rows.kernel - 1 - step.rows.before,
                           step.columns.kernel - 1 - step.columns.before,
                           scratch};
    const auto as_it_is = [](lanes*, int) {};
    if (step.adds) return correlate_by_point<true>(maps, weights, nullptr, scratch, part, as_it_is);
    correlate_by_point<false>(maps, weights, nullptr, scratch, part, as_it_is);
}
