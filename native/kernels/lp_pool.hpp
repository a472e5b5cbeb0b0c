// Pooling by the p-norm with the samples in the lanes.
#pragma once

#include "choose.hpp"
#include "part.hpp"
#include "pooling.hpp"
#include "power.hpp"
#include "program.hpp"

// Where the pixels of one window lie that are inside the map, from its first pixel on.
struct Field {
    std::ptrdiff_t begin, down, right;
    Inside row, column;

    void each(auto&& visit) const {
        for (int j = row.from; j < row.to; ++j) {
            for (int k = column.from; k < column.to; ++k) visit(begin + j * down + k * right);
        }
    }
};

inline Field field(const Step& step, const Slot& in, int l, int m) {
    const int top = step.rows.stride * l - step.rows.before, left = step.columns.stride * m - step.columns.before;
    const std::ptrdiff_t pitch = in.pitch();
    return {top * pitch + left, step.rows.dilation * pitch, step.columns.dilation, inside(step.rows, in.height, l),
            inside(step.columns, in.width, m)};
}

// (Σ |x|^p)^(1/p), without overflow: squares are summed in double precision, other powers over |x|/max |x|.
inline lanes norm(const lanes* x, const Field& pixels, double p) {
    if (p == 2.0) {
        doubles squares = doubles{};
        pixels.each([&](std::ptrdiff_t i) {
            const doubles wide = __builtin_convertvector(x[i], doubles);
            squares += wide * wide;
        });
        return __builtin_convertvector(square_root(squares), lanes);
    }
    lanes sum = lanes{};
    if (p == 1.0) {
        pixels.each([&](std::ptrdiff_t i) { sum += magnitude(x[i]); });
        return sum;
    }
    lanes largest = lanes{};
    pixels.each([&](std::ptrdiff_t i) { largest = larger(magnitude(x[i]), largest); });
    const lanes divisor = or_one(largest);
    pixels.each([&](std::ptrdiff_t i) { sum += power(magnitude(x[i]) / divisor, p); });
    return largest * power(sum, 1.0 / p);
}

// ∂norm/∂x = sign(x)·(|x|/y)^(p−1), y being the norm, or 1 for a window of zeros.
inline lanes norm_slope(lanes x, lanes y, double p) {
    if (p == 2.0) return x / y;
    if (p == 1.0) return x / or_one(magnitude(x));
    const lanes size = power(magnitude(x) / y, p - 1.0);
    return (lanes)((mask)size | ((mask)x & ~0x7FFFFFFF));
}

inline void lp_pool(const Program& program, const Step& step, lanes* arena, Part part) {
    const Slot &in = program.slots[step.input], &out = program.slots[step.output];
    for (const int item : part.of(out.channels * out.height)) {
        const int c = item / out.height, l = item % out.height;
        const lanes* x = arena + in.value + c * in.plane() + in.border;
        lanes* y = arena + out.value + c * out.plane() + l * out.pitch() + out.border;
        for (int m = 0; m < out.width; ++m) y[m] = norm(x, field(step, in, l, m), step.p);
    }
}

// dx = Σ dy·∂norm/∂x over the windows that hold a pixel.
inline void lp_pool_backward(const Program& program, const Step& step, lanes* arena, Part part) {
    const Slot &in = program.slots[step.input], &out = program.slots[step.output];
    for (const int c : part.of(out.channels)) {
        clear(arena + in.delta + c * in.plane(), in.plane());
        const lanes* x = arena + in.value + c * in.plane() + in.border;
        lanes* dx = arena + in.delta + c * in.plane() + in.border;
        for (int l = 0; l < out.height; ++l) {
            const std::ptrdiff_t row = c * out.plane() + l * out.pitch() + out.border;
            const lanes *y = arena + out.value + row, *dy = arena + out.delta + row;
            for (int m = 0; m < out.width; ++m) {
                const lanes divisor = or_one(y[m]);
                field(step, in, l, m).each([&](std::ptrdiff_t i) {
                    dx[i] += dy[m] * norm_slope(x[i], divisor, step.p);
                });
            }
        }
    }
}
