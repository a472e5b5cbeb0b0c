// Forward and dx of 3×3 convolutions by F(4×4, 3×3), as 36 matrix products, one for every point (i, j) of a tile:
//
//     M[i,j][f, t] = Σ_c U[i,j][f, c]·X[i,j][c, t]        y = AᵀM A
//
// for a group of four tiles t, each number of X and M being 16 samples. Every weight that comes from memory serves four
// tiles, and the inputs' transforms serve all filters, or 512 of them.
//
// dx is the same correlation: of δ, with the kernels turned by 180° and c and f in each other's place.
#pragma once

#include "conv.hpp"
#include "norm_before.hpp"
#include "winograd_by_point_pack.hpp"
#include "winograd_tiles.hpp"

#if defined(__AVX512F__)
inline constexpr int kTilesInRegisters = 4;
#else
inline constexpr int kTilesInRegisters = 2;
#endif

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

// A correlation of `from`, or of what a batch norm makes of it, with 3×3 kernels, cut into tiles of up to 4×4 outputs,
// row by row.
struct Correlation {
    Maps from, to;
    int before_rows, before_columns;
    const lanes* zeros;
    Normalizer norm = {};

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

// Rows of inputs under a tile of R×C outputs become rows of what the batch norm makes of them. Outside the map there
// stay zeros: the padding comes after batch norm and activation.
template <int R, int C>
void normalize_tile(const Correlation& maps, int c, const Tile& tile, const lanes** rows, lanes* made) {
    const int left = tile.left - maps.before_columns, width = maps.from.slot.width;
    const bool within = left >= 0 && left + C + 2 <= width;
    for (int r = 0; r < R + 2; ++r, made += C + 2) {
        if (rows[r] == maps.zeros) continue;
        maps.norm.make(c, rows[r], C + 2, made);
        for (int k = 0; !within && k < C + 2; ++k) {
            if (left + k < 0 || left + k >= width) made[k] = lanes{};
        }
        rows[r] = made;
    }
}

// X = Bᵀx B of one channel under one tile of R×C outputs, its 36 numbers `step` apart.
template <int R, int C>
void transform_tile(const Correlation& maps, int c, const Tile& tile, lanes* x, std::ptrdiff_t step) {
    const lanes* rows[R + 2];
    for (int r = 0; r < R + 2; ++r) {
        rows[r] = maps.input_row(c, tile, r);
        for (int k = 0; k < C; ++k) __builtin_prefetch(rows[r] + maps.from.slot.plane() + k);  // the next channel's
    }
    lanes made[(R + 2) * (C + 2)];
    if (maps.norm.step) normalize_tile<R, C>(maps, c, tile, rows, made);
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

// A run of channels: its X, and M, to which its products are added, from one point to the next by their steps.
struct Run {
    int number, channels;
    lanes* x;
    std::ptrdiff_t x_step;
    lanes* m;
    std::ptrdiff_t m_step;
};

// m[f][t] (+)= Σ_c u[f, c]·x[c][t] for four filters and TT tiles, kApart from each other: u[c][16 filters] forward, and
// u[f][c], kPointChannels from each other, for dx. Fetches what comes `next` of the weights, all of it if the panel is
// whole, and M at the next point.
template <bool kForward, int TT, int kApart = 1>
void point_tile(const Run& run, const float* u, const float* next, const lanes* x, lanes* m) {
    const bool begin = run.number == 0;
    const int channels = run.channels;
    for (int part = 0; part < kParts; ++part) {
        piece s[kPointTile][TT];
        for (int f = 0; f < kPointTile; ++f) {
            for (int t = 0; t < TT; ++t) {
                s[f][t] = begin ? piece{} : *pieces(m + f * kGroup + t * kApart, part);
                if (!begin && part == 0) __builtin_prefetch(m + run.m_step + f * kGroup + t * kApart, 1);
            }
        }
        for (int c = 0; c < channels; ++c) {
            __builtin_prefetch(next + c * kPointTile);
            const piece* pixels = pieces(x + c * kGroup, part);
            piece v[TT];
            for (int t = 0; t < TT; ++t) v[t] = pixels[t * kApart * kParts];
            for (int f = 0; f < kPointTile; ++f) {
                piece weight = (kForward ? u[c * kLanes + f] : u[f * kPointChannels + c]) - piece{};
                keep_in_register(weight);
                for (int t = 0; t < TT; ++t) s[f][t] += weight * v[t];
            }
        }
        for (int f = 0; f < kPointTile; ++f) {
            for (int t = 0; t < TT; ++t) *pieces(m + f * kGroup + t * kApart, part) = s[f][t];
        }
    }
}

template <bool kForward>
void point_tile(int tiles, const Run& run, const float* u, const float* next, const lanes* x, lanes* m) {
    switch (tiles) {
        case 1:
            return point_tile<kForward, 1>(run, u, next, x, m);
#if defined(__AVX512F__)
        case 3:
            return point_tile<kForward, 3>(run, u, next, x, m);
        case 4:
            return point_tile<kForward, 4>(run, u, next, x, m);
#endif
        default:
            return point_tile<kForward, 2>(run, u, next, x, m);
    }
}

// M of up to 16 filters, the first of which is f0 of M's, for a group of tiles at one point of their panel.
template <bool kForward>
void panel_products(const Group& group, const Run& run, int point, const lanes* u, const lanes* next, int f0,
                    int filters) {
    const int taking = group.taking(point);
    const bool ends = group.takes_ends(point);
    const lanes* x = run.x + point * run.x_step;
    for (int f = 0; f < filters; f += kPointTile) {
        const float* weights = reinterpret_cast<const float*>(u) + (kForward ? f : f * kPointChannels);
        const float* ahead = reinterpret_cast<const float*>(next) + f * run.channels;
        lanes* m = run.m + point * run.m_step + (f0 + f) * kGroup;
        if (ends) point_tile<kForward, 2, 2>(run, weights, ahead, x, m);
        for (int t = 0; t < taking && !ends; t += kTilesInRegisters) {
            point_tile<kForward>(at_most(kTilesInRegisters, taking - t), run, weights, ahead, x + t, m + t);
        }
    }
}

// M of the filters from f0 to f_end for a group of tiles, from the packed panels.
template <bool kForward>
void products_of_packed(const Group& group, const Run& run, const Panels<kForward>& panels, const lanes* packed, int f0,
                        int f_end) {
    for (int point = 0; point < kPoints * kPoints; ++point) {
        const lanes* here = packed + point * kPointPanelStep;
        for (int f = f0; f < f_end; f += kLanes) {
            const lanes* u = here + panels.at(f, run.number);
            const lanes* next = f + kLanes < f_end              ? here + panels.at(f + kLanes, run.number)
                                : point + 1 < kPoints * kPoints ? here + kPointPanelStep + panels.at(f0, run.number)
                                                                : u;
            panel_products<kForward>(group, run, point, u, next, f - f0, at_most(kLanes, f_end - f));
        }
    }
}

// The same from panels that are made here, one after the other in the same place.
template <bool kForward>
void products_of_own(const Group& group, const Run& run, const Panels<kForward>& panels, lanes* own, int f0,
                     int f_end) {
    for (int f = f0; f < f_end; f += kLanes) {
        panels.template make<false>(f, run.number, own);
        for (int point = 0; point < kPoints * kPoints; ++point) {
            if (f + kLanes < f_end) panels.fetch(f + kLanes, run.number, point);
            const lanes* u = own + point * kPointPanelStep;
            panel_products<kForward>(group, run, point, u, u, f - f0, at_most(kLanes, f_end - f));
        }
    }
}

// Threads that share a block share its groups of tiles and, where these are few, its filters. `finish` takes outputs of
// a row and their number; `bias` may be null, and `packed`, where panels are made as they are needed. The scratch holds
// X, [36][c][tile], M, [36][f][tile], and a panel.
template <bool kForward, bool kAdds, typename Finish>
void correlate_by_point(const Correlation& maps, const Panels<kForward>& panels, const lanes* packed, const float* bias,
                        lanes* scratch, Part part, Finish finish) {
    const int channels = maps.from.slot.channels, filters = maps.to.slot.channels;
    // As many filters together as may be, unless the groups alone would be unequal shares.
    const int sharing = maps.groups() % part.count == 0 ? 1 : part.count;
    const int share = (vectors_of(filters) + sharing - 1) / sharing * kLanes;
    const int by_filter = at_most(filters_together(channels), share);
    const int blocks = (filters + by_filter - 1) / by_filter;
    Run run{};
    run.x_step = x_step_of(channels);
    run.m_step = m_step_of(channels, filters);
    run.x = scratch + kZeros;
    run.m = run.x + kPoints * kPoints * run.x_step;
    lanes* own = run.m + kPoints * kPoints * run.m_step;
    int transformed = -1;  // a group whose X is still there
    for (const int item : part.of(maps.groups() * blocks)) {
        const Group group = maps.group(item / blocks);
        const int f0 = item % blocks * by_filter, f_end = at_most(f0 + by_filter, filters);
        for (run.number = 0; run.number < panels.runs(); ++run.number) {
            const int c0 = run.number * kPointChannels;
            run.channels = at_most(kPointChannels, channels - c0);
            if (item / blocks != transformed) transform_group(maps, group, c0, run.channels, run.x, run.x_step);
            if (packed) products_of_packed(group, run, panels, packed, f0, f_end);
            if (!packed) products_of_own(group, run, panels, own, f0, f_end);
        }
        if (panels.runs() == 1) transformed = item / blocks;
        for (int f = f0; f < f_end; ++f) {
            for (int t = 0; t < group.count; ++t) {
                const Tile& tile = group.tiles[t];
                lanes* to = maps.to.at(f, tile.top, tile.left);
                with_outputs(tile.rows, tile.columns, [&]<int R, int C>() {
                    transform_products_of_tile<R, C, kAdds>(run.m + (f - f0) * kGroup + t, run.m_step,
                                                            bias ? bias[f] : 0.0f, to, maps.to.slot.pitch());
                    for (int l = 0; l < R; ++l) finish(to + l * maps.to.slot.pitch(), C);
                });
            }
        }
    }
}

// A convolution of what its source has in memory; the δ of its outputs, or the outputs themselves, lie at `to`.
inline Correlation correlation_of(const Source& source, const Step& step, const Slot& out, lanes* arena,
                                  std::ptrdiff_t to, const lanes* zeros) {
    return {{source.maps, arena + source.maps.value},
            {out, arena + to},
            step.rows.before,
            step.columns.before,
            zeros,
            source.norm};
}

template <typename Activate>
void forward_by_point(const Program& program, const Step& step, const Source& source, lanes* arena, lanes* scratch,
                      const lanes* packed, const float* params, Part part, Activate activate) {
    const Slot& out = program.slots[step.output];
    const Correlation maps = correlation_of(source, step, out, arena, out.value, scratch);
    const float* bias = step.bias < 0 ? nullptr : params + step.bias;
    const Panels<true> panels(program, step, params);
    correlate_by_point<true, false>(maps, panels, packed, bias, scratch, part, activate);
}

inline void dx_by_point(const Program& program, const Step& step, lanes* arena, lanes* scratch, const lanes* packed,
                        const float* params, Part part) {
    const Slot &in = program.slots[step.input], &out = program.slots[step.output];
    const Correlation maps{{out, arena + out.delta},
                           {in, arena + in.delta},
                           step.rows.kernel - 1 - step.rows.before,
                           step.columns.kernel - 1 - step.columns.before,
                           scratch};
    const auto as_it_is = [](lanes*, int) {};
    const Panels<false> panels(program, step, params);
    if (step.adds) return correlate_by_point<false, true>(maps, panels, packed, nullptr, scratch, part, as_it_is);
    correlate_by_point<false, false>(maps, panels, packed, nullptr, scratch, part, as_it_is);
}
