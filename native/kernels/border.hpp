// The zeros left and right of every row, where a slot's place held other numbers before.
#pragma once

#include "part.hpp"
#include "program.hpp"

inline void clear(lanes* from, std::ptrdiff_t count) {
    for (std::ptrdiff_t i = 0; i < count; ++i) from[i] = lanes{};
}

inline void clear_border(const Slot& slot, lanes* values, Part part) {
    if (!slot.reused || slot.border == 0) return;
    for (const int row : part.of(slot.channels * slot.height)) {
        lanes* left = values + static_cast<std::ptrdiff_t>(row) * slot.pitch();
        clear(left, slot.border);
        clear(left + slot.border + slot.width, slot.border);
    }
}
