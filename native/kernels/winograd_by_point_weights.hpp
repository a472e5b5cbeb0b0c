// The weight gradient of 3×3 convolutions by F(3×3, 4×4), as 36 matrix products:
//
//     S[i,j][c, f] = Σ_t Σ_s X[i,j][c, t, s]·V[i,j][f, t, s]        dw = GᵀS G
//
// over tiles t and samples s. The samples of δ change places with 16 filters, so that a product of V, 16 filters to a
// vector, with single numbers of X needs no sum over lanes.
#pragma once

#include "winograd_by_point.hpp"

#if defined(__AVX512F__)
inline constexpr int kSumVectors = 4;
#else
inline constexpr int kSumVectors = 2;
#endif
static_assert(kSumBlock % (kSumVectors * kLanes) == 0);

// sums[c][v] (+)= Σ_k x[c][k]·v[k][v] for four channels and TV vectors.
template <int TV>
void point_sums(const lanes* x, const lanes* v, int count, bool begin, lanes* sums) {
    const float* numbers = reinterpret_cast<const float*>(x);
    for (int part = 0; part < kParts; ++part) {
        piece s[kPointTile][TV];
        for (int c = 0; c < kPointTile; ++c) {
            for (int i = 0; i < TV; ++i) {
                s[c][i] = begin ? piece{} : *pieces(sums + c * TV + i, part);
            }
        }
        for (int k = 0; k < count; ++k) {
            piece own[TV];
            for (int i = 0; i < TV; ++i) own[i] = *pieces(v + k * TV + i, part);
            for (int c = 0; c < kPointTile; ++c) {
                piece number = numbers[c * kGroup * kLanes + k] - piece{};
                keep_in_register(number);
                for (int i = 0; i < TV; ++i) s[c][i] += number * own[i];
            }
        }
        for (int c = 0; c < kPointTile; ++c) {
            for (int i = 0; i < TV; ++i) *pieces(sums + c * TV + i, part) = s[c][i];
        }
    }
}

inline void point_sums(int vectors, const lanes* x, const lanes* v, int count, bool begin, lanes* sums) {
    switch (vectors) {
        case 1:
            return point_sums<1>(x, v, count, begin, sums);
#if defined(__AVX512F__)
        case 3:
            return point_sums<3>(x, v, count, begin, sums);
        case 4:
            return point_sums<4>(x, v, count, begin, sums);
#endif
        default:
            return point_sums<2>(x, v, count, begin, sums);
    }
}

// V = A dy Aᵀ of 16 filters under one tile of R×C outputs: points lie `point` apart, samples `step`.
template <int R, int C>
void transform_delta(const Maps& delta, int f0, const Tile& tile, lanes* v, std::ptrdiff_t point, std::ptrdiff_t step) {
    const int filters = at_most(kLanes, delta.slot.channels - f0);
    lanes turned[kLanes * R * C];
    for (int l = 0; l < R; ++l) {
        for (int m = 0; m < C; ++m) {
            lanes dy[kLanes];
            for (int f = 0; f < kLanes; ++f) {
                const lanes* from = delta.at(f0 + f, tile.top + l, tile.left + m);
                dy[f] = f < filters ? *from : lanes{};
                __builtin_prefetch(from + kSide);  // the next tile's
            }
            turn(dy, 1, kLanes, turned + l * C + m, R * C);
        }
    }
    for (int s = 0; s < kLanes; ++s) {
        for (int part = 0; part < kParts; ++part) {
            transform_rows_of_delta<R, C, 0, 5>(turned + s * R * C, part, v + s * step, point);
            transform_rows_of_delta<R, C, 1, 2>(turned + s * R * C, part, v + s * step, point);
            transform_rows_of_delta<R, C, 3, 4>(turned + s * R * C, part, v + s * step, point);
        }
    }
}

// What a block of filters and channels takes in a thread's scratch, in register tiles of up to kSumVectors vectors of
// filters: V, [36][panel][tile, s][vector], and S, [36][panel][c][vector].
struct SumBlock {
    int channels, vectors;  // the channels of S in whole register tiles: what lies beyond those of X is never read
    std::ptrdiff_t x_step, v_step;  // from one point to the next

    int panel(int vector) const { return vector / kSumVectors * kSumVectors; }
    int width(int vector) const { return at_most(kSumVectors, vectors - panel(vector)); }
    std::ptrdiff_t sum(int point, int vector, int c) const {
        const std::ptrdiff_t before = (static_cast<std::ptrdiff_t>(point) * vectors + panel(vector)) * channels;
        return before + c * width(vector) + vector % kSumVectors;
    }
    std::ptrdiff_t delta(int vector, int tile) const {
        return (panel(vector) * kGroup + tile * width(vector)) * kLanes + vector % kSumVectors;
    }
};

// V of a block's filters under a group of tiles.
inline void transform_deltas(const Maps& delta, const Group& group, int f0, const SumBlock& block, lanes* v) {
    for (int i = 0; i < block.vectors; ++i) {
        for (int t = 0; t < group.count; ++t) {
            const Tile& tile = group.tiles[t];
            with_outputs(tile.rows, tile.columns, [&]<int R, int C>() {
                transform_delta<R, C>(delta, f0 + i * kLanes, tile, v + block.delta(i, t), block.v_step,
                                      block.width(i));
            });
        }
    }
}

// S of a block from one group of tiles.
inline void add_products_of_group(const Group& group, const SumBlock& block, const lanes* x, const lanes* v, bool begin,
                                  lanes* sums) {
    for (int point = 0; point < kPoints * kPoints; ++point) {
        const int count = group.taking(point) * kLanes;
        for (int vector = 0; vector < block.vectors; vector += kSumVectors) {
            for (int c = 0; c < block.channels; c += kPointTile) {
                point_sums(block.width(vector), x + point * block.x_step + c * kGroup,
                           v + point * block.v_step + block.delta(vector, 0), count, begin,
                           sums + block.sum(point, vector, c));
            }
        }
    }
}

// dw = GᵀS G of 16 filters × 16 channels: a filter's taps of 16 channels are a run of 9 vectors.
inline void finish_weights(const Step& step, const Filters& w, const lanes* sums, std::ptrdiff_t point,
                           std::ptrdiff_t channel, int f0, int c0, int channels, bool add, float* gradients) {
    constexpr int kKernel = 3;
    lanes taps[kLanes * kTaps], rows[kLanes * kTaps];
    for (int i = 0; i < kLanes * kTaps; ++i) taps[i] = lanes{};
    for (int n = 0; n < channels; ++n) {
        lanes half[kKernel * kPoints], dw[kTaps];
        for (int j = 0; j < kPoints; ++j) {
            lanes column[kPoints];
            for (int i = 0; i < kPoints; ++i) column[i] = sums[(i * kPoints + j) * point + n * channel];
            transform_weights_back(column, 1, half + j, kPoints);
        }
        for (int k = 0; k < kKernel; ++k) transform_weights_back(half + k * kPoints, 1, dw + k * kKernel, 1);
        for (int tap = 0; tap < kTaps; ++tap) taps[n * kTaps + (step.flip ? kTaps - 1 - tap : tap)] = dw[tap];
    }
    for (int i = 0; i < kTaps; ++i) turn(taps + i * kLanes, 1, kLanes, rows + i, kTaps);
    for (int f = 0; f < at_most(kLanes, w.out - f0); ++f) {
        float* to = gradients + step.weight + w.at(false, 0, f0 + f, c0, 0);
        const float* from = reinterpret_cast<const float*>(rows + f * kTaps);
        if (add) {
            for (int i = 0; i < channels * kTaps; ++i) to[i] += from[i];
        } else {
            __builtin_memcpy(to, from, static_cast<std::size_t>(channels * kTaps) * sizeof(float));
        }
    }
}

// Threads that share a block share its channels. The gradient is `add`ed to what another block has left, or put in its
// place. The scratch holds X, [36][c][tile], and V of a block for a group of tiles, and S.
inline void weights_by_point(const Program& program, const Step& step, const Source& source, lanes* arena,
                             lanes* scratch, float* gradients, bool add, Part part) {
    const Slot& out = program.slots[step.output];
    const Filters w(program, step);
    const Correlation maps = correlation_of(source, step, out, arena, out.delta, scratch);
    const Range mine = part.of((w.in + kPointTile - 1) / kPointTile);
    const int c_end = at_most(mine.to * kPointTile, w.in);
    const std::ptrdiff_t x_step = point_step(block_of(w.in, kSumBlock, kPointTile));
    const std::ptrdiff_t v_step = point_step(block_of(w.out, kSumBlock, kLanes));
    lanes *x = scratch + kZeros, *v = x + kPoints * kPoints * x_step, *sums = v + kPoints * kPoints * v_step;
    for (int f0 = 0; f0 < w.out; f0 += kSumBlock) {
        for (int c0 = mine.from * kPointTile; c0 < c_end; c0 += kSumBlock) {
            const int filters = at_most(kSumBlock, w.out - f0), channels = at_most(kSumBlock, c_end - c0);
            const int tiles = (channels + kPointTile - 1) / kPointTile;
            const SumBlock block{tiles * kPointTile, vectors_of(filters), x_step, v_step};
            for (int number = 0; number < maps.groups(); ++number) {
                const Group group = maps.group(number);
                transform_group(maps, group, c0, channels, x, x_step);
                transform_deltas(maps.to, group, f0, block, v);
                add_products_of_group(group, block, x, v, number == 0, sums);
            }
            for (int i = 0; i < block.vectors; ++i) {
                for (int c = 0; c < channels; c += kLanes) {
                    finish_weights(step, w, sums + block.sum(0, i, c), block.sum(1, 0, 0), block.width(i),
                                   f0 + i * kLanes, c0 + c, at_most(kLanes, channels - c), add, gradients);
                }
            }
        }
    }
}
