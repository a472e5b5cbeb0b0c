// The steps that take one sample after the other, and so each of them alone.
#pragma once

#include "naive.hpp"

namespace pellucid {

std::size_t at(const Slot& slot, int c, int u, int v);  // of an entry among a slot's

// A sample x of the data set as it is trained on, by the equations of pellucid/augmentation.py.
Values augmented(const Data& data, const Slot& in, const Values& x, std::size_t row);

// A step's output before activation and addend; dropout drops only in training.
Values forward(const Runner::Plan& plan, const Slot& in, const Slot& out, const Values& x, const Data& data,
               std::size_t sample, bool training);

// δ of the input from δ of the output; adds the parameters' gradients.
Values backward(const Runner::Plan& plan, const Slot& in, const Slot& out, const Values& x, const Values& dy,
                const Data& data, std::size_t sample, Values& gradients);

}  // namespace pellucid
