#include "measure.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <stdexcept>

#include "runner.hpp"

namespace pellucid {
namespace {

double seconds_of(auto&& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

double multiply_add_peak(const Engine& engine, double seconds, int threads) {
    float sum = 0.0f;
    double done = 0.0;
    const auto run = [&](long rounds, int team) {
        return seconds_of([&] { done = engine.multiply_adds(rounds, team, &sum); });
    };
    // How many rounds fill the time is asked of one thread, which waits for nobody.
    const long few = 20000;
    const long rounds = static_cast<long>(few * std::fmax(1.0, seconds / run(few, 1)));
    run(few, threads);  // wakes them
    const double taken = run(rounds, threads);
    if (!std::isfinite(sum)) throw std::runtime_error("the chains of multiply-adds ran out of range");
    return done / taken;
}

double Runner::time_step(int step, Pass pass, const float* params, int repetitions, int threads) {
    const std::lock_guard<std::mutex> turn(one_at_a_time_);
    const std::size_t needed = static_cast<std::size_t>(threads);
    if (step < 0 || step >= training_.program.step_count || training_.program.steps[step].op != Op::kConv) {
        throw std::invalid_argument("only a convolution can be timed by itself");
    }
    if (pass == Pass::kDx && !training_.program.steps[step].needs_dx) {
        throw std::invalid_argument("the step has no dx");
    }
    const bool learned = arenas_.lanes_each >= training_.program.arena;
    if (!learned || std::min(arenas_.pointers.size(), scratch_.pointers.size()) < needed) {
        throw std::invalid_argument("run a batch with gradients first, on as many threads, with 16 samples for each");
    }
    const std::size_t gradients = needed * static_cast<std::size_t>(training_.program.parameters);
    if (gradients_.size() < gradients) gradients_.resize(gradients);
    kept_.resize(std::max(kept_.size(), needed * static_cast<std::size_t>(training_.program.kept) * kLanes));
    packed_.resize(static_cast<std::size_t>(training_.program.packed));
    int came = 0;
    const double seconds = seconds_of([&] {
        came = engine_->repeat(training_.program, space(), training_.program.steps[step], pass, params, repetitions,
                               threads);
    });
    if (came != threads) throw std::runtime_error("there were fewer threads than asked for");
    return seconds;
}

}  // namespace pellucid
