// Runs an engine in memory that gives away every step outside what a step may touch.
#pragma once

#include <string>

#include "naive.hpp"

namespace pellucid {

// Learn from one batch with `engine` on one thread and hold everything against the oracle: outputs, loss, gradients,
// and the last block's value and δ in every slot. All memory holds NaN to begin with but for the zero borders, which
// must still be zero at the end; between the slots AddressSanitizer forbids reading and writing.
void check_against_naive(const std::string& what, const Net& net, const Data& data, const Engine& engine,
                         double tolerance);

// The same on every instruction set that this processor has.
void check_against_naive(const std::string& what, const Net& net, const Data& data, double tolerance);

}  // namespace pellucid
