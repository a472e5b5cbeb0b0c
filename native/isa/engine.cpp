// The engine for one instruction set. CMake compiles this file once for each, with its flags and PELLUCID_ISA set; all
// that the kernels define lives in a namespace without a name, so that the copies never mix.
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "program.hpp"

#if defined(_OPENMP)
#include <omp.h>
#endif
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

namespace pellucid {
namespace {

#include "kernels/activation.hpp"
#include "kernels/conv.hpp"
#include "kernels/dropout.hpp"
#include "kernels/loss.hpp"
#include "kernels/lp_pool.hpp"
#include "kernels/pack.hpp"
#include "kernels/pooling.hpp"
#include "kernels/response_norm.hpp"
#include "kernels/softmax.hpp"

// Denormal numbers slow the arithmetic down a hundred times and carry nothing: flushed to zero here, and the caller's
// setting put back.
class FlushDenormals {
  public:
#if defined(__SSE__)
    FlushDenormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040u); }
    ~FlushDenormals() { _mm_setcsr(before_); }

  private:
    unsigned before_;
#endif
};

// All threads of a split block wait here for each other; a thread with a block of its own waits for nobody.
void wait_for_others([[maybe_unused]] Part part) {
#if defined(_OPENMP)
    if (part.count > 1) {
#pragma omp barrier
    }
#endif
}

void activate_slot(const Program& program, const Step& step, lanes* arena, bool backward, Part part) {
    const Slot& out = program.slots[step.output];
    for (const int item : part.of(out.channels * out.height)) {
        const std::ptrdiff_t at = item / out.height * out.plane() + item % out.height * out.pitch() + out.border;
        if (backward) {
            activate_backward(step.activation, step.alpha, arena + out.value + at, arena + out.delta + at, out.width);
        } else {
            activate(step.activation, step.alpha, arena + out.value + at, out.width);
        }
    }
}

// An activation that no neighbour could take along.
void copy_slot(const Program& program, const Step& step, lanes* arena, bool backward, Part part) {
    const Slot &in = program.slots[step.input], &out = program.slots[step.output];
    for (const int item : part.of(out.channels * out.height)) {
        const int c = item / out.height, u = item % out.height;
        lanes* x = arena + (backward ? in.delta : in.value) + c * in.plane() + u * in.pitch() + in.border;
        lanes* y = arena + (backward ? out.delta : out.value) + c * out.plane() + u * out.pitch() + out.border;
        for (int v = 0; v < out.width; ++v) backward ? x[v] = y[v] : y[v] = x[v];
    }
}

void forward(const Program& program, const Step& step, const Batch& batch, int first, lanes* arena, const float* packed,
             Part part) {
    switch (step.op) {
        case Op::kConv:
            conv_forward(program, step, arena, packed, batch.params, part,
                         [&](lanes* y, int count) { activate(step.activation, step.alpha, y, count); });
            return;
        case Op::kMaxPool:
            max_pool(program, step, arena, part);
            break;
        case Op::kAvgPool:
            avg_pool(program, step, arena, part);
            break;
        case Op::kFlatten:
            flatten(program, step, arena, false, part);
            return;
        case Op::kActivation:
            copy_slot(program, step, arena, false, part);
            break;
        case Op::kDropout:
            if (batch.training) {
                dropout(program, step, batch, first, arena, part);
            } else {
                copy_slot(program, step, arena, false, part);
            }
            break;
        case Op::kLPPool:
            lp_pool(program, step, arena, part);
            break;
        case Op::kSoftmax:
            softmax(program, step, arena, part);
            break;
        case Op::kResponseNorm:
            response_norm(program, step, arena, part);
            break;
    }
    if (step.activation == Activation::kNone) return;
    wait_for_others(part);
    activate_slot(program, step, arena, false, part);
}

void backward(const Program& program, const Step& step, const Batch& batch, int first, lanes* arena,
              const float* packed, float* gradients, Part part) {
    if (step.activation != Activation::kNone) {
        activate_slot(program, step, arena, true, part);
        wait_for_others(part);
    }
    switch (step.op) {
        case Op::kConv: {
            const Slot &in = program.slots[step.input], &out = program.slots[step.output];
            if (step.bias >= 0) bias_gradient(program, step, arena, gradients, part);
            const bool one_tap = step.rows.kernel == 1 && step.columns.kernel == 1;
            if (in.plane() == 1 && out.plane() == 1 && one_tap && step.groups == 1) {
                linear_weight_gradient(program, step, arena, gradients, part);
            } else {
                conv_weight_gradient(program, step, arena, gradients, part);
            }
            if (step.needs_dx) conv_dx(program, step, arena, packed, batch.params, part);
            return;
        }
        case Op::kMaxPool:
            if (step.needs_dx) max_pool_backward(program, step, arena, part);
            return;
        case Op::kAvgPool:
            if (step.needs_dx) avg_pool_backward(program, step, arena, part);
            return;
        case Op::kFlatten:
            if (step.needs_dx) flatten(program, step, arena, true, part);
            return;
        case Op::kActivation:
            if (step.needs_dx) copy_slot(program, step, arena, true, part);
            return;
        case Op::kDropout:
            if (!step.needs_dx) return;
            if (batch.training) {
                dropout_backward(program, step, batch, first, arena, part);
            } else {
                copy_slot(program, step, arena, true, part);
            }
            return;
        case Op::kLPPool:
            if (step.needs_dx) lp_pool_backward(program, step, arena, part);
            return;
        case Op::kSoftmax:
            if (step.needs_dx) softmax_backward(program, step, arena, part);
            return;
        case Op::kResponseNorm:
            if (step.needs_dx) response_norm_backward(program, step, arena, part);
            return;
    }
}

// Take one block of 16 samples through the whole network and back, while its values stay in this thread's cache.
void run_block(const Program& program, const Workspace& space, Batch& batch, int block, lanes* arena, Part part) {
    const int first = block * kLanes;
    if (batch.bytes) {
        gather<std::uint8_t>(program, batch, first, arena, part);
    } else {
        gather<float>(program, batch, first, arena, part);
    }
    for (int i = 0; i < program.step_count; ++i) {
        wait_for_others(part);
        forward(program, program.steps[i], batch, first, arena, space.packed, part);
    }
    wait_for_others(part);
    if (part.index == 0) {
        scatter_outputs(program, batch, first, arena);
        if (batch.target) space.losses[block] = loss_and_delta(program, batch, first, arena);
    }
    if (!batch.gradients) return;
    float* gradients = space.gradients + block * program.parameters;
    for (int i = program.step_count - 1; i >= 0; --i) {
        wait_for_others(part);
        backward(program, program.steps[i], batch, first, arena, space.packed, gradients, part);
    }
}

// Add the blocks' gradients in a tree that depends on nothing but their number.
void add_blocks(const Program& program, const Workspace& space, Batch& batch, int blocks, Part part) {
    const long from = program.parameters * part.index / part.count,
               to = program.parameters * (part.index + 1) / part.count;
    float* sums = space.gradients;
    for (int distance = 1; distance < blocks; distance *= 2) {
        for (int block = 0; block + distance < blocks; block += 2 * distance) {
            float* left = sums + block * program.parameters;
            const float* right = sums + (block + distance) * program.parameters;
            for (long i = from; i < to; ++i) left[i] += right[i];
        }
    }
    for (long i = from; i < to; ++i) batch.gradients[i] = sums[i];
}

void run(const Program& program, const Workspace& space, Batch& batch) {
    const int blocks = (batch.count + kLanes - 1) / kLanes;
    const int threads = batch.threads;
    const int alone = blocks / threads * threads;  // blocks that one thread runs by itself; the rest are split
#if defined(_OPENMP)
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
        const int here = omp_get_thread_num(), team = omp_get_num_threads();
#else
    {
        const int here = 0, team = 1;
#endif
        [[maybe_unused]] const FlushDenormals flush;
        for (int i = 0; i < program.step_count; ++i) {
            if (program.steps[i].op == Op::kConv) {
                pack_weights(program, program.steps[i], batch.params, space.packed, {here, team});
            }
        }
        wait_for_others({here, team});
        if (team == threads) {
            for (int block = here; block < alone; block += team) {
                run_block(program, space, batch, block, static_cast<lanes*>(space.arenas[here]), {0, 1});
            }
            for (int block = alone; block < blocks; ++block) {
                wait_for_others({here, team});
                run_block(program, space, batch, block, static_cast<lanes*>(space.arenas[0]), {here, team});
            }
        } else if (here == 0) {  // the runtime gave fewer threads than were asked for
            for (int block = 0; block < blocks; ++block) {
                run_block(program, space, batch, block, static_cast<lanes*>(space.arenas[0]), {0, 1});
            }
        }
        if (batch.gradients) {
#if defined(_OPENMP)
#pragma omp barrier
#endif
            add_blocks(program, space, batch, blocks, {here, team});
        }
    }
    for (int distance = 1; distance < blocks; distance *= 2) {
        for (int block = 0; block + distance < blocks; block += 2 * distance) {
            space.losses[block] += space.losses[block + distance];
        }
    }
    batch.loss = space.losses[0];
}

}  // namespace

#define PELLUCID_JOIN_(a, b) a##b
#define PELLUCID_JOIN(a, b) PELLUCID_JOIN_(a, b)
#define PELLUCID_TEXT_(a) #a
#define PELLUCID_TEXT(a) PELLUCID_TEXT_(a)

extern const Engine PELLUCID_JOIN(engine_, PELLUCID_ISA);
const Engine PELLUCID_JOIN(engine_, PELLUCID_ISA) = {PELLUCID_TEXT(PELLUCID_ISA), &run};

}  // namespace pellucid
