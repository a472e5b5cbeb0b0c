// The kernels trust a program; what reaches them is looked through here.
#pragma once

#include <cstddef>
#include <vector>

#include "runner.hpp"

namespace pellucid {

inline constexpr std::ptrdiff_t kMostNumbers = 1 << 30;  // of anything that the kernels count in an int

bool countable(std::ptrdiff_t number);

// Throws std::invalid_argument. `learns` for the layout of training, in which there is a way back.
void check_program(const Runner::Layout& layout, const std::vector<Runner::Plan>& plans, const Program& sizes,
                   bool learns);

}  // namespace pellucid
