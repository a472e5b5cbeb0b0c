#include "runner.hpp"

#include <algorithm>
#include <utility>

#include "gradients.hpp"

namespace pellucid {

Runner::Runner(Layout training, Layout prediction, std::vector<Plan> plans, const Program& sizes, const Engine* engine)
    : plans_(std::move(plans)), engine_(engine) {
    plan(training_, std::move(training), sizes, true);
    plan(prediction_, std::move(prediction), sizes, false);
    few_.emplace(prediction_.program);
}

void Runner::plan(Planned& planned, Layout layout, const Program& sizes, bool learns) {
    planned.layout = std::move(layout);
    for (std::size_t i = 0; i < plans_.size(); ++i) {
        Step step = plans_[i].step;
        step.scale = plans_[i].scale.data();
        step.scratch = planned.layout.scratch[i];
        step.needs_dx &= learns;  // weights are not packed for a way that nothing goes
        planned.steps.push_back(step);
    }
    planned.program = sizes;
    planned.program.slots = planned.layout.slots.data();
    planned.program.steps = planned.steps.data();
    planned.program.step_count = static_cast<int>(planned.steps.size());
    planned.program.arena = planned.layout.arena;
    planned.stretches = plan_gradients(planned.steps, planned.program);
    planned.program.stretches = planned.stretches.data();
    planned.program.stretch_count = static_cast<int>(planned.stretches.size());
}

void Runner::Areas::grow(std::size_t count, std::ptrdiff_t lanes_of_each) {
    if (lanes_of_each > lanes_each) {
        pointers.clear();
        memory.clear();
        lanes_each = lanes_of_each;
    }
    // Room for both first: were there none for the second after the first had grown, they would no longer agree.
    memory.reserve(count);
    pointers.reserve(count);
    while (memory.size() < count) {
        memory.emplace_back(static_cast<std::size_t>(lanes_each) * kLanes);  // borders that keep their places are zero
        pointers.push_back(memory.back().data());
    }
}

Workspace Runner::space() {
    return {arenas_.pointers.data(),
            scratch_.pointers.data(),
            packed_.data(),
            gradients_.data(),
            losses_.data(),
            chunks_.data(),
            moments_.data(),
            norms_.data(),
            reinterpret_cast<lanes*>(kept_.data())};
}

void Runner::make_room(const Program& program, const Batch& batch) {
    const std::size_t blocks = static_cast<std::size_t>(vectors_of(batch.count));
    const std::size_t threads = static_cast<std::size_t>(batch.threads);
    const bool keeps_blocks = program.norms > 0 && batch.training;
    arenas_.grow(keeps_blocks ? blocks : program.wide ? 1 : std::min(blocks, threads), program.arena);
    scratch_.grow(threads, program.scratch);
    packed_.resize(static_cast<std::size_t>(packs_in_turn(program, batch) ? program.in_turn : program.packed));
    losses_.assign(blocks, 0.0);
    norms_.resize(static_cast<std::size_t>(program.norms));
    if (keeps_blocks) moments_.resize(blocks * norms_.size());
    if (batch.gradients && !has_gradients_in_place(program, batch)) {
        gradients_.resize((program.wide ? 1 : blocks) * static_cast<std::size_t>(program.of_block));
    }
    if (batch.gradients) kept_.resize(blocks * static_cast<std::size_t>(program.kept) * kLanes);
    if (batch.update) chunks_.resize(static_cast<std::size_t>((program.parameters + kChunk - 1) / kChunk));
}

void Runner::run(Batch& batch) {
    const std::lock_guard<std::mutex> turn(one_at_a_time_);
    if (few_->take(batch)) return few_->run(*engine_, batch);
    const Program& program = batch.training || batch.gradients ? training_.program : prediction_.program;
    make_room(program, batch);
    engine_->run(program, space(), batch);
}

}  // namespace pellucid
