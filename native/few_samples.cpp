#include "few_samples.hpp"

#include <algorithm>
#include <cstring>

namespace pellucid {
namespace {

// Beyond these, what a sample waits for is memory, and a second copy of it would be no help.
constexpr std::ptrdiff_t kMostVectors = std::ptrdiff_t{1} << 18;
constexpr std::ptrdiff_t kMostArena = std::ptrdiff_t{1} << 22;
constexpr std::ptrdiff_t kMostParameters = std::ptrdiff_t{1} << 22;

// Multiply-adds of vectors, for one sample, that are worth waking other threads.
constexpr std::ptrdiff_t kWorkForThreads = std::ptrdiff_t{1} << 18;

// A block of 16 must cost so many times as much: Winograd's way makes it cheaper than counted.
constexpr std::ptrdiff_t kGain = 2;

bool has_way(const Step& step) {
    switch (step.op) {
        case Op::kConv:
            return step.groups == 1;
        case Op::kMaxPool:
        case Op::kAvgPool:
        case Op::kActivation:
        case Op::kFlatten:
        case Op::kDropout:
            return true;
        case Op::kLPPool:
        case Op::kSoftmax:
        case Op::kResponseNorm:
        case Op::kBatchNorm:
        case Op::kAdd:
        case Op::kPadChannels:
            return false;
    }
    return false;
}

}  // namespace

FewSamples::FewSamples(const Program& program) : program_(&program) {
    int reached = program.input;
    for (int i = 0; i < program.step_count; ++i) {
        if (!has_way(program.steps[i]) || program.steps[i].input != reached) return;
        reached = program.steps[i].output;
    }
    if (reached != program.output) return;
    // A convolution reads its input number by number: an image of one channel need not be sixteen times as large.
    const bool dense = program.step_count > 0 && program.steps[0].op == Op::kConv;
    std::ptrdiff_t block_work = 0;
    const auto place = [&](int number) {
        const Slot& slot = program.slots[number];
        const int pixel = number == program.input && dense ? slot.channels : vectors_of(slot.channels) * kLanes;
        slots_[static_cast<std::size_t>(number)] = {arena_, pixel};
        arena_ += vectors_of(slot.plane() * pixel);
    };
    int last = program.input;
    for (int i = 0; i < program.step_count; ++i) {
        last = std::max({last, program.steps[i].input, program.steps[i].output});
    }
    slots_.resize(static_cast<std::size_t>(last) + 1);
    place(program.input);
    for (int i = 0; i < program.step_count; ++i) {
        const Step& step = program.steps[i];
        const Slot &in = program.slots[step.input], &out = program.slots[step.output];
        place(step.output);
        weights_.push_back(packed_);
        if (step.op != Op::kConv) continue;
        const std::ptrdiff_t taps = std::ptrdiff_t{in.channels} * step.rows.kernel * step.columns.kernel;
        const std::ptrdiff_t pixels = std::ptrdiff_t{out.height} * out.width;
        packed_ += vectors_of(out.channels) * (1 + taps);
        if (packed_ > kMostVectors || arena_ > kMostArena) return;
        work_ += vectors_of(out.channels) * taps * pixels;
        block_work += out.channels * taps * pixels;
    }
    if (arena_ > kMostArena || program.parameters > kMostParameters) return;
    const std::ptrdiff_t gained = work_ > 0 ? block_work / (kGain * work_) : kLanes / kGain;
    most_ = static_cast<int>(gained);
}

bool FewSamples::take(const Batch& batch) const {
    return batch.count <= most_ && !batch.target && !batch.gradients && !batch.training && !batch.update;
}

void FewSamples::run(const Engine& engine, Batch& batch) {
    memory_.resize(static_cast<std::size_t>(arena_));  // the borders zero, once and for all
    pack(engine, batch.params);
    const int threads = work_ < kWorkForThreads ? 1 : batch.threads;
    const ChannelMemory memory{slots_.data(), weights_.data(), reinterpret_cast<lanes*>(memory_.data()),
                               reinterpret_cast<lanes*>(packed_weights_.data())};
    engine.run_few(*program_, memory, batch, threads);
    batch.loss = 0.0;
}

void FewSamples::pack(const Engine& engine, const float* params) {
    const std::size_t count = static_cast<std::size_t>(program_->parameters);
    // Byte by byte: a NaN is no other number, −0 is not 0.
    if (packed_from_.size() == count &&
        (count == 0 || std::memcmp(packed_from_.data(), params, count * sizeof(float)) == 0)) {
        return;
    }
    packed_from_.clear();  // should there be no memory for the rest
    packed_weights_.resize(static_cast<std::size_t>(packed_));
    std::vector<float> from(params, params + count);
    const ChannelMemory memory{slots_.data(), weights_.data(), nullptr,
                               reinterpret_cast<lanes*>(packed_weights_.data())};
    // The copy is what is packed: another thread may be writing to the parameters.
    engine.pack_few(*program_, memory, from.data());
    packed_from_.swap(from);
}

}  // namespace pellucid
