// Max and average pooling with the samples in the lanes.
#pragma once

#include "part.hpp"
#include "program.hpp"

// The taps of a window that fall inside the map: j from `from` to below `to` for output l.
struct Inside {
    int from, to;
};

inline Inside inside(const Axis& axis, int length, int l) {
    Inside taps{0, axis.kernel};
    while (taps.from < taps.to && axis.stride * l + axis.dilation * taps.from - axis.before < 0) ++taps.from;
    while (taps.to > taps.from && axis.stride * l + axis.dilation * (taps.to - 1) - axis.before >= length) --taps.to;
    return taps;
}

// y = max of the window; which tap won, j·R + k, is noted for the way back. The first of equal pixels wins.
inline void max_pool(const Program& program, const Step& step, lanes* arena, Part part) {
    const Slot &in = program.slots[step.input], &out = program.slots[step.output];
    const int columns = step.columns.kernel;
    mask* winners = reinterpret_cast<mask*>(arena + step.scratch);
    for (const int item : part.of(out.channels * out.height)) {
        const int c = item / out.height, l = item % out.height;
        const lanes* x = arena + in.value + c * in.plane() + in.border;
        lanes* y = arena + out.value + c * out.plane() + l * out.pitch() + out.border;
        mask* winner = winners + (static_cast<std::ptrdiff_t>(c) * out.height + l) * out.width;
        const Inside row = inside(step.rows, in.height, l);
        for (int m = 0; m < out.width; ++m) {
            const Inside column = inside(step.columns, in.width, m);
            const lanes* window = x + (step.rows.stride * l - step.rows.before) * in.pitch() +
                                  (step.columns.stride * m - step.columns.before);
            lanes best = window[row.from * step.rows.dilation * in.pitch() + column.from * step.columns.dilation];
            mask which = mask{} + (row.from * columns + column.from);
            for (int j = row.from; j < row.to; ++j) {
                for (int k = column.from; k < column.to; ++k) {
                    const lanes v = window[j * step.rows.dilation * in.pitch() + k * step.columns.dilation];
                    const mask better = ~(v <= best) & (best == best);  // NaN wins, and stays
                    best = better ? v : best;
                    which = better ? mask{} + (j * columns + k) : which;
                }
            }
            y[m] = best;
            winner[m] = which;
        }
    }
}

inline void clear(lanes* from, std::ptrdiff_t count) {
    for (std::ptrdiff_t i = 0; i < count; ++i) from[i] = lanes{};
}

// dx of the pixel that won gets dy.
inline void max_pool_backward(const Program& program, const Step& step, lanes* arena, Part part) {
    const Slot &in = program.slots[step.input], &out = program.slots[step.output];
    const int columns = step.columns.kernel;
    const mask* winners = reinterpret_cast<const mask*>(arena + step.scratch);
    for (const int c : part.of(out.channels)) {
        clear(arena + in.delta + c * in.plane(), in.plane());
        lanes* dx = arena + in.delta + c * in.plane() + in.border;
        for (int l = 0; l < out.height; ++l) {
            const lanes* dy = arena + out.delta + c * out.plane() + l * out.pitch() + out.border;
            const mask* winner = winners + (static_cast<std::ptrdiff_t>(c) * out.height + l) * out.width;
            const Inside row = inside(step.rows, in.height, l);
            for (int m = 0; m < out.width; ++m) {
                const Inside column = inside(step.columns, in.width, m);
                lanes* window = dx + (step.rows.stride * l - step.rows.before) * in.pitch() +
                                (step.columns.stride * m - step.columns.before);
                for (int j = row.from; j < row.to; ++j) {
                    for (int k = column.from; k < column.to; ++k) {
                        lanes& target = window[j * step.rows.dilation * in.pitch() + k * step.columns.dilation];
                        target += (winner[m] == mask{} + (j * columns + k)) ? dy[m] : lanes{};
                    }
                }
            }
        }
    }
}

// y = scale · Σ of the window, scale = 1/divisor of that pixel.
inline void avg_pool(const Program& program, const Step& step, lanes* arena, Part part) {
    const Slot &in = program.slots[step.input], &out = program.slots[step.output];
    for (const int item : part.of(out.channels * out.height)) {
        const int c = item / out.height, l = item % out.height;
        const lanes* x = arena + in.value + c * in.plane() + in.border;
        lanes* y = arena + out.value + c * out.plane() + l * out.pitch() + out.border;
        const Inside row = inside(step.rows, in.height, l);
        for (int m = 0; m < out.width; ++m) {
            const Inside column = inside(step.columns, in.width, m);
            const lanes* window = x + (step.rows.stride * l - step.rows.before) * in.pitch() +
                                  (step.columns.stride * m - step.columns.before);
            lanes sum = lanes{};
            for (int j = row.from; j < row.to; ++j) {
                for (int k = column.from; k < column.to; ++k) sum += window[j * in.pitch() + k];
            }
            y[m] = sum * step.scale[static_cast<std::size_t>(l * out.width + m)];
        }
    }
}

inline void avg_pool_backward(const Program& program, const Step& step, lanes* arena, Part part) {
    const Slot &in = program.slots[step.input], &out = program.slots[step.output];
    for (const int c : part.of(out.channels)) {
        clear(arena + in.delta + c * in.plane(), in.plane());
        lanes* dx = arena + in.delta + c * in.plane() + in.border;
        for (int l = 0; l < out.height; ++l) {
            const lanes* dy = arena + out.delta + c * out.plane() + l * out.pitch() + out.border;
            const Inside row = inside(step.rows, in.height, l);
            for (int m = 0; m < out.width; ++m) {
                const Inside column = inside(step.columns, in.width, m);
                lanes* window = dx + (step.rows.stride * l - step.rows.before) * in.pitch() +
                                (step.columns.stride * m - step.columns.before);
                const lanes part_of_each = dy[m] * step.scale[static_cast<std::size_t>(l * out.width + m)];
                for (int j = row.from; j < row.to; ++j) {
                    for (int k = column.from; k < column.to; ++k) window[j * in.pitch() + k] += part_of_each;
                }
            }
        }
    }
}
