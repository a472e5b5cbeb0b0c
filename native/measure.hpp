#pragma once

#include "program.hpp"

namespace pellucid {

// Multiply-adds a second of so many threads that do nothing else for about so many seconds.
double multiply_add_peak(const Engine& engine, double seconds, int threads);

}  // namespace pellucid
