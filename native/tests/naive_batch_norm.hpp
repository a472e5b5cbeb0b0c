// Batch norm over all samples of a batch, by the equations of Ioffe & Szegedy (2015), "Batch Normalization:
// Accelerating Deep Network Training by Reducing Internal Covariate Shift", section 3.
#pragma once

#include "naive.hpp"

namespace pellucid {

// Training takes the statistics from x and moves the running ones on; else these are what it takes.
Samples normalize(const Step& step, const Slot& in, const Samples& x, const Data& data, bool training, Values& state);

// δ of the input from δ of the output; adds the gradients of γ and β.
Samples normalize_backward(const Step& step, const Slot& in, const Samples& x, const Samples& dy, const Data& data,
                           Values& gradients);

}  // namespace pellucid
