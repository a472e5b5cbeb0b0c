// The oracle: the equations of each step, over all samples and in double precision, with nothing of the engine in it.
#pragma once

#include <vector>

#include "net.hpp"

namespace pellucid {

using Values = std::vector<double>;   // [channel, row, column]
using Samples = std::vector<Values>;  // of a batch

struct Naive {
    std::vector<Samples> value, delta;  // of every slot
    Values outputs, gradients, state;
    double loss = 0.0;
};

Naive run_naively(const Net& net, const Data& data, bool training = true);  // without training, no way back

double apply(Activation kind, double alpha, double x);
double derivative(Activation kind, double alpha, double x);

}  // namespace pellucid
