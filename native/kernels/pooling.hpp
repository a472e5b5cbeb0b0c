// Max and average pooling with the samples in the lanes.
#pragma once

#include "border.hpp"
#include "part.hpp"
#include "piece.hpp"
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

// Windows of 2×2 side by side, the usual ones: no tap is ever outside, and no pixel is in two windows.
inline bool is_two_by_two(const Step& step, const Slot& in, const Slot& out) {
    const Axis &r = step.rows, &c = step.columns;
    return r.kernel == 2 && c.kernel == 2 && r.stride == 2 && c.stride == 2 && r.dilation == 1 && c.dilation == 1 &&
           r.before == 0 && c.before == 0 && 2 * out.height <= in.height && 2 * out.width <= in.width;
}

// Take v, tap number `tap`, if it is larger. NaN wins, and stays.
template <typename V>
void keep_larger(V v, int tap, V& best, Mask<V>& which) {
    const Mask<V> better = ~(v <= best) & (best == best);
    best = better ? v : best;
    which = better ? Mask<V>{} + tap : which;
}

inline void max_pool_row_2x2(const lanes* upper, const lanes* lower, int width, lanes* y, mask* winner) {
    for (int m = 0; m < width; ++m) {
        for (int part = 0; part < kParts; ++part) {
            const piece *above = pieces(upper + 2 * m, part), *below = pieces(lower + 2 * m, part);
            piece best = above[0];
            PieceMask which = PieceMask{};
            keep_larger<piece>(above[kParts], 1, best, which);
            keep_larger<piece>(below[0], 2, best, which);
            keep_larger<piece>(below[kParts], 3, best, which);
            *pieces(y + m, part) = best;
            mask_pieces(winner + m)[part] = which;
        }
    }
}

// y = max of the window; which tap won, j·R + k, is noted for the way back. The first of equal pixels wins.
inline void max_pool(const Program& program, const Step& step, lanes* arena, Part part) {
    const Slot &in = program.slots[step.input], &out = program.slots[step.output];
    const int columns = step.columns.kernel;
    mask* winners = reinterpret_cast<mask*>(arena + step.scratch);
    const bool two_by_two = is_two_by_two(step, in, out);
    for (const int item : part.of(out.channels * out.height)) {
        const int c = item / out.height, l = item % out.height;
        const lanes* x = arena + in.value + c * in.plane() + in.border;
        lanes* y = arena + out.value + c * out.plane() + l * out.pitch() + out.border;
        mask* winner = winners + (static_cast<std::ptrdiff_t>(c) * out.height + l) * out.width;
        if (two_by_two) {
            max_pool_row_2x2(x + 2 * l * in.pitch(), x + (2 * l + 1) * in.pitch(), out.width, y, winner);
            continue;
        }
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
                    keep_larger<lanes>(v, j * columns + k, best, which);
                }
            }
            y[m] = best;
            winner[m] = which;
        }
    }
}

// dx of the pixel that won gets dy.
inline void max_pool_backward(const Program& program, const Step& step, lanes* arena, Part part) {
    const Slot &in = program.slots[step.input], &out = program.slots[step.output];
    const int columns = step.columns.kernel;
    const mask* winners = reinterpret_cast<const mask*>(arena + step.scratch);
    const bool two_by_two = is_two_by_two(step, in, out) && !step.adds;
    const bool covered = two_by_two && 2 * out.height == in.height && 2 * out.width == in.width;
    for (const int c : part.of(out.channels)) {
        if (!covered && !step.adds) clear(arena + in.delta + c * in.plane(), in.plane());
        lanes* dx = arena + in.delta + c * in.plane() + in.border;
        for (int l = 0; l < out.height; ++l) {
            const lanes* dy = arena + out.delta + c * out.plane() + l * out.pitch() + out.border;
            const mask* winner = winners + (static_cast<std::ptrdiff_t>(c) * out.height + l) * out.width;
            if (two_by_two) {
                lanes *upper = dx + 2 * l * in.pitch(), *lower = upper + in.pitch();
                for (int m = 0; m < out.width; ++m) {
                    for (int part = 0; part < kParts; ++part) {
                        const piece delta = *pieces(dy + m, part);
                        const PieceMask which = mask_pieces(winner + m)[part];
                        piece *above = pieces(upper + 2 * m, part), *below = pieces(lower + 2 * m, part);
                        above[0] = which == 0 ? delta : piece{};
                        above[kParts] = which == 1 ? delta : piece{};
                        below[0] = which == 2 ? delta : piece{};
                        below[kParts] = which == 3 ? delta : piece{};
                    }
                }
                continue;
            }
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

// Whether no window has a tap outside the map.
inline bool all_inside(const Axis& axis, int length, int outputs) {
    return axis.before == 0 && axis.stride * (outputs - 1) + axis.dilation * (axis.kernel - 1) < length;
}

inline void avg_pool_row_2x2(const lanes* upper, const lanes* lower, const float* scale, int width, lanes* y) {
    for (int m = 0; m < width; ++m) {
        for (int part = 0; part < kParts; ++part) {
            const piece *above = pieces(upper + 2 * m, part), *below = pieces(lower + 2 * m, part);
            *pieces(y + m, part) = (((above[0] + above[kParts]) + below[0]) + below[kParts]) * scale[m];
        }
    }
}

// y = scale · Σ of the window, scale = 1/divisor of that pixel.
inline void avg_pool(const Program& program, const Step& step, lanes* arena, Part part) {
    const Slot &in = program.slots[step.input], &out = program.slots[step.output];
    const bool simple = all_inside(step.columns, in.width, out.width), two_by_two = is_two_by_two(step, in, out);
    for (const int item : part.of(out.channels * out.height)) {
        const int c = item / out.height, l = item % out.height;
        const lanes* x = arena + in.value + c * in.plane() + in.border;
        lanes* y = arena + out.value + c * out.plane() + l * out.pitch() + out.border;
        if (two_by_two) {
            const lanes* upper = x + 2 * l * in.pitch();
            avg_pool_row_2x2(upper, upper + in.pitch(), step.scale + l * out.width, out.width, y);
            continue;
        }
        const Inside row = inside(step.rows, in.height, l);
        const Inside whole{0, step.columns.kernel};
        for (int m = 0; m < out.width; ++m) {
            const Inside column = simple ? whole : inside(step.columns, in.width, m);
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

// Whether every pixel is in one window and no other.
inline bool tiles_the_map(const Axis& axis, int length, int outputs) {
    return axis.stride == axis.kernel && axis.dilation == 1 && axis.before == 0 && axis.kernel * outputs == length;
}

// The average pool of 2×2 right behind a step, where nothing else reads between the two and no place is used twice: on
// the way back that step takes its δ from the pool's, in one pass with its activation, and the pool has nothing to do.
inline const Step* average_behind(const Program& program, const Step& step) {
    const std::ptrdiff_t next = &step - program.steps + 1;
    if (step.op != Op::kConv || next == program.step_count) return nullptr;
    const Step& pool = program.steps[next];
    const Slot &in = program.slots[pool.input], &out = program.slots[pool.output];
    const bool alone = pool.op == Op::kAvgPool && pool.input == step.output && !pool.adds && !in.reused;
    const bool covers =
        tiles_the_map(pool.rows, in.height, out.height) && tiles_the_map(pool.columns, in.width, out.width);
    return alone && covers && is_two_by_two(pool, in, out) ? &pool : nullptr;
}

inline void avg_pool_row_2x2_backward(const lanes* dy, const float* scale, int width, lanes* upper, lanes* lower) {
    for (int m = 0; m < width; ++m) {
        for (int part = 0; part < kParts; ++part) {
            const piece quarter = *pieces(dy + m, part) * scale[m];
            piece *above = pieces(upper + 2 * m, part), *below = pieces(lower + 2 * m, part);
            above[0] = above[kParts] = below[0] = below[kParts] = quarter;
        }
    }
}

inline void avg_pool_backward(const Program& program, const Step& step, lanes* arena, Part part) {
    const Slot &in = program.slots[step.input], &out = program.slots[step.output];
    const bool simple = all_inside(step.columns, in.width, out.width);
    const bool once = tiles_the_map(step.rows, in.height, out.height) &&
                      tiles_the_map(step.columns, in.width, out.width) && !step.adds;
    const bool two_by_two = once && is_two_by_two(step, in, out);
    const Inside whole{0, step.columns.kernel};
    for (const int c : part.of(out.channels)) {
        if (!once && !step.adds) clear(arena + in.delta + c * in.plane(), in.plane());
        lanes* dx = arena + in.delta + c * in.plane() + in.border;
        for (int l = 0; l < out.height; ++l) {
            const lanes* dy = arena + out.delta + c * out.plane() + l * out.pitch() + out.border;
            if (two_by_two) {
                lanes* upper = dx + 2 * l * in.pitch();
                avg_pool_row_2x2_backward(dy, step.scale + l * out.width, out.width, upper, upper + in.pitch());
                continue;
            }
            const Inside row = inside(step.rows, in.height, l);
            for (int m = 0; m < out.width; ++m) {
                const Inside column = simple ? whole : inside(step.columns, in.width, m);
                lanes* window = dx + (step.rows.stride * l - step.rows.before) * in.pitch() +
                                (step.columns.stride * m - step.columns.before);
                const lanes part_of_each = dy[m] * step.scale[static_cast<std::size_t>(l * out.width + m)];
                for (int j = row.from; j < row.to; ++j) {
                    for (int k = column.from; k < column.to; ++k) {
                        lanes& pixel = window[j * in.pitch() + k];
                        pixel = once ? part_of_each : pixel + part_of_each;
                    }
                }
            }
        }
    }
}
