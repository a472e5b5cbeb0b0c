#pragma once

#include "program.hpp"

namespace pellucid {

// Multiply-adds a second of so many threads that do nothing else.
double multiply_add_peak(const Engine& engine, long rounds, int threads);

}  // namespace pellucid
