// The oracle: the equations of each step, sample by sample and in double precision, with nothing of the engine in it.
#pragma once

#include <vector>

#include "net.hpp"

namespace pellucid {

struct Naive {
    // [slot][sample of the batch][channel, row, column]
    std::vector<std::vector<std::vector<double>>> value, delta;
    std::vector<double> outputs, gradients;
    double loss = 0.0;
};

Naive run_naively(const Net& net, const Data& data);

double apply(Activation kind, double alpha, double x);
double derivative(Activation kind, double alpha, double x);

}  // namespace pellucid
