// Winograd's convolution of a single map, a grey image, with 5×5 kernels of stride 1: row by row, F(4, 5) along each.
// With u[f,j] = G w[f,j], x[u] = Bᵀ x of the eight inputs of row u under a tile, and v[f,l] = A dy of four outputs,
//
//     y[f,l] = Aᵀ( Σ_j u[f,j] ⊙ x[l+j] )        dw[f,j] = Gᵀ( Σ_l v[f,l] ⊙ x[l+j] )
//
// 40 products for four outputs, where tiles of 4×4 take 16. But with one map there is no sum over channels to share the
// transforms of δ and of the outputs, and these have one axis here, not two: they never leave the registers.
#pragma once

#include "winograd_five_weights.hpp"

namespace five {

inline constexpr int kRowsTogether = 32;  // of outputs, whose X stays in the first cache
#if defined(__AVX512F__)
inline constexpr int kRowFilters = 3;  // whose eight sums each stay in registers
inline constexpr int kRowPoints = 4;   // of the eight of a row, whose sums of five rows each stay in registers
#else
inline constexpr int kRowFilters = 1;
inline constexpr int kRowPoints = 2;
#endif

// X of the inputs under `rows` rows of outputs from l0 on, four columns of them from m0 on, [row][8].
inline void transform_input_rows(const Tiling& tiles, int l0, int rows, int m0, lanes* x) {
    const int top = l0 - tiles.step.rows.before, left = m0 - tiles.step.columns.before;
    for (int r = 0; r < rows + kFive - 1; ++r) {
        const lanes* inputs = tiles.input_row(0, top + r, left);
        for (int part = 0; part < kParts; ++part) {
            piece values[kPointsOfFive];
            transform_input(pieces(inputs, part), kParts, values);
            for (int j = 0; j < kPointsOfFive; ++j) *pieces(x + r * kPointsOfFive + j, part) = values[j];
        }
    }
}

// Where U of row j begins among the packed weights: [filter tile][j][f][8].
inline std::ptrdiff_t packed_rows(const Cut& filters, int tile, int j) {
    return static_cast<std::ptrdiff_t>(tile * filters.by * kFive + j * filters.size(tile)) * kPointsOfFive;
}

// U = G w of every row, once a batch.
inline void pack_rows(const Program& program, const Step& step, const float* params, float* packed, Part part) {
    const Filters w(program, step);
    const Cut filters(w.out, kRowFilters);
    for (const int f : part.of(w.out)) {
        for (int j = 0; j < kFive; ++j) {
            lanes taps[kFive], u[kPointsOfFive];
            for (int k = 0; k < kFive; ++k) {
                taps[k] = lanes{} + params[step.weight + w.at(step.flip, 0, f, 0, j * kFive + k)];
            }
            transform_weights(taps, 1, u);
            float* to = packed + step.packed + packed_rows(filters, f / filters.by, j) + f % filters.by * kPointsOfFive;
            for (int i = 0; i < kPointsOfFive; ++i) to[i] = u[i][0];
        }
    }
}

// Four outputs of TF filters, [f][4], from the five rows of X above them.
template <int TF>
void row_tile(int filters, const lanes* x, const float* u, const float* bias, lanes* y) {
    if constexpr (TF > 1) {
        if (filters < TF) return row_tile<TF - 1>(filters, x, u, bias, y);
    }
    for (int part = 0; part < kParts; ++part) {
        piece s[TF][kPointsOfFive];
        for (int f = 0; f < TF; ++f) {
            for (int i = 0; i < kPointsOfFive; ++i) s[f][i] = piece{};
        }
        for (int j = 0; j < kFive; ++j) {
            piece v[kPointsOfFive];
            for (int i = 0; i < kPointsOfFive; ++i) {
                v[i] = *pieces(x + j * kPointsOfFive + i, part);
                keep_in_register(v[i]);
            }
            for (int f = 0; f < TF; ++f) {
                for (int i = 0; i < kPointsOfFive; ++i) s[f][i] += u[(j * TF + f) * kPointsOfFive + i] * v[i];
            }
        }
        for (int f = 0; f < TF; ++f) {
            piece first[kSide], second[kSide];
            transform_products<0>(s[f], first);
            transform_products<1>(s[f] + kHalf, second);
            for (int m = 0; m < kSide; ++m) {
                *pieces(y + f * kSide + m, part) = first[m] + second[m] + (bias ? bias[f] : 0.0f);
            }
        }
    }
}

// The scratch holds X.
template <typename Activate>
void forward_by_rows(const Program& program, const Step& step, lanes* arena, lanes* scratch, const float* packed,
                     const float* params, Part part, Activate activate) {
    const Tiling tiles(program, step, arena, scratch);
    const Slot& out = tiles.out;
    const Cut filters(out.channels, kRowFilters);
    const float* bias = step.bias < 0 ? nullptr : params + step.bias;
    lanes* x = scratch + kZeros;
    for (const int item : part.of(tiles.across())) {
        const int m0 = item * kSide, columns = at_most(kSide, out.width - m0);
        for (int l0 = 0; l0 < out.height; l0 += kRowsTogether) {
            const int rows = at_most(kRowsTogether, out.height - l0);
            transform_input_rows(tiles, l0, rows, m0, x);
            for (int q = 0; q < filters.tiles(); ++q) {
                const int f0 = q * filters.by, size = filters.size(q);
                const float* u = packed + step.packed + packed_rows(filters, q, 0);
                for (int l = 0; l < rows; ++l) {
                    lanes y[kRowFilters * kSide];
                    row_tile<kRowFilters>(size, x + l * kPointsOfFive, u, bias ? bias + f0 : nullptr, y);
                    activate(y, size * kSide);
                    for (int f = 0; f < size; ++f) {
                        lanes* to = arena + out.value + (f0 + f) * out.plane() + (l0 + l) * out.pitch() + out.border;
                        for (int m = 0; m < kSide; ++m) {
                            if (m < columns) to[m0 + m] = y[f * kSide + m];
                        }
                    }
                }
            }
        }
    }
}

// sums[j][point] (+)= Σ_l v[l][point]·x[l+j][point] of one filter, some points after the other.
template <int P = 0>
void add_rows_of_delta(const lanes* dy, std::ptrdiff_t pitch, const lanes* x, int rows, bool begin, lanes* sums) {
    for (int part = 0; part < kParts; ++part) {
        piece s[kFive][kRowPoints];
        for (int j = 0; j < kFive; ++j) {
            for (int i = 0; i < kRowPoints; ++i) {
                s[j][i] = begin ? piece{} : *pieces(sums + j * kPointsOfFive + P + i, part);
            }
        }
        for (int l = 0; l < rows; ++l) {
            piece four[kSide], v[kHalf];
            for (int m = 0; m < kSide; ++m) four[m] = *pieces(dy + l * pitch + m, part);
            transform_output_back<P / kHalf>(four, v);
            for (int j = 0; j < kFive; ++j) {
                const lanes* values = x + (l + j) * kPointsOfFive + P;
                for (int i = 0; i < kRowPoints; ++i) s[j][i] += v[P % kHalf + i] * *pieces(values + i, part);
            }
        }
        for (int j = 0; j < kFive; ++j) {
            for (int i = 0; i < kRowPoints; ++i) *pieces(sums + j * kPointsOfFive + P + i, part) = s[j][i];
        }
    }
    if constexpr (P + kRowPoints < kPointsOfFive) {
        add_rows_of_delta<P + kRowPoints>(dy, pitch, x, rows, begin, sums);
    }
}

// First half of the weight gradient: Σ_l v ⊙ x, summed over the lanes, to the arena as [5·8][filter]. The scratch holds
// X and the sums.
inline void sum_row_products(const Program& program, const Step& step, lanes* arena, lanes* scratch, Part part) {
    constexpr int kSums = kFive * kPointsOfFive;
    const Tiling tiles(program, step, arena, scratch);
    const Slot& out = tiles.out;
    const Range filters = part.of(out.channels);
    lanes *x = scratch + kZeros, *sums = x + (kRowsTogether + kFive - 1) * kPointsOfFive;
    bool begin = true;
    for (int m0 = 0; m0 < out.width; m0 += kSide) {
        for (int l0 = 0; l0 < out.height; l0 += kRowsTogether) {
            const int rows = at_most(kRowsTogether, out.height - l0);
            transform_input_rows(tiles, l0, rows, m0, x);
            for (const int f : filters) {
                add_rows_of_delta(tiles.delta_row(f, l0) + m0, out.pitch(), x, rows, begin,
                                  sums + (f - filters.from) * kSums);
            }
            begin = false;
        }
    }
    float* totals = reinterpret_cast<float*>(tiles.totals());
    for (const int f : filters) {
        for (int k = 0; k < kSums; ++k) {
            totals[k * vectors_of(out.channels) * kLanes + f] = sum_lanes(sums[(f - filters.from) * kSums + k]);
        }
    }
}

// Second half: dw = Gᵀ(…) of every row, 16 filters at a time.
inline void weight_gradient_of_rows(const Program& program, const Step& step, lanes* arena, const lanes* scratch,
                                    float* gradients, bool add, Part part) {
    const Tiling tiles(program, step, arena, scratch);
    const int vectors = vectors_of(tiles.out.channels);
    for (const int vector : part.of(vectors)) {
        lanes dw[kTapsOfFive];
        for (int j = 0; j < kFive; ++j) {
            transform_weights_back(tiles.totals() + j * kPointsOfFive * vectors + vector, vectors, dw + j * kFive, 1);
        }
        write_taps(Filters(program, step), step, 0, vector * kLanes, dw, gradients, add);
    }
}

}  // namespace five
