// For the benchmarks: the arithmetic by itself, and one pass of one step by itself, with the threads and the kernels
// that training uses.
#pragma once

// Every thread does all the rounds; returns the multiply-adds of all of them together.
double multiply_adds(long rounds, int threads, float* sum) {
    double done = 0.0;
    *sum = 0.0f;
#if defined(_OPENMP)
#pragma omp parallel num_threads(threads) if (threads > 1)
#else
    static_cast<void>(threads);
#endif
    {
        const float total = multiply_add_chains(rounds);
#if defined(_OPENMP)
#pragma omp atomic
#endif
        *sum += total;
#if defined(_OPENMP)
#pragma omp atomic
#endif
        done += static_cast<double>(rounds) * kChains * kWidth;
    }
    return done;
}

void pass_once(const Here& here, const Step& step, Pass pass, float* packed, Part of_all, float* gradients) {
    switch (pass) {
        case Pass::kPack:
            return pack(here.program, step, here.batch.params, packed, of_all);
        case Pass::kForward:
            return forward(here, step);
        case Pass::kDx:
            return input_gradient(here, step);
        case Pass::kDweight:
            lay_out_delta(here, step);
            weight_gradient(here, step, gradients);
            if (step.kept >= 0) {
                const Range rows{0, row_tiles(here.program.slots[step.output])};
                linear_weight_gradient(here.program, step, here.kept, 1, gradients, nullptr, rows);
            }
            return;
    }
}

// Every thread repeats the pass on the block in its own arena, as in a batch of one block a thread; weights they pack
// together. Returns how many threads there were.
int repeat(const Program& program, const Workspace& space, const Step& step, Pass pass, const float* params,
           int repetitions, int threads) {
    int came = 1;
#if defined(_OPENMP)
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
        const int here = omp_get_thread_num(), team = omp_get_num_threads();
        if (here == 0) came = team;
#else
    {
        const int here = 0, team = 1;
        static_cast<void>(threads);
#endif
        [[maybe_unused]] const FlushDenormals flush;
        Batch batch{};
        batch.params = params;
        batch.count = kLanes;
        const Here whole{program,
                         batch,
                         space.packed,
                         nullptr,
                         0,
                         static_cast<lanes*>(space.arenas[here]),
                         static_cast<lanes*>(space.scratch[here]),
                         space.norms,
                         space.kept + here * program.kept,
                         {0, 1}};
        for (int i = 0; i < repetitions; ++i) {
            pass_once(whole, step, pass, space.packed, {here, team}, space.gradients + here * program.parameters);
        }
    }
    return came;
}
