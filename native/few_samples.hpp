#pragma once

#include <cstddef>
#include <vector>

#include "program.hpp"

namespace pellucid {

// Predictions for a few samples, one sample after the other: its channels are the lanes, so that none of them is idle
// where a block of 16 samples would be nearly empty. Whether this is the way depends on nothing but the network and the
// number of samples.
class FewSamples {
  public:
    explicit FewSamples(const Program& program);

    bool take(const Batch& batch) const;
    void run(const Engine& engine, Batch& batch);

  private:
    struct alignas(sizeof(lanes)) Vector {
        float numbers[kLanes];
    };

    void pack(const Engine& engine, const float* params);

    const Program* program_;
    std::vector<ChannelSlot> slots_;
    std::vector<std::ptrdiff_t> weights_;
    std::ptrdiff_t arena_ = 0, packed_ = 0, work_ = 0;
    int most_ = 0;
    std::vector<Vector> memory_, packed_weights_;
    std::vector<float> packed_from_;  // the parameters of which the packed weights were made
};

}  // namespace pellucid
