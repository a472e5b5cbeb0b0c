// U = G w Gᵀ for winograd_by_point.hpp in the order in which it is read, [36][channels by 64][filters by 4][c][4
// filters], filled up with zeros to 16 filters; once for forward and, where dx is wanted, once more for it, with the
// kernels turned and c and f in each other's place.
#pragma once

#include "conv.hpp"
#include "turn.hpp"
#include "winograd_transforms.hpp"

inline constexpr int kTaps = 9;
inline constexpr int kPointChannels = 64;  // whose X, four tiles of it, stays in the first cache

// Where U[i,j] begins for channel c and the four filters of f.
inline std::ptrdiff_t point_weight(int channels, int filters, int point, int f, int c) {
    const int c0 = c / kPointChannels * kPointChannels, together = at_most(kPointChannels, channels - c0);
    const std::ptrdiff_t vectors = vectors_of(filters);
    return point * point_weights_step(channels, filters) + c0 * vectors * kLanes + f * together + (c - c0) * kPointTile;
}

// U of 16 filters for `count` channels one behind the other, from [c][tap]. Points and fours of filters lie `point` and
// `four` apart: what goes to one place is collected first, or every line of the cache would be fetched four times.
inline void pack_points(const lanes* taps, int count, bool turned, float* to, std::ptrdiff_t point,
                        std::ptrdiff_t four) {
    constexpr int kKernel = 3;
    const int step = turned ? -1 : 1;
    lanes half[kLanes][kPoints * kKernel];
    for (int c = 0; c < count; ++c) {
        const lanes* first = taps + c * kTaps + (turned ? kTaps - 1 : 0);
        for (int k = 0; k < kKernel; ++k) {
            transform_weights<kKernel>(first + k * step, kKernel * step, half[c] + k, kKernel);
        }
    }
    for (int i = 0; i < kPoints; ++i) {
        lanes u[kLanes][kPoints];
        for (int c = 0; c < count; ++c) transform_weights<kKernel>(half[c] + i * kKernel, 1, u[c], 1);
        for (int j = 0; j < kPoints; ++j) {
            for (int f = 0; f < kLanes; f += kPointTile) {
                float* here = to + (i * kPoints + j) * point + f / kPointTile * four;
                for (int c = 0; c < count; ++c) {
                    __builtin_memcpy(here + c * kPointTile, reinterpret_cast<const float*>(&u[c][j]) + f,
                                     kPointTile * sizeof(float));
                }
            }
        }
    }
}

// 16 filters × 16 channels at a time. In memory a filter's taps of 16 channels are a run of 9 vectors.
inline void pack_by_point(const Program& program, const Step& step, const float* params, float* packed, Part part) {
    const Filters w(program, step);
    const int across = vectors_of(w.in);
    float *forward = packed + step.packed, *back = forward + point_weights(w.in, w.out);
    const std::ptrdiff_t forward_point = point_weights_step(w.in, w.out);
    const std::ptrdiff_t back_point = point_weights_step(w.out, w.in);
    const auto four = [](int channels, int c) {
        return at_most(kPointChannels, channels - c / kPointChannels * kPointChannels) * kPointTile;
    };
    for (const int item : part.of(vectors_of(w.out) * across)) {
        const int f0 = item / across * kLanes, filters = at_most(kLanes, w.out - f0);
        const int c0 = item % across * kLanes, channels = at_most(kLanes, w.in - c0);
        lanes rows[kLanes * kTaps], taps[kLanes * kTaps];  // [f][c, tap] with those as lanes; [c, tap] with f as lanes
        for (int i = 0; i < kLanes * kTaps; ++i) rows[i] = lanes{};
        for (int f = 0; f < filters; ++f) {
            __builtin_memcpy(rows + f * kTaps, params + step.weight + w.at(false, 0, f0 + f, c0, 0),
                             static_cast<std::size_t>(channels * kTaps) * sizeof(float));
        }
        for (int i = 0; i < kTaps; ++i) turn(rows + i, kTaps, kLanes, taps + i * kLanes, 1);
        pack_points(taps, channels, step.flip, forward + point_weight(w.in, w.out, 0, f0, c0), forward_point,
                    four(w.in, c0));
        if (!step.needs_dx) continue;
        for (int tap = 0; tap < kTaps; ++tap) turn(taps + tap, kTaps, kLanes, rows + tap, kTaps);
        pack_points(rows, filters, !step.flip, back + point_weight(w.out, w.in, 0, c0, f0), back_point,
                    four(w.out, f0));
    }
}
