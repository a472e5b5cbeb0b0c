// Runs an engine in memory that gives away every step outside what a step may touch.
#pragma once

#include <string>

#include "naive.hpp"

namespace pellucid {

// Run one batch with `engine` on one thread and hold everything against the oracle: outputs, loss and running
// statistics; if it learns, gradients too, and value and δ in every slot of the blocks that are still there. All memory
// holds NaN to begin with but for borders that keep their places, which must still be zero at the end, and those that
// do not, which must have become zero; between the slots AddressSanitizer forbids reading and writing.
void check_against_naive(const std::string& what, const Net& net, const Data& data, const Engine& engine,
                         double tolerance, Task task = Task::kLearn);

// The same on every instruction set that this processor has.
void check_against_naive(const std::string& what, const Net& net, const Data& data, double tolerance,
                         Task task = Task::kLearn);

}  // namespace pellucid
