#pragma once

#include <vector>

#include "program.hpp"

namespace pellucid {

// Settle who computes which gradients. Every block has a set of those of convolutions and of biases, and the sets are
// added up. Two come from the whole batch at once, and the sets go without them. Those of batch norms are sums over all
// samples anyway. And the weights of linear layers are many, and each sample meets each of them once: their gradient is
// one matrix product over all samples, and the blocks only leave there what it takes.
//
// Sets `kept` and `skipped` of the steps, and the sizes of the program; returns its stretches.
std::vector<Stretch> plan_gradients(std::vector<Step>& steps, Program& program);

}  // namespace pellucid
