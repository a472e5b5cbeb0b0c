// The engine for one instruction set. CMake compiles this file once for each, with its flags and PELLUCID_ISA set; all
// that the kernels define lives in a namespace without a name, so that the copies never mix.
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "program.hpp"
#include "winograd_sizes.hpp"

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
#include "kernels/denormals.hpp"
#include "kernels/dropout.hpp"
#include "kernels/few_samples.hpp"
#include "kernels/loss.hpp"
#include "kernels/lp_pool.hpp"
#include "kernels/pack.hpp"
#include "kernels/peak.hpp"
#include "kernels/pooling.hpp"
#include "kernels/response_norm.hpp"
#include "kernels/softmax.hpp"
#include "kernels/update.hpp"
#include "kernels/winograd.hpp"
#include "kernels/winograd_by_point.hpp"
#include "kernels/winograd_by_point_pack.hpp"
#include "kernels/winograd_by_point_weights.hpp"
#include "kernels/winograd_weights.hpp"

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

// What a thread works on: a block of 16 samples in an arena, alone or sharing its steps with the others, and what is
// its own in any case.
struct Here {
    const Program& program;
    const Batch& batch;
    const float* packed;
    int first;  // sample of the block
    lanes* arena;
    lanes* scratch;
    Part part;
};

void pack(const Program& program, const Step& step, const float* params, float* packed, Part part) {
    if (step.op != Op::kConv) return;
    if (step.tile == 2) return pack_winograd<5>(program, step, params, packed, part);
    if (step.tile == 4) return pack_by_point(program, step, params, packed, part);
    pack_weights(program, step, params, packed, part);
}

void convolve(const Here& h, const Step& step) {
    const auto act = [&](lanes* y, int count) { activate(step.activation, step.alpha, y, count); };
    if (step.tile == 2) {
        winograd_forward<2>(h.program, step, h.arena, h.scratch, h.packed, h.batch.params, h.part, act);
    } else if (step.tile == 4) {
        forward_by_point(h.program, step, h.arena, h.scratch, h.packed, h.batch.params, h.part, act);
    } else {
        conv_forward(h.program, step, h.arena, h.packed, h.batch.params, h.part, act);
    }
}

void forward(const Here& h, const Step& step) {
    switch (step.op) {
        case Op::kConv:
            return convolve(h, step);
        case Op::kMaxPool:
            max_pool(h.program, step, h.arena, h.part);
            break;
        case Op::kAvgPool:
            avg_pool(h.program, step, h.arena, h.part);
            break;
        case Op::kFlatten:
            return flatten(h.program, step, h.arena, false, h.part);
        case Op::kActivation:
            copy_slot(h.program, step, h.arena, false, h.part);
            break;
        case Op::kDropout:
            if (h.batch.training) {
                dropout(h.program, step, h.batch, h.first, h.arena, h.part);
            } else {
                copy_slot(h.program, step, h.arena, false, h.part);
            }
            break;
        case Op::kLPPool:
            lp_pool(h.program, step, h.arena, h.part);
            break;
        case Op::kSoftmax:
            softmax(h.program, step, h.arena, h.part);
            break;
        case Op::kResponseNorm:
            response_norm(h.program, step, h.arena, h.part);
            break;
    }
    if (step.activation == Activation::kNone) return;
    wait_for_others(h.part);
    activate_slot(h.program, step, h.arena, false, h.part);
}

// δ tile by tile is for both ways back of 5×5 kernels; they come after it.
void lay_out_delta(const Here& h, const Step& step) {
    if (step.side() == 2) return tile_delta<2>(h.program, step, h.arena, h.scratch, h.part);
}

template <int M>
void weight_gradient_by_tiles(const Here& h, const Step& step, float* gradients) {
    winograd_products_gradient<M>(h.program, step, h.arena, h.scratch, h.part);
    wait_for_others(h.part);
    winograd_weight_gradient<M>(h.program, step, h.arena, h.scratch, gradients, false, h.part);
}

void weight_gradient(const Here& h, const Step& step, float* gradients) {
    if (step.weights_tile == 2) return weight_gradient_by_tiles<2>(h, step, gradients);
    if (step.weights_tile == 4) {
        return weights_by_point(h.program, step, h.arena, h.scratch, gradients, false, h.part);
    }
    const Slot &in = h.program.slots[step.input], &out = h.program.slots[step.output];
    const bool one_tap = step.rows.kernel == 1 && step.columns.kernel == 1;
    if (in.plane() == 1 && out.plane() == 1 && one_tap && step.groups == 1) {
        linear_weight_gradient(h.program, step, h.arena, gradients, h.part);
    } else {
        conv_weight_gradient(h.program, step, h.arena, gradients, h.part);
    }
}

void input_gradient(const Here& h, const Step& step) {
    if (step.tile == 2) return winograd_dx<2>(h.program, step, h.arena, h.scratch, h.packed, h.part);
    if (step.tile == 4) return dx_by_point(h.program, step, h.arena, h.scratch, h.packed, h.part);
    conv_dx(h.program, step, h.arena, h.packed, h.batch.params, h.part);
}

void backward_convolution(const Here& h, const Step& step, float* gradients) {
    if (step.bias >= 0) bias_gradient(h.program, step, h.arena, gradients, h.part);
    if (step.side() == 2 && (step.weights_tile || step.needs_dx)) {
        lay_out_delta(h, step);
        wait_for_others(h.part);
    }
    weight_gradient(h, step, gradients);
    if (step.needs_dx) input_gradient(h, step);
}

void backward(const Here& h, const Step& step, float* gradients) {
    if (step.activation != Activation::kNone) {
        activate_slot(h.program, step, h.arena, true, h.part);
        wait_for_others(h.part);
    }
    if (step.op == Op::kConv) return backward_convolution(h, step, gradients);
    if (!step.needs_dx) return;
    switch (step.op) {
        case Op::kConv:
            return;
        case Op::kMaxPool:
            return max_pool_backward(h.program, step, h.arena, h.part);
        case Op::kAvgPool:
            return avg_pool_backward(h.program, step, h.arena, h.part);
        case Op::kFlatten:
            return flatten(h.program, step, h.arena, true, h.part);
        case Op::kActivation:
            return copy_slot(h.program, step, h.arena, true, h.part);
        case Op::kDropout:
            if (h.batch.training) return dropout_backward(h.program, step, h.batch, h.first, h.arena, h.part);
            return copy_slot(h.program, step, h.arena, true, h.part);
        case Op::kLPPool:
            return lp_pool_backward(h.program, step, h.arena, h.part);
        case Op::kSoftmax:
            return softmax_backward(h.program, step, h.arena, h.part);
        case Op::kResponseNorm:
            return response_norm_backward(h.program, step, h.arena, h.part);
    }
}

// Take one block of 16 samples through the whole network and back, while its values stay in this thread's cache.
void run_block(const Here& h, const Workspace& space) {
    const Program& program = h.program;
    const Batch& batch = h.batch;
    if (batch.bytes) {
        gather<std::uint8_t>(program, batch, h.first, h.arena, h.part);
    } else {
        gather<float>(program, batch, h.first, h.arena, h.part);
    }
    for (int i = 0; i < program.step_count; ++i) {
        wait_for_others(h.part);
        forward(h, program.steps[i]);
    }
    wait_for_others(h.part);
    const int block = h.first / kLanes;
    if (h.part.index == 0) {
        scatter_outputs(program, batch, h.first, h.arena);
        if (batch.target) space.losses[block] = loss_and_delta(program, batch, h.first, h.arena);
    }
    if (!batch.gradients) return;
    float* gradients = space.gradients + block * program.parameters;
    for (int i = program.step_count - 1; i >= 0; --i) {
        wait_for_others(h.part);
        backward(h, program.steps[i], gradients);
    }
}

// What follows the blocks; nothing of it is done to the parameters unless loss and gradient are finite.
void update(const Program& program, const Workspace& space, const Batch& batch, int blocks, Part part) {
    wait_for_others(part);
    if (!is_finite(program, space, blocks)) return;
    change_parameters(program, space, batch, part);
    if (batch.update->max_norm < __builtin_inf()) {
        wait_for_others(part);
        limit_norms(*batch.update, part);
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
    batch.update->gradient_finite = batch.update->params_finite = true;
    for (std::ptrdiff_t i = 0; i < chunks_of(program.parameters); ++i) {
        batch.loss += space.chunks[i].penalty;
        batch.update->gradient_finite &= space.chunks[i].gradient_finite;
        batch.update->params_finite &= space.chunks[i].params_finite;
    }
}

void run(const Program& program, const Workspace& space, Batch& batch) {
    const int blocks = vectors_of(batch.count);
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
            pack(program, program.steps[i], batch.params, space.packed, {here, team});
        }
        wait_for_others({here, team});
        const auto block = [&](int number, void* arena, Part part) {
            run_block({program, batch, space.packed, number * kLanes, static_cast<lanes*>(arena),
                       static_cast<lanes*>(space.scratch[here]), part},
                      space);
        };
        if (team == threads) {
            for (int number = here; number < alone; number += team) block(number, space.arenas[here], {0, 1});
            for (int number = alone; number < blocks; ++number) {
                wait_for_others({here, team});
                block(number, space.arenas[0], {here, team});
            }
        } else if (here == 0) {  // the runtime gave fewer threads than were asked for
            for (int number = 0; number < blocks; ++number) block(number, space.arenas[0], {0, 1});
        }
        if (batch.gradients) {
            wait_for_others({here, team});
            finish_gradients(program, space, batch, blocks, {here, team});
            if (batch.update) update(program, space, batch, blocks, {here, team});
        }
    }
    sum_up(program, space, batch, blocks);
}

#include "few_samples.hpp"
#include "measure.hpp"

}  // namespace

#define PELLUCID_JOIN_(a, b) a##b
#define PELLUCID_JOIN(a, b) PELLUCID_JOIN_(a, b)
#define PELLUCID_TEXT_(a) #a
#define PELLUCID_TEXT(a) PELLUCID_TEXT_(a)

extern const Engine PELLUCID_JOIN(engine_, PELLUCID_ISA);
const Engine PELLUCID_JOIN(engine_, PELLUCID_ISA) = {
    PELLUCID_TEXT(PELLUCID_ISA), &run, &run_few, &pack_few, &repeat, &multiply_adds};

}  // namespace pellucid
