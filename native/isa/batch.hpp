// One batch, from samples to gradients or to new parameters. Its blocks of 16 samples are dealt out to the threads.
#pragma once

// All threads of a batch, as one of them sees it.
struct Crew {
    const Program& program;
    const Workspace& space;
    Batch& batch;
    int blocks;
    Part team;
    Turn* turn;  // null where weights are packed at the start

    // Training with batch norm needs all blocks at once.
    bool keeps_blocks() const { return program.norms > 0 && batch.training; }
    int gradient_sets() const { return program.wide ? 1 : blocks; }
    // Where a step finds a block's gradients, as if they were those of all parameters.
    float* gradients(int block, const Step& step) const {
        if (has_gradients_in_place(program, batch)) return batch.gradients;
        return space.gradients + (program.wide ? 0 : block * program.of_block) - step.skipped;
    }
    Moments* moments(int block) const { return space.moments + block * program.norms; }
};

// body(here) for every block: one thread does one alone, or all of them do it together where there are not enough.
// Where blocks are taken up again and again, they come `last_first` every other time: the last ones are still in the
// cache.
template <typename Body>
void each_block(const Crew& crew, bool last_first, Body body) {
    const int threads = crew.team.count, alone = crew.program.wide ? 0 : crew.blocks / threads * threads;
    const auto visit = [&](int number, int arena, Part part) {
        body(Here{crew.program, crew.batch, crew.space.packed, crew.turn, number * kLanes,
                  static_cast<lanes*>(crew.space.arenas[crew.keeps_blocks() ? number : arena]),
                  static_cast<lanes*>(crew.space.scratch[crew.team.index]), crew.space.norms, crew.space.kept, part});
    };
    for (int i = 0; i < alone / threads; ++i) {
        visit((last_first ? alone / threads - 1 - i : i) * threads + crew.team.index, crew.team.index, {0, 1});
    }
    for (int number = alone; number < crew.blocks; ++number) {
        wait_for_others(crew.team);
        visit(number, 0, crew.team);
    }
}

void read_samples(const Here& h) {
    const Slot& in = h.program.slots[h.program.input];
    clear_border(in, h.arena + in.value, h.part);
    if (h.batch.bytes) {
        gather<std::uint8_t>(h.program, h.batch, h.first, h.arena, h.part);
    } else {
        gather<float>(h.program, h.batch, h.first, h.arena, h.part);
    }
}

void steps_forward(const Here& h, int from, int to) {
    for (int i = from; i < to; ++i) {
        wait_for_others(h.part);
        forward(h, h.program.steps[i]);
    }
    wait_for_others(h.part);
}

void steps_backward(const Crew& crew, const Here& h, int from, int to) {
    for (int i = to - 1; i >= from; --i) {
        wait_for_others(h.part);
        const Step& step = h.program.steps[i];
        backward(h, step, crew.gradients(h.block(), step));
    }
}

void finish_forward(const Crew& crew, const Here& h) {
    if (h.part.index != 0) return;
    scatter_outputs(h.program, h.batch, h.first, h.arena);
    if (h.batch.target) crew.space.losses[h.block()] = loss_and_delta(h.program, h.batch, h.first, h.arena);
}

bool is_finite_loss(const Crew& crew) {
    double loss = 0.0;
    for (int block = 0; block < crew.blocks; ++block) loss += crew.space.losses[block];
    return loss - loss == 0.0;
}

// Where there is to be an update, a loss that is not finite leaves the gradients' array as it is: it has the parameters
// to go back to.
bool goes_back(const Crew& crew) { return crew.batch.gradients && (!crew.batch.update || is_finite_loss(crew)); }

// Take one block after the other through the whole network and back, while its values stay in a thread's cache.
void depth_first(const Crew& crew) {
    const int steps = crew.program.step_count;
    each_block(crew, false, [&](const Here& h) {
        read_samples(h);
        steps_forward(h, 0, steps);
        finish_forward(crew, h);
        if (!crew.batch.gradients) return;
        wait_for_others(h.part);
        if (goes_step_by_step(crew.program, crew.batch) && !goes_back(crew)) return;
        steps_backward(crew, h, 0, steps);
    });
}

int next_norm(const Program& program, int from) {
    while (from < program.step_count && program.steps[from].op != Op::kBatchNorm) ++from;
    return from;
}

int last_norm(const Program& program, int before) {
    do {
        --before;
    } while (before >= 0 && program.steps[before].op != Op::kBatchNorm);
    return before;
}

// All blocks up to a batch norm, its statistics, then all blocks on to the next one.
void forward_between_norms(const Crew& crew) {
    const Program& program = crew.program;
    bool last_first = true;
    for (int from = 0, to; from <= program.step_count; from = to + 1) {
        to = next_norm(program, from);
        last_first = !last_first;
        each_block(crew, last_first, [&](const Here& h) {
            if (from == 0) {
                read_samples(h);
            } else {
                forward(h, program.steps[from - 1]);
            }
            steps_forward(h, from, to);
            if (to == program.step_count) return finish_forward(crew, h);
            measure_block(program, program.steps[to], h.batch, h.first, h.arena, crew.moments(h.block()), h.part);
        });
        wait_for_others(crew.team);
        if (to == program.step_count) return;
        combine_moments(program, program.steps[to], crew.batch, crew.space.moments, crew.space.norms, crew.team);
        wait_for_others(crew.team);
    }
}

void backward_between_norms(const Crew& crew) {
    const Program& program = crew.program;
    bool last_first = false;
    for (int to = program.step_count, from; to >= 0; to = from) {
        from = last_norm(program, to);
        last_first = !last_first;
        each_block(crew, last_first, [&](const Here& h) {
            if (to < program.step_count) {
                normalize_backward(program, program.steps[to], h.batch, h.first, h.norms, h.arena, h.part);
            }
            steps_backward(crew, h, from + 1, to);
            if (from < 0) return;
            wait_for_others(h.part);
            measure_delta(program, program.steps[from], h.batch.params, h.norms, h.arena, crew.moments(h.block()),
                          h.part);
        });
        wait_for_others(crew.team);
        if (from < 0) return;
        combine_delta(program, program.steps[from], crew.batch, crew.space.moments, crew.space.norms, crew.team);
        wait_for_others(crew.team);
    }
}

// Of the rows of their weights that begin where this thread is about to update.
void gradients_of_linear(const Crew& crew) {
    const Program& program = crew.program;
    const float* params = crew.batch.update ? crew.batch.update->params : nullptr;
    const Range chunks = crew.team.of(static_cast<int>(chunks_of(program.parameters)));
    for (int i = 0; i < program.step_count; ++i) {
        const Step& step = program.steps[i];
        if (step.kept < 0) continue;
        const Range tiles = tiles_within(program, step, chunks.from * kChunk, chunks.to * kChunk);
        linear_weight_gradient(program, step, crew.space.kept, crew.blocks, crew.batch.gradients, params, tiles);
    }
    wait_for_others(crew.team);
}

// Nothing of this is done to the parameters unless loss and gradient are finite.
void update(const Crew& crew) {
    wait_for_others(crew.team);
    if (!is_finite(crew.program, crew.space, crew.blocks)) return;
    change_parameters(crew.program, crew.space, crew.batch, crew.team);
    if (crew.batch.update->max_norm < __builtin_inf()) {
        wait_for_others(crew.team);
        limit_norms(*crew.batch.update, crew.team);
    }
}

// The loss and the flags of the whole batch, from those of its blocks and chunks.
void sum_up(const Program& program, const Workspace& space, Batch& batch, int blocks) {
    for (int distance = 1; distance < blocks; distance *= 2) {
        for (int block = 0; block + distance < blocks; block += 2 * distance) {
            space.losses[block] += space.losses[block + distance];
        }
    }
    batch.loss = space.losses[0];
    if (!batch.update) return;
    batch.update->gradient_finite = batch.update->params_finite = batch.update->previous_kept = true;
    if (batch.loss - batch.loss != 0.0) return;
    for (std::ptrdiff_t i = 0; i < chunks_of(program.parameters); ++i) {
        batch.loss += space.chunks[i].penalty;
        batch.update->gradient_finite &= space.chunks[i].gradient_finite;
        batch.update->params_finite &= space.chunks[i].params_finite;
    }
    batch.update->previous_kept = batch.update->gradient_finite && batch.loss - batch.loss == 0.0;
}

// Every batch norm has seen one batch more.
void count_batch(const Program& program, const Batch& batch) {
    for (int i = next_norm(program, 0); i < program.step_count; i = next_norm(program, i + 1)) {
        const Step& step = program.steps[i];
        batch.state[step.state + 2 * statistics(program.slots[step.input], step)] += 1.0f;
    }
}

void run(const Crew& crew) {
    const Program& program = crew.program;
    const Batch& batch = crew.batch;
    for (int i = 0; i < program.step_count; ++i) {
        const Step& step = program.steps[i];
        if (!crew.turn || step.tile != 3) pack(program, step, batch.params, crew.space.packed, crew.team);
        if (step.op == Op::kBatchNorm && !batch.training) {
            recall_norms(program, step, batch, crew.space.norms, crew.team);
        }
    }
    wait_for_others(crew.team);
    if (crew.keeps_blocks()) {
        forward_between_norms(crew);
        if (goes_back(crew)) backward_between_norms(crew);
    } else {
        depth_first(crew);
    }
    wait_for_others(crew.team);
    if (!goes_back(crew)) return;
    gradients_of_linear(crew);
    finish_gradients(program, crew.space, batch, crew.gradient_sets(), crew.team);
    if (batch.update) update(crew);
}

void run(const Program& program, const Workspace& space, Batch& batch) {
    const int blocks = vectors_of(batch.count);
#if defined(_OPENMP)
#pragma omp parallel num_threads(batch.threads) if (batch.threads > 1)
    {
        const Part team{omp_get_thread_num(), omp_get_num_threads()};
#else
    {
        const Part team{0, 1};
#endif
        [[maybe_unused]] const FlushDenormals flush;
        Turn turn;
        run(Crew{program, space, batch, blocks, team, packs_in_turn(program, batch) ? &turn : nullptr});
    }
    if (program.norms > 0 && batch.training) count_batch(program, batch);
    sum_up(program, space, batch, blocks);
}
