// One sample with its channels in the lanes: a value is [height][width + 2·border][channels], and every number is the
// same sum, in the same order, as where the samples are the lanes.
#pragma once

#include "activation.hpp"
#include "correlate.hpp"
#include "part.hpp"
#include "pooling.hpp"
#include "program.hpp"

inline constexpr int kFewSums = 8;

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
        vectors = vectors_of(slot.channels);
        height = slot.height;
        width = slot.width;
    }

    // Of a row of whole vectors.
    lanes* row_at(int u) const { return reinterpret_cast<lanes*>(first + u * row); }
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

// What all tiles of a row of outputs share; inputs are counted in floats.
struct FewRow {
    int channels;
    Taps rows;
    int columns, column;     // taps along a row, and from one to the next
    int step;                // from one output's pixel to the next one's
    int area;                // taps of one channel's filter
    std::ptrdiff_t filters;  // vectors of weights from one vector of filters to the next
    int out_pixel;
};

using FewTile = void (*)(const FewRow&, const float*, const lanes*, lanes*);

// TV vectors of filters × TM neighbouring pixels. The usual steps are known to the compiler, as kStep: 1 in an image
// of one channel, 16 where pixels are one vector; 0 for any other.
template <int kStep, int TV, int TM>
void few_tile(const FewRow& row, const float* x, const lanes* weight, lanes* out) {
    const std::ptrdiff_t step = kStep ? kStep : row.step;
    for (int part = 0; part < kParts; ++part) {
        const piece* w = pieces(weight, part);
        const float* plane = x;
        piece sum[TV][TM];
        for (int f = 0; f < TV; ++f) {
            for (int m = 0; m < TM; ++m) sum[f][m] = w[f * row.filters * kParts];
        }
        w += kParts;
        for (int c = 0; c < row.channels; ++c, ++plane, w += row.area * kParts) {
            for (int j = 0; j < row.rows.count; ++j) {
                const float* pixel = plane + row.rows.first[j].input;
                const piece* w_tap = w + row.rows.first[j].weight * kParts;
                for (int k = 0; k < row.columns; ++k, pixel += row.column, w_tap += kParts) {
                    for (int f = 0; f < TV; ++f) {
                        piece own = w_tap[f * row.filters * kParts];
                        keep_in_register(own);
                        for (int m = 0; m < TM; ++m) sum[f][m] += own * pixel[m * step];
                    }
                }
            }
        }
        for (int f = 0; f < TV; ++f) {
            for (int m = 0; m < TM; ++m) *pieces(out + m * row.out_pixel + f, part) = sum[f][m];
        }
    }
}

template <int kStep, int TV, int TM = kFewSums / TV>
FewTile few_tile_for(int pixels) {
    if constexpr (TM > 1) {
        if (pixels < TM) return few_tile_for<kStep, TV, TM - 1>(pixels);
    }
    return few_tile<kStep, TV, TM>;
}

template <int kStep, int TV = kFewSums>
FewTile few_tile_of(int vectors, int pixels) {
    if constexpr (TV > 1) {
        if (vectors < TV) return few_tile_of<kStep, TV / 2>(vectors, pixels);
    }
    return few_tile_for<kStep, TV>(pixels);
}

inline FewTile find_few_tile(int step, int vectors, int pixels) {
    if (step == 1) return few_tile_of<1>(vectors, pixels);
    return step == kLanes ? few_tile_of<kLanes>(vectors, pixels) : few_tile_of<0>(vectors, pixels);
}

inline void few_convolve(const Program& program, const ChannelMemory& memory, const Step& step, const lanes* packed,
                         Part part) {
    const Pixels in(program, memory, step.input), out(program, memory, step.output);
    const int pixels = at_most(kFewSums, out.width), groups = (out.vectors + kFewSums - 1) / kFewSums;
    Tap rows[kMostKernel];
    FewRow row{program.slots[step.input].channels,
               {rows, 0},
               step.columns.kernel,
               step.columns.dilation * in.pixel,
               step.columns.stride * in.pixel,
               step.rows.kernel * step.columns.kernel,
               0,
               out.vectors};
    row.filters = 1 + static_cast<std::ptrdiff_t>(row.channels) * row.area;
    for (const int item : part.of(out.height * groups)) {
        const int l = item / groups, from = item % groups * kFewSums, to = at_most(from + kFewSums, out.vectors);
        row.rows.count = 0;
        for (int j = 0; j < step.rows.kernel; ++j) {
            const int u = step.rows.stride * l + step.rows.dilation * j - step.rows.before;
            if (u < 0 || u >= in.height) continue;
            rows[row.rows.count++] = {j * step.columns.kernel, static_cast<int>(u * in.row)};
        }
        int taken = 1;
        for (int v = from; v < to; v += taken) {
            taken = 1;
            while (2 * taken * pixels <= kFewSums && v + 2 * taken <= to) taken *= 2;
            const FewTile tile = find_few_tile(row.step, taken, pixels);
            for (int m = 0; m < out.width; m += pixels) {
                // The last tile begins earlier rather than being smaller, and computes some pixels again.
                const int first = at_most(m, out.width - pixels);
                tile(row, in.first + (step.columns.stride * first - step.columns.before) * in.pixel,
                     packed + v * row.filters, out.row_at(l) + first * out.vectors + v);
            }
        }
    }
}

inline lanes few_largest(const lanes* x, std::ptrdiff_t row, std::ptrdiff_t column, Inside rows, Inside columns) {
    lanes best = x[rows.from * row + columns.from * column];
    mask which = mask{};
    for (int j = rows.from; j < rows.to; ++j) {
        for (int k = columns.from; k < columns.to; ++k) keep_larger<lanes>(x[j * row + k * column], 0, best, which);
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
        const lanes* x = in.row_at(0) + (step.rows.stride * l - step.rows.before) * row;
        lanes* y = out.row_at(l);
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
        const lanes* x = in.row_at(u);
        lanes* y = out.row_at(u);
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
        activate(step.activation, step.alpha, out.row_at(u), out.width * out.vectors);
    }
}

inline float few_number(std::uint8_t byte) { return static_cast<float>(byte) / 255.0f; }
inline float few_number(float number) { return number; }

// The sample's numbers as gather has them, channel by channel of every pixel.
template <typename Number>
void few_gather(const Program& program, const ChannelMemory& memory, const Batch& batch, int sample, Part part) {
    const Pixels in(program, memory, program.input);
    const int channels = program.slots[program.input].channels;
    const std::ptrdiff_t size = static_cast<std::ptrdiff_t>(channels) * in.height * in.width;
    const Number* image = static_cast<const Number*>(batch.images) + batch.image(sample) * size;
    for (const int item : part.of(channels * in.height)) {
        const int c = item / in.height, u = item % in.height;
        const std::ptrdiff_t offset = static_cast<std::ptrdiff_t>(item) * in.width;
        float* x = in.first + u * in.row + c;
        if (in.pixel == 1 && !batch.mean) {  // known to the compiler, which takes many at a time
            for (int v = 0; v < in.width; ++v) x[v] = few_number(image[offset + v]);
            continue;
        }
        for (int v = 0; v < in.width; ++v) {
            const float number = few_number(image[offset + v]);
            x[v * in.pixel] = batch.mean ? number - batch.mean[offset + v] : number;
        }
    }
}
