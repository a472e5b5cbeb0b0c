// The order of work for a few samples: one after the other, the threads sharing every step.
#pragma once

void few_step(const Program& program, const ChannelMemory& memory, const Step& step, const lanes* packed, Part part) {
    switch (step.op) {
        case Op::kConv:
            few_convolve(program, memory, step, packed, part);
            break;
        case Op::kMaxPool:
        case Op::kAvgPool:
            few_pool(program, memory, step, part);
            break;
        case Op::kFlatten:
            return few_flatten(program, memory, step, part);
        default:
            few_copy(program, memory, step, part);
    }
    if (step.activation == Activation::kNone) return;
    wait_for_others(part);
    few_activate(program, memory, step, part);
}

void few_sample(const Program& program, const ChannelMemory& memory, const Batch& batch, int sample, Part part) {
    if (batch.bytes) {
        few_gather<std::uint8_t>(program, memory, batch, sample, part);
    } else {
        few_gather<float>(program, memory, batch, sample, part);
    }
    for (int i = 0; i < program.step_count; ++i) {
        wait_for_others(part);
        few_step(program, memory, program.steps[i], memory.packed + memory.weights[i], part);
    }
    wait_for_others(part);
    if (part.index != 0) return;
    const int classes = program.slots[program.output].channels;
    const Pixels out(program, memory, program.output);
    float* row = batch.outputs + static_cast<std::ptrdiff_t>(sample) * classes;
    for (int k = 0; k < classes; ++k) row[k] = out.first[k];
    if (batch.activated) predict_row(program.loss, row, classes);
}

void run_few(const Program& program, const ChannelMemory& memory, Batch& batch, int threads) {
#if defined(_OPENMP)
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
        const Part part{omp_get_thread_num(), omp_get_num_threads()};
#else
    {
        static_cast<void>(threads);
        const Part part{0, 1};
#endif
        [[maybe_unused]] const FlushDenormals flush;
        for (int sample = 0; sample < batch.count; ++sample) {
            few_sample(program, memory, batch, sample, part);
            wait_for_others(part);
        }
    }
}

void pack_few(const Program& program, const ChannelMemory& memory, const float* params) {
    for (int i = 0; i < program.step_count; ++i) {
        const Step& step = program.steps[i];
        if (step.op == Op::kConv) pack_few_weights(program, step, params, memory.packed + memory.weights[i]);
    }
}
