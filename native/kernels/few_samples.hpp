// One sample with its channels in the lanes: a value is [height][width + 2·border][channels], and every number is the
// same sum, in the same order, as where the samples are the lanes.
#pragma once

#include "activation.hpp"
#include "correlate.hpp"
#include "part.hpp"
#include "pooling.hpp"
#include "program.hpp"

#if defined(__AVX512F__)
inline constexpr int kFewSums = 8;
#elif defined(__AVX2__) || defined(__aarch64__)
inline constexpr int kFewSums = 4;
#else
inline constexpr int kFewSums = 2;
#endif

// A value of the sample, seen as pixels.
struct Pixels {
    float* first;        // the first pixel within the border
    std::ptrdiff_t row;  // floats from one row to the next
    int pixel;           // floats from one pixel to the next
    int vectors;         // of channels, in a pixel
    int height, width;

    Pixels(const Program& program, const ChannelMemory& memory, int number) {
        const Slot& slot = program.slots[number];
        const ChannelSlot& here = memory.slots[number];
        pixel = here.pixel;
        row = static_cast<std::ptrdiff_t>(slot.pitch()) * pixel;
        first = reinterpret_cast<float*>(memory.arena + here.value) + slot.border * pixel;
        vectors = (slot.channels + kLanes - 1) / kLanes;
        height = slot.height;
        width = slot.width;
    }

    // Of a row of whole vectors.
    lanes* vectors_of(int u) const { return reinterpret_cast<lanes*>(first + u * row); }
};

// [vector of filters][bias, then c, j, k] vectors.
inline void pack_few_weights(const Program& program, const Step& step, const float* params, lanes* packed) {
    const Slot &in = program.slots[step.input], &out = program.slots[step.output];
    const int area = step.rows.kernel * step.columns.kernel;
    const std::ptrdiff_t filter = static_cast<std::ptrdiff_t>(in.channels) * area;
    for (int f0 = 0; f0 < out.channels; f0 += kLanes, packed += 1 + filter) {
        const int filters = out.channels - f0 < kLanes ? out.channels - f0 : kLanes;
        const float* weight = params + step.weight + f0 * filter;
        packed[0] = lanes{};
        for (int f = 0; f < filters && step.bias >= 0; ++f) packed[0][f] = params[step.bias + f0 + f];
        for (int c = 0; c < in.channels; ++c) {
            for (int tap = 0; tap < area; ++tap) {
                const float* taken = weight + c * area + (step.flip ? area - 1 - tap : tap);
                lanes all = lanes{};
                for (int f = 0; f < filters; ++f) all[f] = taken[f * filter];
                packed[1 + c * area + tap] = all;
            }
        }
    }
}

using FewTile = void (*)(lanes*, int, const float*, int, int, Taps, Taps, const lanes*, std::ptrdiff_t, int);

// TV vectors of filters × TM neighbouring pixels. A tap's input counts floats.
template <int TV, int TM>
void few_tile(lanes* out, int out_pixel, const float* x, int step, int channels, Taps rows, Taps columns,
              const lanes* weight, std::ptrdiff_t wvector, int area) {
    lanes sum[TV][TM];
    for (int f = 0; f < TV; ++f) {
        for (int m = 0; m < TM; ++m) sum[f][m] = weight[f * wvector];
    }
    for (int c = 0; c < channels; ++c) {
        const lanes* w_plane = weight + 1 + static_cast<std::ptrdiff_t>(c) * area;
        for (int j = 0; j < rows.count; ++j) {
            const float* x_row = x + c + rows.first[j].input;
            const lanes* w_row = w_plane + rows.first[j].weight;
            for (int k = 0; k < columns.count; ++k) {
                const float* pixel = x_row + columns.first[k].input;
                for (int f = 0; f < TV; ++f) {
                    lanes w = w_row[columns.first[k].weight + f * wvector];
                    keep_in_register(w);
                    for (int m = 0; m < TM; ++m) sum[f][m] += w * pixel[m * step];
                }
            }
        }
    }
    for (int f = 0; f < TV; ++f) {
        for (int m = 0; m < TM; ++m) out[m * out_pixel + f] = sum[f][m];
    }
}

template <int TV, int TM = kFewSums / TV>
FewTile few_tile_for(int pixels) {
    if constexpr (TM > 1) {
        if (pixels < TM) return few_tile_for<TV, TM - 1>(pixels);
    }
    return few_tile<TV, TM>;
}

// The largest tile of no more than so many vectors and pixels, the pixels first.
template <int TV = kFewSums>
FewTile find_few_tile(int vectors, int pixels) {
    if constexpr (TV > 1) {
        if (vectors < TV) return find_few_tile<TV / 2>(vectors, pixels);
    }
    return few_tile_for<TV>(pixels);
}

inline void few_convolve(const Program& program, const ChannelMemory& memory, const Step& step, const lanes* packed,
                         Part part) {
    const Pixels in(program, memory, step.input), out(program, memory, step.output);
    const int channels = program.slots[step.input].channels, area = step.rows.kernel * step.columns.kernel;
    const std::ptrdiff_t wvector = 1 + static_cast<std::ptrdiff_t>(channels) * area;
    const int pixels = at_most(kFewSums, out.width), groups = (out.vectors + kFewSums - 1) / kFewSums;
    Tap columns[kMostKernel], rows[kMostKernel];
    for (int k = 0; k < step.columns.kernel; ++k) columns[k] = {k, step.columns.dilation * k * in.pixel};
    for (const int item : part.of(out.height * groups)) {
        const int l = item / groups, from = item % groups * kFewSums, to = at_most(from + kFewSums, out.vectors);
        int found = 0;
        for (int j = 0; j < step.rows.kernel; ++j) {
            const int u = step.rows.stride * l + step.rows.dilation * j - step.rows.before;
            if (u >= 0 && u < in.height) rows[found++] = {j * step.columns.kernel, static_cast<int>(u * in.row)};
        }
        int taken = 1;
        for (int v = from; v < to; v += taken) {
            taken = 1;
            while (2 * taken * pixels <= kFewSums && v + 2 * taken <= to) taken *= 2;
            const FewTile tile = find_few_tile(taken, pixels);
            for (int m = 0; m < out.width; m += pixels) {
                // The last tile begins earlier rather than being smaller, and computes some pixels again.
                const int first = at_most(m, out.width - pixels);
                const float* x = in.first + (step.columns.stride * first - step.columns.before) * in.pixel;
                tile(out.vectors_of(l) + first * out.vectors + v, out.vectors, x, step.columns.stride * in.pixel,
                     channels, {rows, found}, {columns, step.columns.kernel}, packed + v * wvector, wvector, area);
            }
        }
    }
}

inline lanes few_largest(const lanes* x, std::ptrdiff_t row, std::ptrdiff_t column, Inside rows, Inside columns) {
    lanes best = x[rows.from * row + columns.from * column];
    mask which = mask{};
    for (int j = rows.from; j < rows.to; ++j) {
        for (int k = columns.from; k < columns.to; ++k) keep_larger(x[j * row + k * column], 0, best, which);
    }
    return best;
}

inline lanes few_sum(const lanes* x, std::ptrdiff_t row, std::ptrdiff_t column, Inside rows, Inside columns) {
    lanes sum = lanes{};
    for (int j = rows.from; j < rows.to; ++j) {
        for (int k = columns.from; k < columns.to; ++k) sum += x[j * row + k * column];
    }
    return sum;
}

inline void few_pool(const Program& program, const ChannelMemory& memory, const Step& step, Part part) {
    const Pixels in(program, memory, step.input), out(program, memory, step.output);
    const std::ptrdiff_t row = in.row / kLanes, column = in.vectors;
    for (const int l : part.of(out.height)) {
        const Inside rows = inside(step.rows, in.height, l);
        const lanes* x = in.vectors_of(0) + (step.rows.stride * l - step.rows.before) * row;
        lanes* y = out.vectors_of(l);
        for (int m = 0; m < out.width; ++m) {
            const Inside columns = inside(step.columns, in.width, m);
            const lanes* window = x + (step.columns.stride * m - step.columns.before) * column;
            for (int v = 0; v < in.vectors; ++v, ++y) {
                if (step.op == Op::kMaxPool) {
                    *y = few_largest(window + v, step.rows.dilation * row, step.columns.dilation * column, rows,
                                     columns);
                } else {
                    *y = few_sum(window + v, row, column, rows, columns) * step.scale[l * out.width + m];
                }
            }
        }
    }
}

inline void few_copy(const Program& program, const ChannelMemory& memory, const Step& step, Part part) {
    const Pixels in(program, memory, step.input), out(program, memory, step.output);
    for (const int u : part.of(out.height)) {
        const lanes* x = in.vectors_of(u);
        lanes* y = out.vectors_of(u);
        for (int i = 0; i < out.width * out.vectors; ++i) y[i] = x[i];
    }
}

inline void few_flatten(const Program& program, const ChannelMemory& memory, const Step& step, Part part) {
    const Pixels in(program, memory, step.input), out(program, memory, step.output);
    const std::ptrdiff_t plane = static_cast<std::ptrdiff_t>(in.height) * in.width;
    const int channels = program.slots[step.input].channels;
    for (const int u : part.of(in.height)) {
        for (int v = 0; v < in.width; ++v) {
            const float* x = in.first + u * in.row + v * in.pixel;
            float* y = out.first + (step.column_major ? v * in.height + u : u * in.width + v);
            for (int c = 0; c < channels; ++c) y[c * plane] = x[c];
        }
    }
}

inline void few_activate(const Program& program, const ChannelMemory& memory, const Step& step, Part part) {
    const Pixels out(program, memory, step.output);
    for (const int u : part.of(out.height)) {
        activate(step.activation, step.alpha, out.vectors_of(u), out.width * out.vectors);
    }
}

// The sample's numbers as gather has them, channel by channel of every pixel.
template <typename Number>
void few_gather(const Program& program, const ChannelMemory& memory, const Batch& batch, int sample, Part part) {
    const Pixels in(program, memory, program.input);
    const int channels = program.slots[program.input].channels;
    const std::ptrdiff_t size = static_cast<std::ptrdiff_t>(channels) * in.height * in.width;
    const Number* image = static_cast<const Number*>(batch.images) + batch.rows[sample] * size;
    for (const int item : part.of(channels * in.height)) {
        const int c = item / in.height, u = item % in.height;
        const std::ptrdiff_t offset = static_cast<std::ptrdiff_t>(item) * in.width;
        float* x = in.first + u * in.row + c;
        for (int v = 0; v < in.width; ++v) {
            float number = static_cast<float>(image[offset + v]);
            if constexpr (sizeof(Number) == 1) number /= 255.0f;
            if (batch.mean) number -= batch.mean[offset + v];
            x[v * in.pixel] = number;
        }
    }
}
