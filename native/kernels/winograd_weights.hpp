// The weight gradient by Winograd's way: dw[f, c] = Gᵀ( Σ_tiles V[f] ⊙ X[c] )G, see winograd.hpp.
//
// A register tile is a few filters × channels × one row of six, summed over the tiles of outputs. X of a row is made
// once for a run of tiles, V on the way.
#pragma once

#include "sum_lanes.hpp"
#include "winograd.hpp"

#if defined(__AVX512F__)
inline constexpr int kWeightsChannels = 2, kWeightsFilters = 2, kWeightsFiltersOfOne = 3;
static_assert(kWeightsChannels <= kWeightsInputs);
#else
inline constexpr int kWeightsChannels = 1, kWeightsFilters = 2, kWeightsFiltersOfOne = 2;
#endif

// Entry J of A dy.
template <int M, int J>
piece output_back_at(const piece* dy) {
    if constexpr (J == 0) return dy[0];
    if constexpr (J == kPoints - 1) return dy[M - 1];
    piece even = dy[0], odd = dy[1];
    if constexpr (J > 2) odd += dy[1];
    if constexpr (M > 2) even += (J > 2 ? 4.0f : 1.0f) * dy[2];
    if constexpr (M > 3) odd += (J > 2 ? 8.0f : 1.0f) * dy[3];
    return J % 2 == 1 ? even + odd : even - odd;
}

// Row I of Bᵀx for a run of tiles side by side: `columns` vectors.
template <int I>
void transform_input_row(const lanes* const* rows, int columns, lanes* t) {
    const lanes *x0 = rows[0], *x1 = rows[1], *x2 = rows[2], *x3 = rows[3], *x4 = rows[4], *x5 = rows[5];
    for (int k = 0; k < columns; ++k) {
        if constexpr (I == 0) t[k] = 4.0f * x0[k] - 5.0f * x2[k] + x4[k];
        if constexpr (I == 1) t[k] = (x4[k] - 4.0f * x2[k]) + (x3[k] - 4.0f * x1[k]);
        if constexpr (I == 2) t[k] = (x4[k] - 4.0f * x2[k]) - (x3[k] - 4.0f * x1[k]);
        if constexpr (I == 3) t[k] = (x4[k] - x2[k]) + 2.0f * (x3[k] - x1[k]);
        if constexpr (I == 4) t[k] = (x4[k] - x2[k]) - 2.0f * (x3[k] - x1[k]);
        if constexpr (I == 5) t[k] = 4.0f * x1[k] - 5.0f * x3[k] + x5[k];
    }
}

// Row I of X for the tiles from `first` on, [tile][6]; `row` has room for the inputs above them all.
template <int M, int I>
void transform_inputs(const Tiling<M>& tiles, int c, int first, int count, lanes* row, lanes* x) {
    for (int done = 0; done < count;) {
        const int tile = first + done, side_by_side = at_most(count - done, tiles.across() - tile % tiles.across());
        const lanes* rows[kPoints];
        for (int r = 0; r < kPoints; ++r) rows[r] = tiles.input_row(c, tiles.top(tile) + r, tiles.left(tile));
        transform_input_row<I>(rows, M * (side_by_side - 1) + kPoints, row);
        for (int t = 0; t < side_by_side; ++t) transform_input(row + M * t, 1, x + (done + t) * kPoints);
        done += side_by_side;
    }
}

// Sums of V[f] ⊙ X[c] over tiles, for one row of six: those of one j lie `stride` apart, those of one c six of these.
struct Sums {
    lanes* first;
    int stride;

    lanes& at(int c, int f, int j) const { return first[(c * kPoints + j) * stride + f]; }
};

template <int TF, int TC, int M, int J>
inline void add_products(const piece (*vertical)[M], const piece* x, std::ptrdiff_t channel,
                         piece (*sum)[TC][kPoints]) {
    piece v[TF];
    for (int f = 0; f < TF; ++f) v[f] = output_back_at<M, J>(vertical[f]);
    for (int c = 0; c < TC; ++c) {
        piece pixel = x[(c * channel + J) * kParts];
        keep_in_register(pixel);
        for (int f = 0; f < TF; ++f) sum[f][c][J] += v[f] * pixel;
    }
}

// Σ V[f] ⊙ X[c] for row I, TF filters and TC channels: V is made on the way, column by column, as the registers allow.
template <int TF, int TC, int M, int I>
void weights_row(const lanes* delta, std::ptrdiff_t filter, int count, const lanes* x, std::ptrdiff_t channel,
                 bool begin, Sums sums) {
    for (int part = 0; part < kParts; ++part) {
        piece s[TF][TC][kPoints];
        for (int f = 0; f < TF; ++f) {
            for (int c = 0; c < TC; ++c) {
                for (int j = 0; j < kPoints; ++j) s[f][c][j] = begin ? piece{} : *pieces(&sums.at(c, f, j), part);
            }
        }
        for (int t = 0; t < count; ++t) {
            const piece* dy = pieces(delta + t * M * M, part);
            const piece* pixels = pieces(x + t * kPoints, part);
            piece vertical[TF][M];
            for (int f = 0; f < TF; ++f) transform_down<M, I>(dy + f * filter * kParts, kParts, vertical[f]);
            add_products<TF, TC, M, 0>(vertical, pixels, channel, s);
            add_products<TF, TC, M, 1>(vertical, pixels, channel, s);
            add_products<TF, TC, M, 2>(vertical, pixels, channel, s);
            add_products<TF, TC, M, 3>(vertical, pixels, channel, s);
            add_products<TF, TC, M, 4>(vertical, pixels, channel, s);
            add_products<TF, TC, M, 5>(vertical, pixels, channel, s);
        }
        for (int f = 0; f < TF; ++f) {
            for (int c = 0; c < TC; ++c) {
                for (int j = 0; j < kPoints; ++j) *pieces(&sums.at(c, f, j), part) = s[f][c][j];
            }
        }
    }
}

template <int TC, int M, int I>
void weights_row(int filters, const lanes* delta, std::ptrdiff_t filter, int count, const lanes* x,
                 std::ptrdiff_t channel, bool begin, Sums sums) {
#if defined(__AVX512F__)
    if (TC == 1 && filters == 3) return weights_row<3, 1, M, I>(delta, filter, count, x, channel, begin, sums);
#endif
    if (filters == 2) return weights_row<2, TC, M, I>(delta, filter, count, x, channel, begin, sums);
    weights_row<1, TC, M, I>(delta, filter, count, x, channel, begin, sums);
}

// First half of the weight gradient: Σ V ⊙ X, summed over the lanes, to the arena behind the tiles of δ, as
// [c][36][16 filters a vector].
// The scratch holds one row of inputs before the transform along it, X and the sums.
template <int M>
void winograd_products_gradient(const Program& program, const Step& step, lanes* arena, lanes* scratch, Part part) {
    const Tiling<M> tiles = tiling<M>(program, step, arena, scratch);
    const int all = tiles.down() * tiles.across(), vectors = vectors_of(tiles.out.channels);
    constexpr std::ptrdiff_t kInputs = kTilesAtOnce * kPoints;
    lanes *row = scratch + kZeros, *x = row + kZeros;
    const Sums sums{x + kWeightsChannels * kInputs, vectors * kLanes};
    const std::ptrdiff_t filter = tiles.delta(1, 0) - tiles.delta(0, 0);
    const int pairs = (tiles.in.channels + kWeightsChannels - 1) / kWeightsChannels;
    for (const int item : part.of(pairs * kPoints)) {
        const int c0 = item / kPoints * kWeightsChannels, i = item % kPoints;
        const int channels = at_most(kWeightsChannels, tiles.in.channels - c0);
        const int filters = channels > 1 ? kWeightsFilters : kWeightsFiltersOfOne;
        const auto add_row = [&]<int I>() {
            if (I != i) return;
            for (int first = 0; first < all; first += kTilesAtOnce) {
                const int count = at_most(kTilesAtOnce, all - first);
                for (int c = 0; c < channels; ++c) {
                    transform_inputs<M, I>(tiles, c0 + c, first, count, row, x + c * kInputs);
                }
                for (int f0 = 0; f0 < tiles.out.channels; f0 += filters) {
                    const int size = at_most(filters, tiles.out.channels - f0);
                    const Sums here{sums.first + f0, sums.stride};
                    const lanes* delta = tiles.delta(f0, first);
                    const bool begin = first == 0;
                    if (channels > 1) {
                        weights_row<kWeightsChannels, M, I>(size, delta, filter, count, x, kInputs, begin, here);
                    } else {
                        weights_row<1, M, I>(size, delta, filter, count, x, kInputs, begin, here);
                    }
                }
            }
        };
        for_each_row(add_row);
        for (int c = 0; c < channels; ++c) {
            lanes* totals = tiles.delta(tiles.out.channels, 0) + ((c0 + c) * kPoints + i) * kPoints * vectors;
            const lanes* addends = &sums.at(c, 0, 0);
            for (int k = 0; k < kPoints * vectors; ++k) totals[k] = sum_lanes_of_16(addends + k * kLanes);
        }
    }
}

// Second half: dw = Gᵀ(…)G, 16 filters at a time; `add`ed to what another block has left, or put in its place.
template <int M>
void winograd_weight_gradient(const Program& program, const Step& step, lanes* arena, const lanes* scratch,
                              float* gradients, bool add, Part part) {
    constexpr int kKernel = Tiling<M>::kKernel;
    const Filters w(program, step);
    const int vectors = vectors_of(w.out);
    for (const int item : part.of(w.in * vectors)) {
        const int c = item / vectors, vector = item % vectors, f0 = vector * kLanes;
        const lanes* totals =
            tiling<M>(program, step, arena, scratch).delta(w.out, 0) + c * kPoints * kPoints * vectors + vector;
        lanes half[kKernel * kPoints], dw[kKernel * kKernel];
        for (int j = 0; j < kPoints; ++j) {
            lanes column[kPoints];
            for (int i = 0; i < kPoints; ++i) column[i] = totals[(i * kPoints + j) * vectors];
            transform_weights_back<kKernel>(column, 1, half + j, kPoints);
        }
        for (int k = 0; k < kKernel; ++k) {
            transform_weights_back<kKernel>(half + k * kPoints, 1, dw + k * kKernel, 1);
        }
        for (int t = 0; t < at_most(kLanes, w.out - f0); ++t) {
            for (int tap = 0; tap < kKernel * kKernel; ++tap) {
                float& to = gradients[step.weight + w.at(step.flip, 0, f0 + t, c, tap)];
                to = add ? to + dw[tap][t] : dw[tap][t];
            }
        }
    }
}
