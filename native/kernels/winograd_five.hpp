// Winograd's convolution with 5×5 kernels of stride 1, tile by tile: F(4×4, 5×5), where each 4×4 tile of outputs takes
// 64 products in place of 400. 3×3 kernels go point by point, see winograd_by_point.hpp. With U = G w Gᵀ, once a batch:
//
//     y[f]     = Aᵀ( Σ_c U[f,c] ⊙ X[c] )A        X = Bᵀx B, of the 8×8 inputs under the tile
//     dx[c]   += B( Σ_f U[f,c] ⊙ V[f] )Bᵀ        V = A dy Aᵀ
//     dw[f,c]  = Gᵀ( Σ_tiles V[f] ⊙ X[c] )G      see winograd_five_weights.hpp
//
// Where the map ends after one or two outputs more, a tile takes six of the eight points along that axis.
//
// In lanes the transforms are sums of vectors. Forward and dx work through half a row of the 8×8 values at a time, so
// that a few filters × 4 values stay in registers until they are transformed along the row.
#pragma once

#include "border.hpp"
#include "conv.hpp"
#include "winograd_five_transforms.hpp"

namespace five {

// Filters, channels, or pairs of both, of a register tile: half a row of each.
#if defined(__AVX512F__)
inline constexpr int kTogether = 6;
#else
inline constexpr int kTogether = 2;
#endif

// How `count` filters, or channels, are cut into register tiles of nearly even size.
struct Cut {
    int count, by;
    explicit Cut(int all, int most = kTogether) : count(all) {
        const int tiles = (all + most - 1) / most;
        by = (all + tiles - 1) / tiles;
    }
    int tiles() const { return (count + by - 1) / by; }
    int size(int tile) const { return at_most(by, count - tile * by); }
    Range of(Range some) const { return {some.from * by, at_most(some.to * by, count)}; }
};

// A convolution cut into tiles of 4×4 outputs, numbered row by row, and where their inputs and their δ lie.
struct Tiling {
    const Slot &in, &out;
    const Step& step;
    lanes* arena;
    const lanes* zeros;  // as long as a row of inputs for kTilesOfFive tiles

    Tiling(const Program& program, const Step& its_step, lanes* its_arena, const lanes* scratch)
        : in(program.slots[its_step.input]),
          out(program.slots[its_step.output]),
          step(its_step),
          arena(its_arena),
          zeros(scratch) {}

    int down() const { return (out.height + kSide - 1) / kSide; }
    int across() const { return (out.width + kSide - 1) / kSide; }
    int count() const { return down() * across(); }

    // Where a tile's outputs begin, how many it covers, and where its inputs begin.
    int row(int tile) const { return tile / across() * kSide; }
    int column(int tile) const { return tile % across() * kSide; }
    int rows(int tile) const { return at_most(kSide, out.height - row(tile)); }
    int columns(int tile) const { return at_most(kSide, out.width - column(tile)); }
    int top(int tile) const { return row(tile) - step.rows.before; }
    int left(int tile) const { return column(tile) - step.columns.before; }

    // Row `u` of the map from column `v`, or zeros outside it.
    const lanes* input_row(int c, int u, int v) const {
        return u < 0 || u >= in.height ? zeros : arena + in.value + c * in.plane() + u * in.pitch() + in.border + v;
    }
    const lanes* delta_row(int f, int l) const {
        return arena + out.delta + f * out.plane() + l * out.pitch() + out.border;
    }

    // Where the tile's δ, halfway to V, lies among what was laid out, and what lies behind it all.
    lanes* delta(int row, int f, int tile) const {
        return arena + step.scratch + row * row_of_five(out.channels, count()) +
               (static_cast<std::ptrdiff_t>(f) * count() + tile) * kSide;
    }
    lanes* totals() const { return arena + step.scratch + delta_of_five(step, in, out); }
};

// Σ_c u[c][f]·x[c] of the points of half a row for TF filters, transformed: along the row of N outputs, four to a row,
// or, on the way back, of inputs, eight to a row. The second half is added to the first.
template <int TF, int H, int N, bool kBack>
void half_row(const lanes* x, const float* u, int channels, lanes* rows, std::ptrdiff_t filter) {
    constexpr int kLength = kBack ? points_of(N) : N, kCount = points_of_half(N, H);
    for (int part = 0; part < kParts; ++part) {
        piece s[TF][kCount];
        for (int f = 0; f < TF; ++f) {
            for (int j = 0; j < kCount; ++j) s[f][j] = piece{};
        }
        for (int c = 0; c < channels; ++c) {
            const piece* row = pieces(x + c * kPointsOfFive + H * kHalf, part);
            const float* weight = u + c * TF * kPointsOfFive + H * kHalf;
            piece v[kCount];
            for (int j = 0; j < kCount; ++j) {
                v[j] = row[j * kParts];
                keep_in_register(v[j]);
            }
            for (int f = 0; f < TF; ++f) {
                for (int j = 0; j < kCount; ++j) s[f][j] += weight[f * kPointsOfFive + j] * v[j];
            }
        }
        for (int f = 0; f < TF; ++f) {
            piece transformed[kLength];
            if constexpr (kBack) {
                transform_input_back<H, N>(s[f], transformed);
            } else {
                transform_products<H, N>(s[f], transformed);
            }
            piece* to = pieces(rows + f * filter, part);
            for (int k = 0; k < kLength; ++k) {
                if (H == 0) {
                    to[k * kParts] = transformed[k];
                } else if (!kBack || (k > 0 && k < kLength - 1)) {
                    to[k * kParts] += transformed[k];
                }
            }
        }
    }
}

template <int TF, int N, bool kBack>
void row_of(int filters, const lanes* x, const float* u, int channels, lanes* rows, std::ptrdiff_t filter) {
    if constexpr (TF > 1) {
        if (filters < TF) return row_of<TF - 1, N, kBack>(filters, x, u, channels, rows, filter);
    }
    half_row<TF, 0, N, kBack>(x, u, channels, rows, filter);
    half_row<TF, 1, N, kBack>(x, u, channels, rows, filter);
}

// Where U[f, c] has row `i` among the packed weights: [filter tile][i][c][f][8]. For dx, f and c change places.
inline std::ptrdiff_t packed_row(const Cut& filters, int channels, int f, int c, int i) {
    const int tile = f / filters.by;
    const std::ptrdiff_t before = static_cast<std::ptrdiff_t>(tile) * filters.by * channels * kPointsOfFive;
    return (before + static_cast<std::ptrdiff_t>(i * channels + c) * filters.size(tile) + f % filters.by) *
           kPointsOfFive;
}

// U = G w Gᵀ, once for forward, unless that goes by rows, and, where dx is wanted, once more for it.
inline void pack(const Program& program, const Step& step, const float* params, float* packed, Part part) {
    const bool by_rows = goes_by_rows(program.slots[step.input]);
    const Filters w(program, step);
    const Cut filters(w.out), channels(w.in);
    const int vectors = vectors_of(w.out);
    float* forward = packed + step.packed;
    float* back = forward + static_cast<std::ptrdiff_t>(w.in) * w.out * kPointsOfFive * kPointsOfFive;
    for (const int item : part.of(w.in * vectors)) {
        const int c = item / vectors, f0 = item % vectors * kLanes, count = at_most(kLanes, w.out - f0);
        lanes taps[kFive * kFive], half[kFive * kPointsOfFive], u[kPointsOfFive * kPointsOfFive];
        for (int tap = 0; tap < kFive * kFive; ++tap) {
            taps[tap] = lanes{};
            for (int t = 0; t < count; ++t) taps[tap][t] = params[step.weight + w.at(step.flip, 0, f0 + t, c, tap)];
        }
        for (int k = 0; k < kFive; ++k) transform_weights(taps + k, kFive, half + k * kPointsOfFive);
        for (int i = 0; i < kPointsOfFive; ++i) transform_weights(half + i, kPointsOfFive, u + i * kPointsOfFive);
        for (int t = 0; t < count; ++t) {
            for (int i = 0; i < kPointsOfFive; ++i) {
                const auto write = [&](float* row) {
                    for (int j = 0; j < kPointsOfFive; ++j) row[j] = u[i * kPointsOfFive + j][t];
                };
                if (!by_rows) write(forward + packed_row(filters, w.in, f0 + t, c, i));
                if (step.needs_dx) write(back + packed_row(channels, w.out, c, f0 + t, i));
            }
        }
    }
}

// X = Bᵀx B of one channel under a tile of R×C outputs, its rows `step` apart.
template <int R, int C>
void transform_inputs(const Tiling& tiles, int c, int tile, lanes* x, std::ptrdiff_t step) {
    constexpr int kDown = points_of(R), kAcross = points_of(C);
    const lanes* rows[kDown];
    for (int r = 0; r < kDown; ++r) rows[r] = tiles.input_row(c, tiles.top(tile) + r, tiles.left(tile));
    for (int part = 0; part < kParts; ++part) {
        piece half[kDown][kAcross];
        for (int k = 0; k < kAcross; ++k) {
            piece column[kDown], t[kDown];
            for (int r = 0; r < kDown; ++r) column[r] = *pieces(rows[r] + k, part);
            transform_input<R>(column, 1, t);
            for (int i = 0; i < kDown; ++i) half[i][k] = t[i];
        }
        for (int i = 0; i < kDown; ++i) {
            piece t[kAcross];
            transform_input<C>(half[i], 1, t);
            for (int j = 0; j < kAcross; ++j) *pieces(x + i * step + j, part) = t[j];
        }
    }
}

// The outputs of a tile, [R][C], from its rows, `rows[i][m]`, four to a row.
template <int R, int C>
void finish_outputs(const lanes* rows, float bias, lanes* y) {
    for (int part = 0; part < kParts; ++part) {
        for (int m = 0; m < C; ++m) {
            piece p[points_of(R)], first[R], second[R];
            for (int i = 0; i < points_of(R); ++i) p[i] = *pieces(rows + i * kSide + m, part);
            transform_products<0, R>(p, first);
            transform_products<1, R>(p + kHalf, second);
            for (int l = 0; l < R; ++l) *pieces(y + l * C + m, part) = first[l] + second[l] + bias;
        }
    }
}

// The scratch holds X, [row][c][8].
template <int R, int C, typename Activate>
void forward_tile(const Tiling& tiles, int tile, lanes* x, const float* weights, const float* bias, Activate activate) {
    const Slot &in = tiles.in, &out = tiles.out;
    const Cut filters(out.channels);
    const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(in.channels) * kPointsOfFive;
    for (int c = 0; c < in.channels; ++c) transform_inputs<R, C>(tiles, c, tile, x + c * kPointsOfFive, row);
    const int rows = tiles.rows(tile), columns = tiles.columns(tile);
    for (int q = 0; q < filters.tiles(); ++q) {
        const int size = filters.size(q);
        lanes half[kTogether][kPointsOfFive * kSide];
        const float* u = weights + packed_row(filters, in.channels, q * filters.by, 0, 0);
        for (int i = 0; i < points_of(R); ++i) {
            row_of<kTogether, C, false>(size, x + i * row, u + i * row * size, in.channels, half[0] + i * kSide,
                                        kPointsOfFive * kSide);
        }
        for (int f = 0; f < size; ++f) {
            const int filter = q * filters.by + f;
            lanes y[R * C];
            finish_outputs<R, C>(half[f], bias ? bias[filter] : 0.0f, y);
            if (columns == C) {
                activate(y, rows * C);
            } else {
                for (int l = 0; l < rows; ++l) activate(y + l * C, columns);
            }
            lanes* to = tiles.arena + out.value + filter * out.plane() + tiles.row(tile) * out.pitch() + out.border +
                        tiles.column(tile);
            for (int l = 0; l < rows; ++l) {
                for (int m = 0; m < columns; ++m) to[l * out.pitch() + m] = y[l * C + m];
            }
        }
    }
}

template <typename Activate>
void forward(const Program& program, const Step& step, lanes* arena, lanes* scratch, const float* packed,
             const float* params, Part part, Activate activate) {
    const Tiling tiles(program, step, arena, scratch);
    const float* bias = step.bias < 0 ? nullptr : params + step.bias;
    for (const int tile : part.of(tiles.count())) {
        with_sides(tiles.rows(tile), tiles.columns(tile), [&]<int R, int C>() {
            forward_tile<R, C>(tiles, tile, scratch + kZeros, packed + step.packed, bias, activate);
        });
    }
}

// A dy, half of the way to V, of a tile of R rows of one filter, [row][tile][4].
template <int R>
void lay_out_tile(const Tiling& tiles, int f, int tile) {
    const std::ptrdiff_t row = tiles.delta(1, 0, 0) - tiles.delta(0, 0, 0);
    lanes* to = tiles.delta(0, f, tile);
    const lanes* rows[R];
    for (int l = 0; l < R; ++l) {
        rows[l] = l < tiles.rows(tile) ? tiles.delta_row(f, tiles.row(tile) + l) + tiles.column(tile) : tiles.zeros;
    }
    for (int part = 0; part < kParts; ++part) {
        for (int m = 0; m < kSide; ++m) {
            piece dy[R], v[points_of(R)];
            for (int l = 0; l < R; ++l) dy[l] = *pieces(rows[l] + m, part);
            transform_whole_output_back<R>(dy, v);
            for (int i = 0; i < points_of(R); ++i) *pieces(to + i * row + m, part) = v[i];
        }
    }
}

// The same for every tile, [row][f][tile][4]: both ways back read it many times over.
inline void lay_out_delta(const Program& program, const Step& step, lanes* arena, const lanes* scratch, Part part) {
    const Tiling tiles(program, step, arena, scratch);
    for (const int item : part.of(tiles.out.channels * tiles.count())) {
        const int f = item / tiles.count(), tile = item % tiles.count();
        if (tiles.rows(tile) <= kNarrow) {
            lay_out_tile<kNarrow>(tiles, f, tile);
        } else {
            lay_out_tile<kSide>(tiles, f, tile);
        }
    }
}

// A row of V of every filter under a tile of C columns, [f][8].
template <int C>
void transform_delta_row(const lanes* down, std::ptrdiff_t filter, int filters, lanes* v) {
    for (int f = 0; f < filters; ++f) {
        for (int part = 0; part < kParts; ++part) {
            piece dy[C], row[points_of(C)];
            for (int m = 0; m < C; ++m) dy[m] = *pieces(down + f * filter + m, part);
            transform_whole_output_back<C>(dy, row);
            for (int j = 0; j < points_of(C); ++j) *pieces(v + f * kPointsOfFive + j, part) = row[j];
        }
    }
}

// Adds the dx of a tile of R×C outputs, from its rows, to the map.
template <int R, int C>
void add_inputs(const Tiling& tiles, int tile, int c, const lanes* rows) {
    const Slot& in = tiles.in;
    const int top = tiles.top(tile), left = tiles.left(tile);
    const int u_from = top < 0 ? -top : 0, u_to = at_most(points_of(R), in.height - top);
    const int v_from = left < 0 ? -left : 0, v_to = at_most(points_of(C), in.width - left);
    lanes* dx = tiles.arena + in.delta + c * in.plane() + top * in.pitch() + in.border + left;
    for (int part = 0; part < kParts; ++part) {
        for (int k = v_from; k < v_to; ++k) {
            piece t[points_of(R)], first[points_of(R)], second[points_of(R)];
            for (int i = 0; i < points_of(R); ++i) t[i] = *pieces(rows + i * kPointsOfFive + k, part);
            transform_input_back<0, R>(t, first);
            transform_input_back<1, R>(t + kHalf, second);
            for (int r = u_from; r < u_to; ++r) *pieces(dx + r * in.pitch() + k, part) += first[r] + second[r];
        }
    }
}

// The scratch holds a row of V, [f][8], and what goes to dx before its last transform, [c][row][8].
template <int R, int C>
void dx_of_tile(const Tiling& tiles, int tile, const Cut& channels, Range mine, const float* weights, lanes* v,
                lanes* back) {
    const int filters = tiles.out.channels;
    const std::ptrdiff_t filter = tiles.delta(0, 1, 0) - tiles.delta(0, 0, 0);
    for (int i = 0; i < points_of(R); ++i) {
        transform_delta_row<C>(tiles.delta(i, 0, tile), filter, filters, v);
        for (const int q : mine) {
            row_of<kTogether, C, true>(
                channels.size(q), v, weights + packed_row(channels, filters, q * channels.by, 0, i), filters,
                back + (q * channels.by * kPointsOfFive + i) * kPointsOfFive, kPointsOfFive * kPointsOfFive);
        }
    }
    for (const int c : channels.of(mine)) {
        add_inputs<R, C>(tiles, tile, c, back + c * kPointsOfFive * kPointsOfFive);
    }
}

inline void dx(const Program& program, const Step& step, lanes* arena, lanes* scratch, const float* packed, Part part) {
    const Tiling tiles(program, step, arena, scratch);
    const Slot &in = tiles.in, &out = tiles.out;
    const Cut channels(in.channels);
    const Range mine = part.of(channels.tiles());
    if (mine.from == mine.to) return;
    lanes *v = scratch + kZeros, *back = v + out.channels * kPointsOfFive;
    const float* weights =
        packed + step.packed + static_cast<std::ptrdiff_t>(in.channels) * out.channels * kPointsOfFive * kPointsOfFive;
    for (const int c : channels.of(mine)) {
        for (int u = 0; u < in.height && !step.adds; ++u) {
            clear(arena + in.delta + c * in.plane() + u * in.pitch() + in.border, in.width);
        }
    }
    for (int tile = 0; tile < tiles.count(); ++tile) {
        with_sides(tiles.rows(tile), tiles.columns(tile),
                   [&]<int R, int C>() { dx_of_tile<R, C>(tiles, tile, channels, mine, weights, v, back); });
    }
}

}  // namespace five
