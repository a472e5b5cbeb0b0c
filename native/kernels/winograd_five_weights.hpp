// The weight gradient of 5×5 kernels by Winograd's way: dw[f, c] = Gᵀ( Σ_tiles V[f] ⊙ X[c] )G, see winograd_five.hpp.
//
// Half a row of the 8×8 values at a time: X of a few channels and some tiles lies in the first cache while all filters
// pass over it. Of each filter V is made on the way, and a few channels × 4 sums stay in registers.
#pragma once

#include "sum_lanes.hpp"
#include "turn.hpp"
#include "winograd_five.hpp"

namespace five {

static_assert(kTogether <= kChannelsOfFive);

// Row I of X for tiles of R rows beside each other, [half][tile][4], halves `apart`; `row` has room for the inputs
// above them all. Points that the last tile does not take get 0.
template <int I, int R>
void transform_input_row(const Tiling& tiles, int c, int first, int count, lanes* row, lanes* x, std::ptrdiff_t apart) {
    constexpr int kDown = points_of(R);
    const lanes* rows[kDown];
    for (int r = 0; r < kDown; ++r) rows[r] = tiles.input_row(c, tiles.top(first) + r, tiles.left(first));
    for (int part = 0; part < kParts; ++part) {
        const piece* parts[kDown];
        for (int r = 0; r < kDown; ++r) parts[r] = pieces(rows[r], part);
        for (int k = 0; k < kSide * (count - 1) + kPointsOfFive; ++k) {
            *pieces(row + k, part) = input_at<I, R>(parts, k * kParts);
        }
        for (int t = 0; t < count; ++t) {
            const piece* inputs = pieces(row + kSide * t, part);
            piece values[kPointsOfFive];
            if (tiles.columns(first + t) <= kNarrow) {
                values[kPointsOfFive - 2] = values[kPointsOfFive - 1] = piece{};
                transform_input<kNarrow>(inputs, kParts, values);
            } else {
                transform_input(inputs, kParts, values);
            }
            for (int j = 0; j < kHalf; ++j) {
                *pieces(x + t * kHalf + j, part) = values[j];
                *pieces(x + apart + t * kHalf + j, part) = values[kHalf + j];
            }
        }
    }
}

// The same for any tiles, row after row of them; those that do not take point I must not be among them.
template <int I>
void transform_input_rows_of_tiles(const Tiling& tiles, int c, int first, int count, lanes* row, lanes* x,
                                   std::ptrdiff_t apart) {
    for (int done = 0, beside; done < count; done += beside) {
        const int tile = first + done;
        beside = at_most(count - done, tiles.across() - tile % tiles.across());
        if (tiles.rows(tile) > kNarrow) {
            transform_input_row<I, kSide>(tiles, c, tile, beside, row, x + done * kHalf, apart);
        } else if constexpr (I < points_of(kNarrow)) {
            transform_input_row<I, kNarrow>(tiles, c, tile, beside, row, x + done * kHalf, apart);
        }
    }
}

// sums[c][j][f] (+)= Σ_t v[f][t][j]·x[c][t][j] of half H for TF filters and TC channels and the tiles from `first` on;
// filters lie `filter` apart halfway to V, channels `channel` apart in X, and points `point` in the sums.
template <int H, int TF, int TC>
void add_half_row(const Tiling& tiles, int first, const lanes* delta, std::ptrdiff_t filter, const lanes* x,
                  std::ptrdiff_t channel, int count, bool begin, lanes* sums, std::ptrdiff_t point) {
    const int across = tiles.across();
    const bool slim = tiles.columns(across - 1) <= kNarrow;
    for (int part = 0; part < kParts; ++part) {
        piece s[TF][TC][kHalf];
        for (int f = 0; f < TF; ++f) {
            for (int c = 0; c < TC; ++c) {
                for (int j = 0; j < kHalf; ++j) {
                    s[f][c][j] = begin ? piece{} : *pieces(sums + (c * kPointsOfFive + j) * point + f, part);
                }
            }
        }
        int column = first % across;
        for (int t = 0; t < count; ++t) {
            const bool narrow = slim && ++column == across;
            if (narrow) column = 0;
            for (int f = 0; f < TF; ++f) {
                piece dy[kSide], v[kHalf];
                for (int m = 0; m < kSide; ++m) dy[m] = *pieces(delta + f * filter + t * kSide + m, part);
                transform_output_back<H>(dy, v);
                if (H == 0 && narrow) v[kInfinity] = dy[kNarrow - 1];
                for (int c = 0; c < TC; ++c) {
                    for (int j = 0; j < kHalf; ++j) {
                        s[f][c][j] += v[j] * *pieces(x + c * channel + t * kHalf + j, part);
                    }
                }
            }
        }
        for (int f = 0; f < TF; ++f) {
            for (int c = 0; c < TC; ++c) {
                for (int j = 0; j < kHalf; ++j) {
                    *pieces(sums + (c * kPointsOfFive + j) * point + f, part) = s[f][c][j];
                }
            }
        }
    }
}

// All filters over TC channels at most.
template <int H, int TC>
void add_half_rows(int channels, const Tiling& tiles, int first, const lanes* delta, std::ptrdiff_t filter,
                   const lanes* x, std::ptrdiff_t channel, int count, bool begin, lanes* sums, std::ptrdiff_t point) {
    if constexpr (TC > 1) {
        if (channels < TC) {
            return add_half_rows<H, TC - 1>(channels, tiles, first, delta, filter, x, channel, count, begin, sums,
                                            point);
        }
    }
    const int filters = tiles.out.channels;
    constexpr int kFilters = kTogether / TC;
    int f = 0;
    for (; f + kFilters <= filters; f += kFilters) {
        add_half_row<H, kFilters, TC>(tiles, first, delta + f * filter, filter, x, channel, count, begin, sums + f,
                                      point);
    }
    for (; f < filters; ++f) {
        add_half_row<H, 1, TC>(tiles, first, delta + f * filter, filter, x, channel, count, begin, sums + f, point);
    }
}

// First half of the weight gradient: Σ V ⊙ X, summed over the lanes, to the arena behind the tiles of δ, as
// [c][64][16 filters a vector].
// The scratch holds one row of inputs before the transform along it, X of a few channels, and sums.
inline void sum_products(const Program& program, const Step& step, lanes* arena, lanes* scratch, Part part) {
    const Tiling tiles(program, step, arena, scratch);
    const int in = tiles.in.channels, out = tiles.out.channels, vectors = vectors_of(out);
    const Cut cut(in);
    constexpr std::ptrdiff_t kChannel = kTilesOfFive * kHalf;
    const std::ptrdiff_t filter = tiles.delta(0, 1, 0) - tiles.delta(0, 0, 0), point = vectors * kLanes;
    lanes *row = scratch + kZeros, *x = row + kZeros, *sums = x + 2 * kChannelsOfFive * kChannel;
    for (const int item : part.of(cut.tiles() * kPointsOfFive)) {
        const int c0 = item / kPointsOfFive * cut.by, channels = cut.size(item / kPointsOfFive);
        const int i = item % kPointsOfFive;
        const bool low = tiles.rows(tiles.count() - 1) <= kNarrow;
        const int taking = tiles.count() - (low && i >= points_of(kNarrow) ? tiles.across() : 0);
        for (int first = 0; first < taking; first += kTilesOfFive) {
            const int count = at_most(kTilesOfFive, taking - first);
            for_each_row([&]<int I>() {
                if (I != i) return;
                for (int c = 0; c < channels; ++c) {
                    transform_input_rows_of_tiles<I>(tiles, c0 + c, first, count, row, x + c * kChannel,
                                                     channels * kChannel);
                }
            });
            const lanes* delta = tiles.delta(i, 0, first);
            add_half_rows<0, kTogether>(channels, tiles, first, delta, filter, x, kChannel, count, first == 0, sums,
                                        point);
            add_half_rows<1, kTogether>(channels, tiles, first, delta, filter, x + channels * kChannel, kChannel, count,
                                        first == 0, sums + kHalf * point, point);
        }
        for (int c = 0; c < channels; ++c) {
            lanes* totals = tiles.totals() + (c0 + c) * kPointsOfFive * kPointsOfFive * vectors +
                            item % kPointsOfFive * kPointsOfFive * vectors;
            for (int k = 0; k < kPointsOfFive * vectors; ++k) {
                totals[k] = sum_lanes_of_16(sums + c * kPointsOfFive * point + k * kLanes);
            }
        }
    }
}

inline constexpr int kTapsOfFive = kFive * kFive;

// The gradients of channel c of 16 filters, one to a lane; `add`ed to what another block has left, or put in its place.
inline void write_taps(const Filters& w, const Step& step, int c, int f0, lanes* dw, float* gradients, bool add) {
    constexpr int kVectors = vectors_of(kTapsOfFive);
    for (int tap = 0; step.flip && tap < kTapsOfFive / 2; ++tap) {
        const lanes other = dw[kTapsOfFive - 1 - tap];
        dw[kTapsOfFive - 1 - tap] = dw[tap];
        dw[tap] = other;
    }
    lanes of_filter[kLanes][kVectors];
    for (int i = 0; i < kVectors; ++i) {
        turn(dw + i * kLanes, 1, at_most(kLanes, kTapsOfFive - i * kLanes), of_filter[0] + i, kVectors);
    }
    for (int t = 0; t < at_most(kLanes, w.out - f0); ++t) {
        float* to = gradients + step.weight + w.at(false, 0, f0 + t, c, 0);
        const float* from = reinterpret_cast<const float*>(of_filter[t]);
        for (int tap = 0; tap < kTapsOfFive; ++tap) to[tap] = add ? to[tap] + from[tap] : from[tap];
    }
}

// Second half: dw = Gᵀ(…)G, 16 filters at a time.
inline void weight_gradient(const Program& program, const Step& step, lanes* arena, const lanes* scratch,
                            float* gradients, bool add, Part part) {
    const Filters w(program, step);
    const int vectors = vectors_of(w.out);
    for (const int item : part.of(w.in * vectors)) {
        const int c = item / vectors, vector = item % vectors;
        const lanes* totals =
            Tiling(program, step, arena, scratch).totals() + c * kPointsOfFive * kPointsOfFive * vectors + vector;
        lanes half[kFive * kPointsOfFive], dw[kTapsOfFive];
        for (int j = 0; j < kPointsOfFive; ++j)
            transform_weights_back(totals + j * vectors, kPointsOfFive * vectors, half + j, kPointsOfFive);
        for (int k = 0; k < kFive; ++k) transform_weights_back(half + k * kPointsOfFive, 1, dw + k * kFive, 1);
        write_taps(w, step, c, vector * kLanes, dw, gradients, add);
    }
}

}  // namespace five
