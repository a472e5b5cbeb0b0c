#include "runner.hpp"

#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

namespace pellucid {

void Runner::Free::operator()(void* memory) const { std::free(memory); }

Runner::Runner(std::vector<Slot> slots, std::vector<Plan> plans, int input, int output, Loss loss, std::ptrdiff_t arena,
               std::ptrdiff_t parameters, std::ptrdiff_t packed, std::ptrdiff_t scratch, const Engine* engine)
    : slots_(std::move(slots)), plans_(std::move(plans)), engine_(engine) {
    for (Plan& plan : plans_) {
        plan.step.scale = plan.scale.data();
        steps_.push_back(plan.step);
    }
    program_ = {slots_.data(), steps_.data(), static_cast<int>(steps_.size()), input, output, loss, arena, parameters,
                packed,        scratch};
    few_.emplace(program_);
}

void Runner::Areas::grow(std::size_t count, std::ptrdiff_t lanes_each) {
    // Room for both first: were there none for the second after the first had grown, they would no longer agree.
    memory.reserve(count);
    pointers.reserve(count);
    while (memory.size() < count) {
        const std::size_t bytes = static_cast<std::size_t>(lanes_each) * sizeof(lanes);
        std::unique_ptr<void, Free> piece(std::aligned_alloc(sizeof(lanes), bytes));
        if (!piece) throw std::bad_alloc();
        std::memset(piece.get(), 0, bytes);  // borders are zero once and for all: nothing ever writes to them
        memory.push_back(std::move(piece));
        pointers.push_back(memory.back().get());
    }
}

Workspace Runner::space() {
    return {arenas_.pointers.data(), scratch_.pointers.data(), packed_.data(),
            gradients_.data(),       losses_.data(),           chunks_.data()};
}

void Runner::run(Batch& batch) {
    const std::lock_guard<std::mutex> turn(one_at_a_time_);
    if (few_->take(batch)) return few_->run(*engine_, batch);
    const std::size_t blocks = static_cast<std::size_t>(vectors_of(batch.count));
    const std::size_t threads = static_cast<std::size_t>(batch.threads);
    arenas_.grow(blocks < threads ? 1 : threads, program_.arena);
    scratch_.grow(threads, program_.scratch);
    packed_.resize(static_cast<std::size_t>(program_.packed));
    losses_.assign(blocks, 0.0);
    if (batch.gradients) gradients_.resize(blocks * static_cast<std::size_t>(program_.parameters));
    if (batch.update) chunks_.resize(static_cast<std::size_t>((program_.parameters + kChunk - 1) / kChunk));
    engine_->run(program_, space(), batch);
}

}  // namespace pellucid
