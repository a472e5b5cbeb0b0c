#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "runner.hpp"

namespace pellucid {

// What stays the same from batch to batch of one training: the data set, the update, and where results go. The arrays
// belong to the caller, who keeps them as they are while this is in use.
class Training {
  public:
    struct Sizes {
        std::size_t samples, sample, classes, parameters, room;  // room: rows of outputs
        std::size_t state = 0;
    };
    struct Outcome {
        double loss;
        bool gradient_finite, params_finite, previous_kept;
    };

    // `batch` has what all batches share; `weight` is w_t of every sample, divided by the batch's sum if `mean`.
    Training(const Batch& batch, const Sizes& sizes, const double* weight, bool mean, const Update& update,
             std::vector<Weights> weights);

    // One step on these rows of the data set; outputs go to the rows of the array of outputs from `place` on.
    // `images` are those of these rows, if and only if the data set has none.
    // Throws std::invalid_argument if a number is out of range.
    Outcome step(Runner& runner, const std::int64_t* rows, std::size_t count, std::size_t place, double rate,
                 double step, int threads, std::uint64_t network_step = 0, const void* images = nullptr) const;

  private:
    std::vector<float> weigh(const std::int64_t* rows, std::size_t count) const;

    Batch batch_;
    Sizes sizes_;
    const double* weight_;
    bool mean_;
    Update update_;
    std::vector<Weights> weights_;
};

}  // namespace pellucid
