// U = G w Gᵀ for winograd_by_point.hpp in the order in which it is read, [36][channels by 64][filters by 4][c][4
// filters], filled up with zeros to 16 filters; once for forward and, where dx is wanted, once more for it, with the
// kernels turned and c and f in each other's place.
#pragma once

#include "conv.hpp"
#include "stream.hpp"
#include "turn.hpp"
#include "winograd_transforms.hpp"

inline constexpr int kTaps = 9;
inline constexpr int kPointChannels = 64;                // whose X, four tiles of it, stays in the first cache
inline constexpr std::ptrdiff_t kManyWeights = 1 << 20;  // more are written past the caches, which they would only fill

// Where U[i,j] begins for channel c and the four filters of f.
inline std::ptrdiff_t point_weight(int channels, int filters, int point, int f, int c) {
    const int c0 = c / kPointChannels * kPointChannels, together = at_most(kPointChannels, channels - c0);
    const std::ptrdiff_t vectors = vectors_of(filters);
    return point * point_weights_step(channels, filters) + c0 * vectors * kLanes + f * together + (c - c0) * kPointTile;
}

// U of 16 filters for up to 64 channels, from [c][tap]: [4 fours of filters][c][4] at each of the points, which lie
// `point` apart. That is a page; wherever less is written at a time, the processor waits for its page tables.
template <bool kPastCaches>
void pack_points(const lanes* taps, int count, bool turned, float* to, std::ptrdiff_t point) {
    constexpr int kKernel = 3;
    const int step = turned ? -1 : 1;
    lanes half[kPointChannels][kPoints * kKernel];
    for (int c = 0; c < count; ++c) {
        const lanes* first = taps + c * kTaps + (turned ? kTaps - 1 : 0);
        for (int k = 0; k < kKernel; ++k) {
            transform_weights(first + k * step, kKernel * step, half[c] + k, kKernel);
        }
    }
    const std::ptrdiff_t apart = std::ptrdiff_t{kPointTile} * count;
    const int together = count % kPointTile == 0 ? count : 0;  // channels whose fours begin with a line of the cache
    for (int i = 0; i < kPoints; ++i) {
        float* row = to + i * kPoints * point;
        for (int c = 0; c < together; c += kPointTile) {
            lanes u[kPoints][kPointTile];
            PELLUCID_UNROLL
            for (int k = 0; k < kPointTile; ++k) transform_weights(half[c + k] + i * kKernel, 1, u[0] + k, kPointTile);
            PELLUCID_UNROLL
            for (int j = 0; j < kPoints; ++j) write_fours<kPastCaches>(u[j], row + j * point + c * kPointTile, apart);
        }
        for (int c = together; c < count; ++c) {
            lanes u[kPoints];
            transform_weights(half[c] + i * kKernel, 1, u, 1);
            for (int j = 0; j < kPoints; ++j) {
                for (int n = 0; n < kLanes / kPointTile; ++n) {
                    write_four<kPastCaches>(row + j * point + n * apart + c * kPointTile,
                                            reinterpret_cast<const float*>(u + j) + n * kPointTile);
                }
            }
        }
    }
}

inline void pack_points(const lanes* taps, int count, bool turned, float* to, std::ptrdiff_t point) {
    if (kPoints * kPoints * point < kManyWeights) return pack_points<false>(taps, count, turned, to, point);
    pack_points<true>(taps, count, turned, to, point);
}

// The taps of up to 16 filters and 16 channels, [c][tap] with the filters as lanes. In memory a filter's taps of 16
// channels are a run of 9 vectors. Those that come next lie `ahead`.
inline void load_taps(const Filters& w, const float* weight, int f0, int c0, std::ptrdiff_t ahead, lanes* taps) {
    const int filters = at_most(kLanes, w.out - f0), channels = at_most(kLanes, w.in - c0);
    lanes rows[kLanes * kTaps];
    if (filters < kLanes || channels < kLanes) {
        for (int i = 0; i < kLanes * kTaps; ++i) rows[i] = lanes{};
    }
    for (int f = 0; f < filters; ++f) {
        const float* from = weight + w.at(false, 0, f0 + f, c0, 0);
        __builtin_memcpy(rows + f * kTaps, from, static_cast<std::size_t>(channels * kTaps) * sizeof(float));
        for (int i = 0; i <= kTaps; ++i) __builtin_prefetch(from + ahead + i * kLanes);
    }
    for (int i = 0; i < kTaps; ++i) turn(rows + i, kTaps, kLanes, taps + i * kLanes, 1);
}

inline void pack_forward_by_point(const Program& program, const Step& step, const float* params, float* to, Part part) {
    const Filters w(program, step);
    const float* weight = params + step.weight;
    const int runs = (w.in + kPointChannels - 1) / kPointChannels;
    for (const int item : part.of(vectors_of(w.out) * runs)) {
        const int f0 = item / runs * kLanes, c0 = item % runs * kPointChannels;
        const int count = at_most(kPointChannels, w.in - c0);
        lanes taps[kPointChannels * kTaps];
        for (int c = 0; c < count; c += kLanes) load_taps(w, weight, f0, c0 + c, kLanes * kTaps, taps + c * kTaps);
        pack_points(taps, count, step.flip, to + point_weight(w.in, w.out, 0, f0, c0), point_weights_step(w.in, w.out));
    }
    finish_writes();
}

inline void pack_dx_by_point(const Program& program, const Step& step, const float* params, float* to, Part part) {
    const Filters w(program, step);
    const float* weight = params + step.weight;
    const int runs = (w.out + kPointChannels - 1) / kPointChannels;
    for (const int item : part.of(vectors_of(w.in) * runs)) {
        const int c0 = item / runs * kLanes, f0 = item % runs * kPointChannels;
        const int count = at_most(kPointChannels, w.out - f0);
        lanes taps[kPointChannels * kTaps];
        for (int f = 0; f < count; f += kLanes) {
            lanes by_filter[kLanes * kTaps];
            load_taps(w, weight, f0 + f, c0, w.at(false, 0, kLanes, 0, 0), by_filter);
            for (int tap = 0; tap < kTaps; ++tap) turn(by_filter + tap, kTaps, kLanes, taps + f * kTaps + tap, kTaps);
        }
        pack_points(taps, count, !step.flip, to + point_weight(w.out, w.in, 0, c0, f0),
                    point_weights_step(w.out, w.in));
    }
    finish_writes();
}

inline void pack_by_point(const Program& program, const Step& step, const float* params, float* packed, Part part) {
    const Slot &in = program.slots[step.input], &out = program.slots[step.output];
    float* to = packed + step.packed;
    pack_forward_by_point(program, step, params, to, part);
    if (step.needs_dx) pack_dx_by_point(program, step, params, to + point_weights(in.channels, out.channels), part);
}
