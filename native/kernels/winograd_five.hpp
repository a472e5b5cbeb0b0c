// Winograd's convolution with 5×5 kernels of stride 1, tile by tile: F(4×4, 5×5), where each 4×4 tile of outputs takes
// 64 products in place of 400. 3×3 kernels go point by point, see winograd_by_point.hpp. With U = G w Gᵀ, once a batch:
//
//     y[f]     = Aᵀ( Σ_c U[f,c] ⊙ X[c] )A        X = Bᵀx B, of the 8×8 inputs under the tile
//     dx[c]   += B( Σ_f U[f,c] ⊙ V[f] )Bᵀ        V = A dy Aᵀ
//     dw[f,c]  = Gᵀ( Σ_tiles V[f] ⊙ X[c] )G      see winograd_five_weights.hpp
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
    explicit Cut(int all) : count(all) {
        const int tiles = (all + kTogether - 1) / kTogether;
        by = (all + tiles - 1) / tiles;
    }
    int tiles() const { return (count + by - 1) / by; }
    int size(int tile) const { return at_most(by, count - tile * by); }
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
    int top(int tile) const { return tile / across() * kSide - step.rows.before; }
    int left(int tile) const { return tile % across() * kSide - step.columns.before; }

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
    lanes* totals() const { return delta(kPointsOfFive, 0, 0); }
};

// Σ_c u[c][f]·x[c] of four points for TF filters, transformed: along the row of outputs, four to a row, or, on the way
// back, of inputs, eight to a row. The second half is added to the first.
template <int TF, int H, bool kBack>
void half_row(const lanes* x, const float* u, int channels, lanes* rows, std::ptrdiff_t filter) {
    constexpr int kLength = kBack ? kPointsOfFive : kSide;
    for (int part = 0; part < kParts; ++part) {
        piece s[TF][kHalf];
        for (int f = 0; f < TF; ++f) {
            for (int j = 0; j < kHalf; ++j) s[f][j] = piece{};
        }
        for (int c = 0; c < channels; ++c) {
            const piece* row = pieces(x + c * kPointsOfFive + H * kHalf, part);
            const float* weight = u + c * TF * kPointsOfFive + H * kHalf;
            piece v[kHalf];
            for (int j = 0; j < kHalf; ++j) v[j] = row[j * kParts];
            for (int f = 0; f < TF; ++f) {
                for (int j = 0; j < kHalf; ++j) s[f][j] += weight[f * kPointsOfFive + j] * v[j];
            }
        }
        for (int f = 0; f < TF; ++f) {
            piece transformed[kLength];
            if constexpr (kBack) {
                transform_input_back<H>(s[f], transformed);
            } else {
                transform_products<H>(s[f], transformed);
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

template <int TF, bool kBack>
void row_of(int filters, const lanes* x, const float* u, int channels, lanes* rows, std::ptrdiff_t filter) {
    if constexpr (TF > 1) {
        if (filters < TF) return row_of<TF - 1, kBack>(filters, x, u, channels, rows, filter);
    }
    half_row<TF, 0, kBack>(x, u, channels, rows, filter);
    half_row<TF, 1, kBack>(x, u, channels, rows, filter);
}

// Where U[f, c] has row `i` among the packed weights: [filter tile][i][c][f][8]. For dx, f and c change places.
inline std::ptrdiff_t packed_row(const Cut& filters, int channels, int f, int c, int i) {
    const int tile = f / filters.by;
    const std::ptrdiff_t before = static_cast<std::ptrdiff_t>(tile) * filters.by * channels * kPointsOfFive;
    return (before + static_cast<std::ptrdiff_t>(i * channels + c) * filters.size(tile) + f % filters.by) *
           kPointsOfFive;
}

// U = G w Gᵀ, once for forward and, where dx is wanted, once more for it.
inline void pack(const Program& program, const Step& step, const float* params, float* packed, Part part) {
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
                float* row = forward + packed_row(filters, w.in, f0 + t, c, i);
                for (int j = 0; j < kPointsOfFive; ++j) row[j] = u[i * kPointsOfFive + j][t];
                if (!step.needs_dx) continue;
                row = back + packed_row(channels, w.out, c, f0 + t, i);
                for (int j = 0; j < kPointsOfFive; ++j) row[j] = u[i * kPointsOfFive + j][t];
            }
        }
    }
}

// X = Bᵀx B of one channel under a tile, its rows `step` apart.
inline void transform_inputs(const Tiling& tiles, int c, int tile, lanes* x, std::ptrdiff_t step) {
    const lanes* rows[kPointsOfFive];
    for (int r = 0; r < kPointsOfFive; ++r) rows[r] = tiles.input_row(c, tiles.top(tile) + r, tiles.left(tile));
    for (int part = 0; part < kParts; ++part) {
        piece half[kPointsOfFive][kPointsOfFive];
        for (int k = 0; k < kPointsOfFive; ++k) {
            piece column[kPointsOfFive], t[kPointsOfFive];
            for (int r = 0; r < kPointsOfFive; ++r) column[r] = *pieces(rows[r] + k, part);
            transform_input(column, 1, t);
            for (int i = 0; i < kPointsOfFive; ++i) half[i][k] = t[i];
        }
        for (int i = 0; i < kPointsOfFive; ++i) {
            piece t[kPointsOfFive];
            transform_input(half[i], 1, t);
            for (int j = 0; j < kPointsOfFive; ++j) *pieces(x + i * step + j, part) = t[j];
        }
    }
}

// The outputs of a tile from their eight rows, `rows[i][m]`.
inline void finish_outputs(const lanes* rows, float bias, lanes* y) {
    for (int part = 0; part < kParts; ++part) {
        for (int m = 0; m < kSide; ++m) {
            piece p[kPointsOfFive], first[kSide], second[kSide];
            for (int i = 0; i < kPointsOfFive; ++i) p[i] = *pieces(rows + i * kSide + m, part);
            transform_products<0>(p, first);
            transform_products<1>(p + kHalf, second);
            for (int l = 0; l < kSide; ++l) *pieces(y + l * kSide + m, part) = first[l] + second[l] + bias;
        }
    }
}

// The scratch holds X, [row][c][8].
template <typename Activate>
void forward(const Program& program, const Step& step, lanes* arena, lanes* scratch, const float* packed,
             const float* params, Part part, Activate activate) {
    const Tiling tiles(program, step, arena, scratch);
    const Slot &in = tiles.in, &out = tiles.out;
    const Cut filters(out.channels);
    const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(in.channels) * kPointsOfFive;
    lanes* x = scratch + kZeros;
    for (const int tile : part.of(tiles.count())) {
        for (int c = 0; c < in.channels; ++c) transform_inputs(tiles, c, tile, x + c * kPointsOfFive, row);
        const int l0 = tile / tiles.across() * kSide, m0 = tile % tiles.across() * kSide;
        const int rows = at_most(kSide, out.height - l0), columns = at_most(kSide, out.width - m0);
        for (int q = 0; q < filters.tiles(); ++q) {
            const int size = filters.size(q);
            lanes half[kTogether][kPointsOfFive * kSide];
            const float* u = packed + step.packed + packed_row(filters, in.channels, q * filters.by, 0, 0);
            for (int i = 0; i < kPointsOfFive; ++i) {
                row_of<kTogether, false>(size, x + i * row, u + i * row * size, in.channels, half[0] + i * kSide,
                                         kPointsOfFive * kSide);
            }
            for (int f = 0; f < size; ++f) {
                const int filter = q * filters.by + f;
                lanes y[kSide * kSide];
                finish_outputs(half[f], step.bias < 0 ? 0.0f : params[step.bias + filter], y);
                if (columns == kSide) {
                    activate(y, rows * kSide);
                } else {
                    for (int l = 0; l < rows; ++l) activate(y + l * kSide, columns);
                }
                lanes* to = arena + out.value + filter * out.plane() + l0 * out.pitch() + out.border + m0;
                for (int l = 0; l < rows; ++l) {
                    for (int m = 0; m < columns; ++m) to[l * out.pitch() + m] = y[l * kSide + m];
                }
            }
        }
    }
}

// A dy, half of the way to V, for every tile, [row][f][tile][4]: both ways back read it many times over.
inline void lay_out_delta(const Program& program, const Step& step, lanes* arena, const lanes* scratch, Part part) {
    const Tiling tiles(program, step, arena, scratch);
    const int across = tiles.across();
    const std::ptrdiff_t row = tiles.delta(1, 0, 0) - tiles.delta(0, 0, 0);
    for (const int item : part.of(tiles.out.channels * tiles.down())) {
        const int f = item / tiles.down(), down = item % tiles.down();
        const lanes* rows[kSide];
        for (int l = 0; l < kSide; ++l) {
            rows[l] = down * kSide + l < tiles.out.height ? tiles.delta_row(f, down * kSide + l) : tiles.zeros;
        }
        for (int tile = 0; tile < across; ++tile) {
            lanes* to = tiles.delta(0, f, down * across + tile);
            for (int part_of_lanes = 0; part_of_lanes < kParts; ++part_of_lanes) {
                for (int m = 0; m < kSide; ++m) {
                    piece dy[kSide], v[kPointsOfFive];
                    for (int l = 0; l < kSide; ++l) {
                        const bool outside = rows[l] == tiles.zeros;
                        dy[l] = *pieces(rows[l] + (outside ? 0 : tile * kSide + m), part_of_lanes);
                    }
                    transform_output_back(dy, v);
                    for (int i = 0; i < kPointsOfFive; ++i) *pieces(to + i * row + m, part_of_lanes) = v[i];
                }
            }
        }
    }
}

// A row of V of every filter under a tile, [f][8].
inline void transform_delta_row(const lanes* down, std::ptrdiff_t filter, int filters, lanes* v) {
    for (int f = 0; f < filters; ++f) {
        for (int part = 0; part < kParts; ++part) {
            piece dy[kSide], row[kPointsOfFive];
            for (int m = 0; m < kSide; ++m) dy[m] = *pieces(down + f * filter + m, part);
            transform_output_back(dy, row);
            for (int j = 0; j < kPointsOfFive; ++j) *pieces(v + f * kPointsOfFive + j, part) = row[j];
        }
    }
}

// Adds a tile's dx, from its eight rows, to the map.
inline void add_inputs(const Tiling& tiles, int tile, int c, const lanes* rows) {
    const Slot& in = tiles.in;
    const int top = tiles.top(tile), left = tiles.left(tile);
    const int u_from = top < 0 ? -top : 0, u_to = at_most(kPointsOfFive, in.height - top);
    const int v_from = left < 0 ? -left : 0, v_to = at_most(kPointsOfFive, in.width - left);
    lanes* dx = tiles.arena + in.delta + c * in.plane() + top * in.pitch() + in.border + left;
    for (int part = 0; part < kParts; ++part) {
        for (int k = v_from; k < v_to; ++k) {
            piece t[kPointsOfFive], first[kPointsOfFive], second[kPointsOfFive];
            for (int i = 0; i < kPointsOfFive; ++i) t[i] = *pieces(rows + i * kPointsOfFive + k, part);
            transform_input_back<0>(t, first);
            transform_input_back<1>(t + kHalf, second);
            for (int r = u_from; r < u_to; ++r) *pieces(dx + r * in.pitch() + k, part) += first[r] + second[r];
        }
    }
}

// The scratch holds a row of V, [f][8], and what goes to dx before its last transform, [c][row][8].
inline void dx(const Program& program, const Step& step, lanes* arena, lanes* scratch, const float* packed, Part part) {
    const Tiling tiles(program, step, arena, scratch);
    const Slot &in = tiles.in, &out = tiles.out;
    const Cut channels(in.channels);
    const Range mine = part.of(channels.tiles());
    if (mine.from == mine.to) return;
    const int c_from = mine.from * channels.by, c_to = at_most(mine.to * channels.by, in.channels);
    lanes *v = scratch + kZeros, *back = v + out.channels * kPointsOfFive;
    const float* weights =
        packed + step.packed + static_cast<std::ptrdiff_t>(in.channels) * out.channels * kPointsOfFive * kPointsOfFive;
    for (int c = c_from; c < c_to && !step.adds; ++c) {
        for (int u = 0; u < in.height; ++u) {
            clear(arena + in.delta + c * in.plane() + u * in.pitch() + in.border, in.width);
        }
    }
    const std::ptrdiff_t filter = tiles.delta(0, 1, 0) - tiles.delta(0, 0, 0);
    for (int tile = 0; tile < tiles.count(); ++tile) {
        for (int i = 0; i < kPointsOfFive; ++i) {
            transform_delta_row(tiles.delta(i, 0, tile), filter, out.channels, v);
            for (const int q : mine) {
                row_of<kTogether, true>(channels.size(q), v,
                                        weights + packed_row(channels, out.channels, q * channels.by, 0, i),
                                        out.channels, back + (q * channels.by * kPointsOfFive + i) * kPointsOfFive,
                                        kPointsOfFive * kPointsOfFive);
            }
        }
        for (int c = c_from; c < c_to; ++c) add_inputs(tiles, tile, c, back + c * kPointsOfFive * kPointsOfFive);
    }
}

}  // namespace five
