#pragma once

#include <mutex>
#include <optional>
#include <vector>

#include "few_samples.hpp"
#include "pages.hpp"
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

    // Where everything lies in a block's arena: what training must keep, prediction lets go of.
    struct Layout {
        std::vector<Slot> slots;
        std::vector<std::ptrdiff_t> scratch;  // of every step
        std::ptrdiff_t arena;
    };

    // `sizes` is a program without slots, steps and arena.
    Runner(Layout training, Layout prediction, std::vector<Plan> plans, const Program& sizes, const Engine* engine);

    void run(Batch& batch);

    // Seconds that each of the threads takes to repeat one pass of a convolution, on the block that the last batch left
    // in its arena. Throws std::invalid_argument where there is none.
    double time_step(int step, Pass pass, const float* params, int repetitions, int threads);

    const Program& program() const { return training_.program; }
    const char* engine() const { return engine_->name; }

  private:
    using Floats = std::vector<float, Pages<float>>;

    // Pieces of memory of one size, zero at first.
    struct Areas {
        std::vector<Floats> memory;
        std::vector<void*> pointers;
        std::ptrdiff_t lanes_each = 0;

        void grow(std::size_t count, std::ptrdiff_t lanes_of_each);
    };

    struct Planned {
        Layout layout;
        std::vector<Step> steps;
        std::vector<Stretch> stretches;
        Program program;
    };

    void plan(Planned& planned, Layout layout, const Program& sizes, bool learns);
    void make_room(const Program& program, const Batch& batch);
    Workspace space();

    std::vector<Plan> plans_;
    Planned training_, prediction_;
    const Engine* engine_;
    std::mutex one_at_a_time_;
    Areas arenas_, scratch_;  // scratch for every thread; with fewer blocks than threads, all share the first arena
    Floats packed_, gradients_, kept_;
    std::vector<double> losses_;
    std::vector<ChunkSums> chunks_;
    std::vector<Moments> moments_;
    std::vector<Norm> norms_;
    std::optional<FewSamples> few_;
};

}  // namespace pellucid
