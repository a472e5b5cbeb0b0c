#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "few_samples.hpp"
#include "program.hpp"

namespace pellucid {

// A program with the memory it runs in. Each network has a runner of its own; several threads that call it take turns.
class Runner {
  public:
    // What a step needs besides numbers.
    struct Plan {
        Step step;
        std::vector<float> scale;
    };

    Runner(std::vector<Slot> slots, std::vector<Plan> plans, int input, int output, Loss loss, std::ptrdiff_t arena,
           std::ptrdiff_t parameters, std::ptrdiff_t packed, std::ptrdiff_t scratch, const Engine* engine);

    void run(Batch& batch);

    // Seconds that each of the threads takes to repeat one pass of a convolution, on the block that the last batch left
    // in its arena. Throws std::invalid_argument where there is none.
    double time_step(int step, Pass pass, const float* params, int repetitions, int threads);

    const Program& program() const { return program_; }
    const char* engine() const { return engine_->name; }

  private:
    struct Free {
        void operator()(void* memory) const;
    };

    // Pieces of memory of one size, zero at first.
    struct Areas {
        std::vector<std::unique_ptr<void, Free>> memory;
        std::vector<void*> pointers;

        void grow(std::size_t count, std::ptrdiff_t lanes_each);
    };

    Workspace space();

    std::vector<Slot> slots_;
    std::vector<Plan> plans_;
    std::vector<Step> steps_;
    Program program_;
    const Engine* engine_;
    std::mutex one_at_a_time_;
    Areas arenas_, scratch_;  // scratch for every thread; with fewer blocks than threads, all share the first arena
    std::vector<float> packed_, gradients_;
    std::vector<double> losses_;
    std::vector<ChunkSums> chunks_;
    std::optional<FewSamples> few_;
};

}  // namespace pellucid
