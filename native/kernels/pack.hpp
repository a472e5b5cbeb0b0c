// Samples into lanes and out of them.
#pragma once

#include "augment.hpp"
#include "part.hpp"
#include "prediction.hpp"
#include "program.hpp"

// Numbers that lie in 16 images from the same pixel on, as the images have them.
template <typename Pixel>
using Sixteen __attribute__((vector_size(kLanes * sizeof(Pixel)))) = Pixel;

// Rows i and i + 8, number by number in turn, become rows 2i and 2i + 1: four times that, and rows are columns.
template <typename Pixel>
void turn_sixteen(Sixteen<Pixel>* rows) {
    for (int side = 1; side < kLanes; side *= 2) {
        Sixteen<Pixel> next[kLanes];
        for (int i = 0; i < kLanes / 2; ++i) {
            const Sixteen<Pixel>&a = rows[i], &b = rows[i + kLanes / 2];
            next[2 * i] = __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            next[2 * i + 1] =
                __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
        }
        for (int i = 0; i < kLanes; ++i) rows[i] = next[i];
    }
}

inline lanes to_lanes(Sixteen<float> pixels) { return pixels; }

// Twice as wide at every step: GCC takes longer ones apart.
inline lanes to_lanes(Sixteen<std::uint8_t> pixels) {
    const Sixteen<std::uint16_t> words = __builtin_convertvector(pixels, Sixteen<std::uint16_t>);
    return __builtin_convertvector(__builtin_convertvector(words, mask), lanes) / 255.0f;
}

// Gather a block's images by row number, scale bytes, take the mean off, and lay the samples side by side: 16 pixels of
// 16 images at a time, those of the last ones that no others have taken.
template <typename Pixel>
void gather(const Program& program, const Batch& batch, int first, lanes* arena, Part part) {
    if (batch.augmentation.any()) return gather_augmented<Pixel>(program, batch, first, arena, part);
    const Slot& in = program.slots[program.input];
    const int size = in.channels * in.height * in.width;
    const Pixel* from[kLanes];
    for (int t = 0; t < kLanes; ++t) {
        // A lane without a sample repeats the first one: its δ is 0, so that it counts for nothing.
        const int sample = first + t < batch.count ? first + t : first;
        from[t] = static_cast<const Pixel*>(batch.images) + batch.image(sample) * std::ptrdiff_t{size};
    }
    for (const int item : part.of(vectors_of(size))) {
        const int begin = item * kLanes, at = size < kLanes ? 0 : at_most(begin, size - kLanes);
        Sixteen<Pixel> pixels[kLanes]{};
        for (int t = 0; t < kLanes; ++t) {
            if (size < kLanes) {
                for (int i = 0; i < size; ++i) pixels[t][i] = from[t][i];
            } else {
                __builtin_memcpy(&pixels[t], from[t] + at, sizeof(pixels[t]));
            }
        }
        turn_sixteen<Pixel>(pixels);
        int row = begin / in.width, v = begin % in.width;
        for (int i = begin; i < at_most(begin + kLanes, size); ++i) {
            lanes pixel = to_lanes(pixels[i - at]);
            if (batch.mean) pixel -= batch.mean[i];
            arena[in.value + row * in.pitch() + in.border + v] = pixel;
            if (++v == in.width) ++row, v = 0;
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
