// Winograd's convolution in two dimensions, tile by tile: F(M×M, K×K) with M = 7 − K, for square kernels of stride 1:
// each M×M tile of outputs takes 36 products where the direct way takes M²K². 5×5 kernels go this way; 3×3 ones go
// point by point, see winograd_by_point.hpp. With U = G w Gᵀ, once a batch:
//
//     y[f]     = Aᵀ( Σ_c U[f,c] ⊙ X[c] )A        X = Bᵀx B, of the 6×6 inputs under the tile
//     dx[c]   += B( Σ_f U[f,c] ⊙ V[f] )Bᵀ        V = A dy Aᵀ
//     dw[f,c]  = Gᵀ( Σ_tiles V[f] ⊙ X[c] )G
//
// In lanes the transforms are sums of vectors. All three work through one row of the 6×6 values at a time, so that a
// few filters × 6 values stay in registers, and what lies between fits the first cache.
#pragma once

#include "conv.hpp"
#include "winograd_transforms.hpp"

#if defined(__AVX512F__)
inline constexpr int kWinogradFilters = 4;
#else
inline constexpr int kWinogradFilters = 2;
#endif

// How `count` filters are cut into register tiles of nearly even size.
struct Cut {
    int count, by;
    explicit Cut(int all) : count(all) {
        const int tiles = (all + kWinogradFilters - 1) / kWinogradFilters;
        by = (all + tiles - 1) / tiles;
    }
    int tiles() const { return (count + by - 1) / by; }
    int size(int tile) const { return at_most(by, count - tile * by); }
};

// A convolution cut into tiles of M×M outputs, numbered row by row, and where their inputs and their δ lie.
template <int M>
struct Tiling {
    static constexpr int kKernel = kPoints + 1 - M;
    const Slot &in, &out;
    const Step& step;
    lanes* arena;
    const lanes* zeros;  // as long as a row of inputs for kTilesAtOnce tiles

    int down() const { return (out.height + M - 1) / M; }
    int across() const { return (out.width + M - 1) / M; }
    int top(int tile) const { return tile / across() * M - step.rows.before; }
    int left(int tile) const { return tile % across() * M - step.columns.before; }

    // Row `u` of the map from column `v`, or zeros outside it.
    const lanes* input_row(int c, int u, int v) const {
        return u < 0 || u >= in.height ? zeros : arena + in.value + c * in.plane() + u * in.pitch() + in.border + v;
    }
    const lanes* delta_row(int f, int l) const {
        return arena + out.delta + f * out.plane() + l * out.pitch() + out.border;
    }

    // Where the tile's δ lies among those that `tile_delta` laid out.
    lanes* delta(int f, int tile) const {
        return arena + step.scratch + (static_cast<std::ptrdiff_t>(f) * down() * across() + tile) * M * M;
    }
};

template <int M>
Tiling<M> tiling(const Program& program, const Step& step, lanes* arena, const lanes* scratch) {
    return {program.slots[step.input], program.slots[step.output], step, arena, scratch};
}

// sum[f][j] = Σ_c u[c][f][j]·x[c][j]: one row of six for TF filters.
template <int TF>
inline void row_product(const lanes* x, const float* u, int channels, lanes (*sum)[kPoints]) {
    for (int part = 0; part < kParts; ++part) {
        piece s[TF][kPoints];
        for (int f = 0; f < TF; ++f) {
            for (int j = 0; j < kPoints; ++j) s[f][j] = piece{};
        }
        for (int c = 0; c < channels; ++c) {
            const piece* row = pieces(x + c * kPoints, part);
            const float* weight = u + c * TF * kPoints;
            piece v[kPoints];
            for (int j = 0; j < kPoints; ++j) v[j] = row[j * kParts];
            for (int f = 0; f < TF; ++f) {
                for (int j = 0; j < kPoints; ++j) s[f][j] += weight[f * kPoints + j] * v[j];
            }
        }
        for (int f = 0; f < TF; ++f) {
            for (int j = 0; j < kPoints; ++j) *pieces(&sum[f][j], part) = s[f][j];
        }
    }
}

inline void row_product(int filters, const lanes* x, const float* u, int channels, lanes (*sum)[kPoints]) {
    switch (filters) {
        case 1:
            return row_product<1>(x, u, channels, sum);
#if defined(__AVX512F__)
        case 3:
            return row_product<3>(x, u, channels, sum);
        case 4:
            return row_product<4>(x, u, channels, sum);
#endif
        default:
            return row_product<2>(x, u, channels, sum);
    }
}

// Where U[f, c] has row `i` among the packed weights: [filter tile][i][c][f][6]. For dx, f and c change places.
inline std::ptrdiff_t packed_row(const Cut& filters, int channels, int f, int c, int i) {
    const int tile = f / filters.by;
    const std::ptrdiff_t before = static_cast<std::ptrdiff_t>(tile) * filters.by * channels * kPoints;
    return (before + static_cast<std::ptrdiff_t>(i * channels + c) * filters.size(tile) + f % filters.by) * kPoints;
}

// U = G w Gᵀ, once for forward and, where dx is wanted, once more for it.
template <int K>
void pack_winograd(const Program& program, const Step& step, const float* params, float* packed, Part part) {
    const Filters w(program, step);
    const Cut filters(w.out), channels(w.in);
    const int vectors = vectors_of(w.out);
    float* forward = packed + step.packed;
    float* back = forward + static_cast<std::ptrdiff_t>(w.in) * w.out * kPoints * kPoints;
    for (const int item : part.of(w.in * vectors)) {
        const int c = item / vectors, f0 = item % vectors * kLanes, count = at_most(kLanes, w.out - f0);
        lanes taps[K * K], half[kPoints * K], u[kPoints * kPoints];
        for (int tap = 0; tap < K * K; ++tap) {
            taps[tap] = lanes{};
            for (int t = 0; t < count; ++t) taps[tap][t] = params[step.weight + w.at(step.flip, 0, f0 + t, c, tap)];
        }
        for (int k = 0; k < K; ++k) transform_weights<K>(taps + k, K, half + k, K);
        for (int i = 0; i < kPoints; ++i) transform_weights<K>(half + i * K, 1, u + i * kPoints, 1);
        for (int t = 0; t < count; ++t) {
            for (int i = 0; i < kPoints; ++i) {
                float* row = forward + packed_row(filters, w.in, f0 + t, c, i);
                for (int j = 0; j < kPoints; ++j) row[j] = u[i * kPoints + j][t];
                if (!step.needs_dx) continue;
                row = back + packed_row(channels, w.out, c, f0 + t, i);
                for (int j = 0; j < kPoints; ++j) row[j] = u[i * kPoints + j][t];
            }
        }
    }
}

// The scratch holds X, [row][c][6].
template <int M, typename Activate>
void winograd_forward(const Program& program, const Step& step, lanes* arena, lanes* scratch, const float* packed,
                      const float* params, Part part, Activate activate) {
    const Tiling<M> tiles = tiling<M>(program, step, arena, scratch);
    const Slot &in = tiles.in, &out = tiles.out;
    const Cut filters(out.channels);
    lanes* x = scratch + kZeros;
    for (const int tile : part.of(tiles.down() * tiles.across())) {
        for (int c = 0; c < in.channels; ++c) {
            lanes pixels[kPoints * kPoints], half[kPoints * kPoints];
            for (int r = 0; r < kPoints; ++r) {
                const lanes* row = tiles.input_row(c, tiles.top(tile) + r, tiles.left(tile));
                for (int k = 0; k < kPoints; ++k) pixels[r * kPoints + k] = row[k];
            }
            for (int k = 0; k < kPoints; ++k) {
                lanes column[kPoints];
                transform_input(pixels + k, kPoints, column);
                for (int i = 0; i < kPoints; ++i) half[i * kPoints + k] = column[i];
            }
            for (int i = 0; i < kPoints; ++i) {
                transform_input(half + i * kPoints, 1, x + (i * in.channels + c) * kPoints);
            }
        }
        const int l0 = tile / tiles.across() * M, m0 = tile % tiles.across() * M;
        const int rows = at_most(M, out.height - l0), columns = at_most(M, out.width - m0);
        for (int q = 0; q < filters.tiles(); ++q) {
            lanes half[kWinogradFilters][kPoints * M];
            const float* u = packed + step.packed + packed_row(filters, in.channels, q * filters.by, 0, 0);
            for (int i = 0; i < kPoints; ++i) {
                lanes products[kWinogradFilters][kPoints];
                row_product(filters.size(q), x + i * in.channels * kPoints,
                            u + static_cast<std::ptrdiff_t>(i) * in.channels * filters.size(q) * kPoints, in.channels,
                            products);
                for (int f = 0; f < filters.size(q); ++f) transform_products<M>(products[f], 1, half[f] + i * M);
            }
            for (int f = 0; f < filters.size(q); ++f) {
                const int filter = q * filters.by + f;
                const float bias = step.bias < 0 ? 0.0f : params[step.bias + filter];
                lanes y[M * M];
                for (int m = 0; m < M; ++m) {
                    lanes column[M];
                    transform_products<M>(half[f] + m, M, column);
                    for (int l = 0; l < M; ++l) y[l * M + m] = column[l] + bias;
                }
                activate(y, M * M);
                lanes* to = arena + out.value + filter * out.plane() + l0 * out.pitch() + out.border + m0;
                for (int l = 0; l < rows; ++l) {
                    for (int m = 0; m < columns; ++m) to[l * out.pitch() + m] = y[l * M + m];
                }
            }
        }
    }
}

// δ tile by tile, [f][tile][M·M], zeros outside the map: what both ways back read many times over lies in a row.
template <int M>
void tile_delta(const Program& program, const Step& step, lanes* arena, const lanes* scratch, Part part) {
    const Tiling<M> tiles = tiling<M>(program, step, arena, scratch);
    const int across = tiles.across();
    for (const int item : part.of(tiles.out.channels * tiles.down())) {
        const int f = item / tiles.down(), down = item % tiles.down();
        lanes* to = tiles.delta(f, down * across);
        for (int l = 0; l < M; ++l) {
            const bool inside = down * M + l < tiles.out.height;
            const lanes* row = tiles.delta_row(f, down * M + l);
            for (int tile = 0; tile < across; ++tile) {
                for (int m = 0; m < M; ++m) to[(tile * M + l) * M + m] = inside ? row[tile * M + m] : lanes{};
            }
        }
    }
}

// Row I of the first half of V = A dy Aᵀ: A dy.
template <int M, int I, typename V>
inline void transform_down(const V* delta, int step, V* vertical) {
    for (int m = 0; m < M; ++m) {
        vertical[m] = delta[(I == kPoints - 1 ? (M - 1) * M + m : m) * step];
        if constexpr (I > 0 && I < kPoints - 1) {
            constexpr float kPoint[] = {0, 1, -1, 2, -2};
            for (int l = 1; l < M; ++l) {
                float factor = 1.0f;
                for (int k = 0; k < l; ++k) factor *= kPoint[I];
                vertical[m] += factor * delta[(l * M + m) * step];
            }
        }
    }
}

// Call body<0>(), …, body<5>().
template <typename Body>
void for_each_row(Body body) {
    body.template operator()<0>();
    body.template operator()<1>();
    body.template operator()<2>();
    body.template operator()<3>();
    body.template operator()<4>();
    body.template operator()<5>();
}

// The scratch holds a row of V, [f][6], and what goes to dx before its last transform, [c][row][6].
template <int M>
void winograd_dx(const Program& program, const Step& step, lanes* arena, lanes* scratch, const float* packed,
                 Part part) {
    const Tiling<M> tiles = tiling<M>(program, step, arena, scratch);
    const Slot &in = tiles.in, &out = tiles.out;
    const Cut channels(in.channels);
    const Range mine = part.of(channels.tiles());
    if (mine.from == mine.to) return;
    const int c_from = mine.from * channels.by, c_to = at_most(mine.to * channels.by, in.channels);
    lanes *v = scratch + kZeros, *back = v + out.channels * kPoints;
    const float* weights =
        packed + step.packed + static_cast<std::ptrdiff_t>(in.channels) * out.channels * kPoints * kPoints;
    for (int c = c_from; c < c_to && !step.adds; ++c) {
        for (int u = 0; u < in.height; ++u) {
            clear(arena + in.delta + c * in.plane() + u * in.pitch() + in.border, in.width);
        }
    }
    const std::ptrdiff_t filter = tiles.delta(1, 0) - tiles.delta(0, 0);
    for (int tile = 0; tile < tiles.down() * tiles.across(); ++tile) {
        const lanes* delta = tiles.delta(0, tile);
        for_each_row([&]<int I>() {
            for (int f = 0; f < out.channels; ++f) {
                lanes vertical[M];
                transform_down<M, I>(delta + f * filter, 1, vertical);
                transform_output_back<M>(vertical, 1, v + f * kPoints);
            }
            for (const int q : mine) {
                const int size = channels.size(q);
                lanes products[kWinogradFilters][kPoints];
                row_product(size, v, weights + packed_row(channels, out.channels, q * channels.by, 0, I), out.channels,
                            products);
                for (int c = 0; c < size; ++c) {
                    transform_input_back(products[c], 1, back + ((q * channels.by + c) * kPoints + I) * kPoints);
                }
            }
        });
        const int top = tiles.top(tile), left = tiles.left(tile);
        const int u_from = top < 0 ? -top : 0, u_to = at_most(kPoints, in.height - top);
        const int v_from = left < 0 ? -left : 0, v_to = at_most(kPoints, in.width - left);
        for (int c = c_from; c < c_to; ++c) {
            lanes* dx = arena + in.delta + c * in.plane() + top * in.pitch() + in.border + left;
            for (int k = v_from; k < v_to; ++k) {
                lanes column[kPoints];
                transform_input_back(back + c * kPoints * kPoints + k, kPoints, column);
                for (int r = u_from; r < u_to; ++r) dx[r * in.pitch() + k] += column[r];
            }
        }
    }
}
