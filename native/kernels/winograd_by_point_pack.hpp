// U = G w Gᵀ for winograd_by_point.hpp, in panels: of 16 maps that come out, up to 64 that go in, and all 36 points.
// Forward, of 16 filters, at each of the points [c][16 filters]. For dx the channels come out, the kernels are turned,
// and it is [16 channels][f]: taps come out of memory with the filters as lanes, either way.
#pragma once

#include "conv.hpp"
#include "stream.hpp"
#include "turn.hpp"
#include "winograd_transforms.hpp"

inline constexpr int kTaps = 9;

// The taps of up to 16 filters and 16 channels, [c][tap] with the filters as lanes, the rest zeros. In memory a
// filter's taps of 16 channels are a run of 9 vectors.
inline void load_taps(const Filters& w, const float* weight, int f0, int c0, lanes* taps) {
    const int filters = at_most(kLanes, w.out - f0), channels = at_most(kLanes, w.in - c0);
    const float* from = weight + w.at(false, 0, f0, c0, 0);
    std::ptrdiff_t apart = w.at(false, 0, 1, 0, 0);
    lanes rows[kLanes * kTaps];
    if (channels < kLanes || filters < kLanes) {
        for (int i = 0; i < kLanes * kTaps; ++i) rows[i] = lanes{};
        for (int f = 0; f < filters; ++f) {
            __builtin_memcpy(rows + f * kTaps, from + f * apart,
                             static_cast<std::size_t>(channels * kTaps) * sizeof(float));
        }
        from = reinterpret_cast<const float*>(rows);
        apart = kLanes * kTaps;
    }
    for (int i = 0; i < kTaps; ++i) turn(from + i * kLanes, apart, kLanes, taps + i * kLanes, 1);
}

// U of 16 channels from their taps.
template <bool kForward, bool kPastCaches>
void transform_taps(const lanes* taps, bool turned, lanes* u) {
    constexpr int kKernel = 3, kApart = kForward ? 1 : kPointChannels / kLanes;
    const int step = turned ? -1 : 1;
    for (int c = 0; c < kLanes; ++c) {
        const lanes* first = taps + c * kTaps + (turned ? kTaps - 1 : 0);
        lanes half[kPoints * kKernel];
        PELLUCID_UNROLL
        for (int k = 0; k < kKernel; ++k) transform_weights(first + k * step, kKernel * step, half + k, kKernel);
        PELLUCID_UNROLL
        for (int i = 0; i < kPoints; ++i) {
            lanes row[kPoints];
            transform_weights(half + i * kKernel, 1, row, 1);
            PELLUCID_UNROLL
            for (int j = 0; j < kPoints; ++j)
                write<kPastCaches>(u + (i * kPoints + j) * kPointPanelStep + c * kApart, row[j]);
        }
    }
}

// The panels of one way: how many maps go in and come out, where each lies among the packed ones, and how it is made.
template <bool kForward>
struct Panels {
    const Filters w;
    const float* weight;
    bool turned;

    Panels(const Program& program, const Step& step, const float* params)
        : w(program, step), weight(params + step.weight), turned(step.flip == kForward) {}

    int in() const { return kForward ? w.in : w.out; }
    int out() const { return kForward ? w.out : w.in; }
    int runs() const { return static_cast<int>(point_runs(in())); }
    // Where the panel of the 16 maps from `first` on begins, a multiple of 16.
    std::ptrdiff_t at(int first, int run) const {
        return (std::ptrdiff_t{first / kLanes} * runs() + run) * kPointPanel;
    }

    template <bool kPastCaches>
    void make(int first, int run, lanes* u) const {
        const int n0 = run * kPointChannels, end = at_most(n0 + kPointChannels, in());
        for (int n = n0; n < end; n += kLanes, u += kForward ? kLanes : 1) {
            lanes taps[kLanes * kTaps];
            load_taps(w, weight, kForward ? first : n, kForward ? n : first, taps);
            transform_taps<kForward, kPastCaches>(taps, turned, u);
        }
    }

    // Fetch the weights that a whole panel takes, some at each of the 36 points. One that is cut short goes without.
    void fetch(int first, int run, int point) const {
        const int n0 = run * kPointChannels;
        if (first + kLanes > out() || n0 + kPointChannels > in()) return;
        const float* from = weight + w.at(false, 0, kForward ? first : n0, kForward ? n0 : first, 0);
        const std::ptrdiff_t filter = w.at(false, 0, 1, 0, 0);
        if (kForward) {  // 16 filters' taps of 64 channels, 36 vectors long
            for (int f = 0; f < kLanes; ++f) __builtin_prefetch(from + f * filter + point * kLanes);
        } else if (2 * point < kPointChannels) {  // 64 filters' of 16 channels
            for (int i = 0; i <= kTaps; ++i) {
                __builtin_prefetch(from + 2 * point * filter + i * kLanes);
                __builtin_prefetch(from + (2 * point + 1) * filter + i * kLanes);
            }
        }
    }
};

template <bool kForward>
void pack_panels(const Program& program, const Step& step, const float* params, float* to, Part part) {
    const Panels<kForward> panels(program, step, params);
    const bool past = has_many_weights(panels.in(), panels.out());
    lanes* packed = reinterpret_cast<lanes*>(to);
    for (const int item : part.of(vectors_of(panels.out()) * panels.runs())) {
        const int out = item / panels.runs() * kLanes, run = item % panels.runs();
        lanes* u = packed + panels.at(out, run);
        past ? panels.template make<true>(out, run, u) : panels.template make<false>(out, run, u);
    }
    finish_writes();
}

inline void pack_by_point(const Program& program, const Step& step, const float* params, float* packed, Part part) {
    const Slot &in = program.slots[step.input], &out = program.slots[step.output];
    if (packs_nothing(in, out)) return;
    float* to = packed + step.packed;
    pack_panels<true>(program, step, params, to, part);
    if (step.needs_dx) pack_panels<false>(program, step, params, to + point_weights(in.channels, out.channels), part);
}
