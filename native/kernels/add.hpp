// y = x + a: the sum at the end of a residual module. On the way back both get dy.
#pragma once

#include "border.hpp"

// One row of a slot, where `values` is its value or its δ.
inline lanes* row_of(const Slot& slot, lanes* arena, std::ptrdiff_t values, int row) {
    return arena + values + static_cast<std::ptrdiff_t>(row) * slot.pitch() + slot.border;
}

inline void add(const Program& program, const Step& step, lanes* arena, Part part) {
    const Slot &in = program.slots[step.input], &addend = program.slots[step.addend], &out = program.slots[step.output];
    for (const int row : part.of(out.channels * out.height)) {
        const lanes *x = row_of(in, arena, in.value, row), *a = row_of(addend, arena, addend.value, row);
        lanes* y = row_of(out, arena, out.value, row);
        for (int v = 0; v < out.width; ++v) y[v] = x[v] + a[v];
    }
}

// δ of a row goes to another slot's δ.
inline void hand_back(const Slot& out, const Slot& in, lanes* arena, bool adds, int row) {
    const lanes* dy = row_of(out, arena, out.delta, row);
    lanes* dx = row_of(in, arena, in.delta, row);
    for (int v = 0; v < out.width; ++v) dx[v] = adds ? dx[v] + dy[v] : dy[v];
}

inline void addend_backward(const Program& program, const Step& step, lanes* arena, int row) {
    if (step.addend_back != Addend::kAdd) return;
    hand_back(program.slots[step.output], program.slots[step.addend], arena, true, row);
}

inline void add_backward(const Program& program, const Step& step, lanes* arena, Part part) {
    const Slot& out = program.slots[step.output];
    for (const int row : part.of(out.channels * out.height)) {
        addend_backward(program, step, arena, row);
        if (step.needs_dx) hand_back(out, program.slots[step.input], arena, step.adds, row);
    }
}
