// The zeros left and right of every row, where a slot's place held other numbers before.
#pragma once

#include "part.hpp"
#include "program.hpp"

inline void clear(lanes* from, std::ptrdiff_t count) {
    for (std::ptrdiff_t i = 0; i < count; ++i) from[i] = lanes{};
}

// The channels behind those of the input, which are the output's first ones.
inline void clear_appended(const Program& program, const Step& step, lanes* arena, Part part) {
    const Slot &in = program.slots[step.input], &out = program.slots[step.output];
    for (const int c : part.of(out.channels - in.channels)) {
        clear(arena + out.value + (in.channels + c) * out.plane(), out.plane());
    }
}

inline void clear_border_of_row(const Slot& slot, lanes* values, int row) {
    // Volatile, or the compiler calls memset for every one or two of them.
    volatile lanes* left = values + static_cast<std::ptrdiff_t>(row) * slot.pitch();
    volatile lanes* right = left + slot.border + slot.width;
    for (int i = 0; i < slot.border; ++i) {
        left[i] = lanes{};
        right[i] = lanes{};
    }
}

inline void clear_border(const Slot& slot, lanes* values, Part part) {
    if (!slot.reused || slot.border == 0) return;
    for (const int row : part.of(slot.channels * slot.height)) clear_border_of_row(slot, values, row);
}
