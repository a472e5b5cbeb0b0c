// Dropout with the samples in the lanes. The mask is a function of the counter, so backward computes it again.
#pragma once

#include "choose.hpp"
#include "part.hpp"
#include "philox.hpp"
#include "program.hpp"

// How many of the 2³² words drop an entry: round(2³²·p), halves to even as Python rounds, and never all of them.
inline std::uint32_t dropped_words(double p) {
    const double share = std::nearbyint(p * 4294967296.0);
    return share < 4294967295.0 ? static_cast<std::uint32_t>(share) : 4294967295u;
}

// to ← m·from/(1 − p), both maps of one shape; entry i, counted c, u, v, has word i mod 4 of group ⌊i/4⌋.
inline void drop(const Step& step, const Batch& batch, int first, const Slot& shape, const lanes* from, int from_pitch,
                 lanes* to, int to_pitch, Part part) {
    const int rows = shape.channels * shape.height, entries = rows * shape.width;
    const words dropped = words{} + dropped_words(step.p);
    const lanes scale = lanes{} + static_cast<float>(1.0 / (1.0 - step.p));
    std::uint32_t samples[kLanes];
    for (std::uint32_t t = 0; t < kLanes; ++t) samples[t] = static_cast<std::uint32_t>(first) + t;
    RandomWords random;
    for (const int group : part.of((entries + 3) / 4)) {
        draw(static_cast<std::uint32_t>(group), samples, static_cast<std::uint32_t>(step.position),
             static_cast<std::uint32_t>(batch.step), batch.seed, random);
        for (int i = 0; i < 4 && 4 * group + i < entries; ++i) {
            const int entry = 4 * group + i, row = entry / shape.width, v = entry % shape.width;
            words word;
            __builtin_memcpy(&word, random.words[i], sizeof word);
            const lanes factor = (lanes)(~where_below(word, dropped) & (mask)scale);
            to[static_cast<std::ptrdiff_t>(row) * to_pitch + v] =
                from[static_cast<std::ptrdiff_t>(row) * from_pitch + v] * factor;
        }
    }
}

inline void dropout(const Program& program, const Step& step, const Batch& batch, int first, lanes* arena, Part part) {
    const Slot &in = program.slots[step.input], &out = program.slots[step.output];
    drop(step, batch, first, out, arena + in.value + in.border, in.pitch(), arena + out.value + out.border, out.pitch(),
         part);
}

inline void dropout_backward(const Program& program, const Step& step, const Batch& batch, int first, lanes* arena,
                             Part part) {
    const Slot &in = program.slots[step.input], &out = program.slots[step.output];
    drop(step, batch, first, out, arena + out.delta + out.border, out.pitch(), arena + in.delta + in.border, in.pitch(),
         part);
}
