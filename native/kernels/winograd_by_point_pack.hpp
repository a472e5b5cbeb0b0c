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
    const std::ptrdiff_t before = static_cast<std::ptrdiff_t>(point) * channels + c0;
    return before * vectors_of(filters) * kLanes + f * together + (c - c0) * kPointTile;
}

// U of 16 filters, from taps `step` apart; one of −1 turns the kernel. Points and fours of filters lie `point` and
// `four` apart.
inline void pack_points(const lanes* taps, std::ptrdiff_t step, float* to, std::ptrdiff_t point, std::ptrdiff_t four) {
    constexpr int kKernel = 3;
    lanes half[kPoints * kKernel];
    for (int k = 0; k < kKernel; ++k) {
        transform_weights<kKernel>(taps + k * step, kKernel * step, half + k, kKernel);
    }
    for (int i = 0; i < kPoints; ++i) {
        lanes u[kPoints];
        transform_weights<kKernel>(half + i * kKernel, 1, u, 1);
        for (int j = 0; j < kPoints; ++j) {
            const float* numbers = reinterpret_cast<const float*>(&u[j]);
            for (int f = 0; f < kLanes; f += kPointTile) {
                __builtin_memcpy(to + (i * kPoints + j) * point + f / kPointTile * four, numbers + f,
                                 kPointTile * sizeof(float));
            }
        }
    }
}

// 16 filters × 16 channels at a time. In memory a filter's taps of 16 channels are a run of 9 vectors.
inline void pack_by_point(const Program& program, const Step& step, const float* params, float* packed, Part part) {
    const Filters w(program, step);
    const int across = vectors_of(w.in);
    float *forward = packed + step.packed, *back = forward + point_weights(w.in, w.out);
    const std::ptrdiff_t forward_point = point_weight(w.in, w.out, 1, 0, 0);
    const std::ptrdiff_t back_point = point_weight(w.out, w.in, 1, 0, 0);
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
        for (int c = 0; c < channels; ++c) {
            const lanes* first = taps + c * kTaps;
            pack_points(step.flip ? first + kTaps - 1 : first, step.flip ? -1 : 1,
                        forward + point_weight(w.in, w.out, 0, f0, c0 + c), forward_point, four(w.in, c0));
        }
        if (!step.needs_dx) continue;
        for (int tap = 0; tap < kTaps; ++tap) turn(taps + tap, kTaps, kLanes, rows + tap, kTaps);
        for (int f = 0; f < filters; ++f) {
            const lanes* first = rows + f * kTaps;
            pack_points(step.flip ? first : first + kTaps - 1, step.flip ? 1 : -1,
                        back + point_weight(w.out, w.in, 0, c0, f0 + f), back_point, four(w.out, f0));
        }
    }
}
