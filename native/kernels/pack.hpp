// Samples into lanes and out of them.
#pragma once

#include "augment.hpp"
#include "part.hpp"
#include "prediction.hpp"
#include "program.hpp"

// Gather a block's images by row number, scale bytes, take the mean off, and lay the samples side by side.
template <typename Pixel>
void gather(const Program& program, const Batch& batch, int first, lanes* arena, Part part) {
    if (batch.augmentation.any()) return gather_augmented<Pixel>(program, batch, first, arena, part);
    const Slot& in = program.slots[program.input];
    const std::ptrdiff_t size = static_cast<std::ptrdiff_t>(in.channels) * in.height * in.width;
    const Pixel* images = static_cast<const Pixel*>(batch.images);
    for (const int row : part.of(in.channels * in.height)) {
        const int c = row / in.height, u = row % in.height;
        lanes* x = arena + in.value + c * in.plane() + u * in.pitch() + in.border;
        const std::ptrdiff_t offset = static_cast<std::ptrdiff_t>(row) * in.width;
        const int samples = batch.count - first < kLanes ? batch.count - first : kLanes;
        const Pixel* from[kLanes];
        for (int t = 0; t < samples; ++t) from[t] = images + batch.image(first + t) * size + offset;
        // A lane without a sample repeats the first one: its δ is 0, so that it counts for nothing.
        for (int t = samples; t < kLanes; ++t) from[t] = from[0];
        for (int v = 0; v < in.width; ++v) {
            typedef Pixel Pixels __attribute__((vector_size(kLanes * sizeof(Pixel))));
            Pixels raw;
            for (int t = 0; t < kLanes; ++t) raw[t] = from[t][v];
            lanes pixel = __builtin_convertvector(raw, lanes);
            if constexpr (sizeof(Pixel) == 1) pixel = pixel / 255.0f;
            if (batch.mean) pixel -= batch.mean[offset + v];
            x[v] = pixel;
        }
    }
}

inline void scatter_outputs(const Program& program, const Batch& batch, int first, const lanes* arena) {
    const Slot& out = program.slots[program.output];
    for (int t = 0; t < kLanes && first + t < batch.count; ++t) {
        float* row = batch.outputs + static_cast<std::ptrdiff_t>(first + t) * out.channels;
        for (int k = 0; k < out.channels; ++k) row[k] = arena[out.value + k][t];
        if (batch.activated) predict_row(program.loss, row, out.channels);
    }
}

// Feature maps, row by row or column by column, into a vector; and δ back.
inline void flatten(const Program& program, const Step& step, lanes* arena, bool backward, Part part) {
    const Slot &in = program.slots[step.input], &out = program.slots[step.output];
    for (const int c : part.of(in.channels)) {
        lanes* maps = arena + (backward ? in.delta : in.value) + c * in.plane() + in.border;
        lanes* vector =
            arena + (backward ? out.delta : out.value) + static_cast<std::ptrdiff_t>(c) * in.height * in.width;
        for (int u = 0; u < in.height; ++u) {
            for (int v = 0; v < in.width; ++v) {
                lanes& flat = vector[step.column_major ? v * in.height + u : u * in.width + v];
                lanes& pixel = maps[u * in.pitch() + v];
                backward ? pixel = flat : flat = pixel;
            }
        }
    }
}
