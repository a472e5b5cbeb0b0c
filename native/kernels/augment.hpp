// A block's images, cropped, mirrored and cut out on their way into the lanes; pellucid/augmentation.py does the same.
#pragma once

#include "part.hpp"
#include "philox.hpp"
#include "program.hpp"

// What is drawn for one sample: pixel (u, v) is that of row u + down and of column v + across, or, flipped, of column
// width − 1 − v + across; 0 beyond the edges, and in the square that begins at (top, left).
struct View {
    int down, across;
    bool flip;
    int top, left;
};

// A whole number from 0 to count − 1.
inline int number_below(int count, std::uint32_t word) {
    return static_cast<int>(static_cast<std::uint64_t>(word) * static_cast<std::uint32_t>(count) >> 32);
}

// Of a block's samples, by their rows in the data set.
inline void draw_views(const Batch& batch, const Slot& in, const std::int64_t* rows, View* views) {
    const Augmentation& settings = batch.augmentation;
    std::uint32_t samples[kLanes];
    for (int t = 0; t < kLanes; ++t) samples[t] = static_cast<std::uint32_t>(rows[t]);
    // Stands where dropout has the position of its layer: no program is as long as that.
    const std::uint32_t place = 0xFFFFFFFFu, step = static_cast<std::uint32_t>(batch.step);
    RandomWords crop, square;
    draw(0, samples, place, step, batch.seed, crop);
    draw(1, samples, place, step, batch.seed, square);
    const int moves = 2 * settings.padding + 1, before = settings.cutout / 2;
    for (int t = 0; t < kLanes; ++t) {
        views[t] = {
            number_below(moves, crop.words[0][t]) - settings.padding,
            number_below(moves, crop.words[1][t]) - settings.padding, settings.flip && crop.words[2][t] < 0x80000000u,
            number_below(in.height, square.words[0][t]) - before, number_below(in.width, square.words[1][t]) - before};
    }
}

// Row u of channel c of one sample into its lane t; what stays zero is left alone.
template <typename Pixel>
void see_row(const Batch& batch, const Slot& in, std::int64_t image, int c, int u, const View& view, lanes* y, int t) {
    const int from = u + view.down, side = batch.augmentation.cutout;
    if (from < 0 || from >= in.height) return;
    const std::ptrdiff_t offset = static_cast<std::ptrdiff_t>(c * in.height + from) * in.width;
    const std::ptrdiff_t size = static_cast<std::ptrdiff_t>(in.channels) * in.height * in.width;
    const Pixel* x = static_cast<const Pixel*>(batch.images) + image * size + offset;
    const float* mean = batch.mean ? batch.mean + offset : nullptr;
    const bool cut = u >= view.top && u < view.top + side;
    for (int v = 0; v < in.width; ++v) {
        const int w = (view.flip ? in.width - 1 - v : v) + view.across;
        if (w < 0 || w >= in.width || (cut && v >= view.left && v < view.left + side)) continue;
        float pixel = static_cast<float>(x[w]);
        if constexpr (sizeof(Pixel) == 1) pixel = pixel / 255.0f;
        y[v][t] = mean ? pixel - mean[w] : pixel;
    }
}

template <typename Pixel>
void gather_augmented(const Program& program, const Batch& batch, int first, lanes* arena, Part part) {
    const Slot& in = program.slots[program.input];
    std::int64_t rows[kLanes], images[kLanes];
    // A lane without a sample repeats the first one: its δ is 0, so that it counts for nothing.
    for (int t = 0; t < kLanes; ++t) {
        const int sample = first + t < batch.count ? first + t : first;
        rows[t] = batch.rows[sample];
        images[t] = batch.image(sample);
    }
    View views[kLanes];
    draw_views(batch, in, rows, views);
    for (const int row : part.of(in.channels * in.height)) {
        const int c = row / in.height, u = row % in.height;
        lanes* y = arena + in.value + c * in.plane() + u * in.pitch() + in.border;
        for (int v = 0; v < in.width; ++v) y[v] = lanes{};
        for (int t = 0; t < kLanes; ++t) see_row<Pixel>(batch, in, images[t], c, u, views[t], y, t);
    }
}
