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
#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__SSE__)
#include <xmmintrin.h>
#endif

namespace pellucid {
namespace {

#include "kernels/activation.hpp"
#include "kernels/add.hpp"
#include "kernels/batch_norm.hpp"
#include "kernels/border.hpp"
#include "kernels/conv.hpp"
#include "kernels/denormals.hpp"
#include "kernels/dropout.hpp"
#include "kernels/few_samples.hpp"
#include "kernels/linear.hpp"
#include "kernels/loss.hpp"
#include "kernels/lp_pool.hpp"
#include "kernels/pack.hpp"
#include "kernels/peak.hpp"
#include "kernels/pointwise.hpp"
#include "kernels/pooling.hpp"
#include "kernels/response_norm.hpp"
#include "kernels/softmax.hpp"
#include "kernels/update.hpp"
#include "kernels/winograd_by_point.hpp"
#include "kernels/winograd_by_point_pack.hpp"
#include "kernels/winograd_by_point_weights.hpp"
#include "kernels/winograd_five.hpp"
#include "kernels/winograd_five_weights.hpp"
#include "kernels/winograd_rows.hpp"

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

// An activation that no neighbour could take along, or what several readers share.
void copy_slot(const Program& program, const Step& step, lanes* arena, bool backward, Part part) {
    const Slot &in = program.slots[step.input], &out = program.slots[step.output];
    for (const int row : part.of(out.channels * out.height)) {
        if (backward) {
            hand_back(out, in, arena, step.adds, row);
            continue;
        }
        const lanes* x = row_of(in, arena, in.value, row);
        lanes* y = row_of(out, arena, out.value, row);
        for (int v = 0; v < out.width; ++v) y[v] = x[v];
    }
}

// Whose weights lie in the place that convolutions by points take in turn. Every thread keeps account for itself; all
// come to the same.
struct Turn {
    const Step* step = nullptr;
    bool dx = false;
};

// What a thread works on: a block of 16 samples in an arena, alone or sharing its steps with the others, and what is
// its own in any case.
struct Here {
    const Program& program;
    const Batch& batch;
    float* packed;
    Turn* turn;  // null where every convolution has a place for its packed weights
    int first;   // sample of the block
    lanes* arena;
    lanes* scratch;
    const Norm* norms;
    lanes* kept;
    Part part;

    int block() const { return first / kLanes; }

    // All blocks share one set of gradients; the first one writes it.
    bool adds() const { return program.wide && first > 0; }
};

bool is_pointwise(const Program& program, const Step& step) {
    return is_pointwise(step, program.slots[step.input], program.slots[step.output]);
}

void pack(const Program& program, const Step& step, const float* params, float* packed, Part part) {
    if (step.op != Op::kConv || is_pointwise(program, step)) return;
    if (step.tile == 5) {
        const bool by_rows = goes_by_rows(program.slots[step.input]);
        if (by_rows) five::pack_rows(program, step, params, packed, part);
        if (!by_rows || step.needs_dx) five::pack(program, step, params, packed, part);
        return;
    }
    if (step.tile == 3) return pack_by_point(program, step, params, packed, part);
    pack_weights(program, step, params, packed, part);
}

// The packed weights of a convolution by points, in turn packed now unless they lie there from the block before; null
// where they are made as they are needed.
const lanes* weights_by_point(const Here& h, const Step& step, bool dx) {
    const Slot &in = h.program.slots[step.input], &out = h.program.slots[step.output];
    if (packs_nothing(in, out)) return nullptr;
    if (!h.turn) {
        float* place = h.packed + step.packed + (dx ? point_weights(in.channels, out.channels) : 0);
        return reinterpret_cast<const lanes*>(place);
    }
    float* place = h.packed + h.program.by_points;
    if (h.turn->step != &step || h.turn->dx != dx) {
        *h.turn = {&step, dx};
        if (dx) {
            pack_panels<false>(h.program, step, h.batch.params, place, h.part);
        } else {
            pack_panels<true>(h.program, step, h.batch.params, place, h.part);
        }
        wait_for_others(h.part);
    }
    return reinterpret_cast<const lanes*>(place);
}

void convolve(const Here& h, const Step& step) {
    const auto act = [&](lanes* y, int count) { activate(step.activation, step.alpha, y, count); };
    if (step.tile == 5 && goes_by_rows(h.program.slots[step.input])) {
        five::forward_by_rows(h.program, step, h.arena, h.scratch, h.packed, h.batch.params, h.part, act);
    } else if (step.tile == 5) {
        five::forward(h.program, step, h.arena, h.scratch, h.packed, h.batch.params, h.part, act);
    } else if (step.tile == 3) {
        const lanes* weights = weights_by_point(h, step, false);
        const Source source(h.program, step, h.batch.params, h.norms);
        forward_by_point(h.program, step, source, h.arena, h.scratch, weights, h.batch.params, h.part, act);
    } else if (is_pointwise(h.program, step)) {
        pointwise_forward(h.program, step, h.arena, h.batch.params, h.part, act);
    } else {
        conv_forward(h.program, step, h.arena, h.packed, h.batch.params, h.part, act);
    }
}

void forward(const Here& h, const Step& step) {
    const Slot& out = h.program.slots[step.output];
    // What PadChannels appends is cleared whole, and the rest is its input; batch norm clears row by row.
    if (step.op != Op::kPadChannels && step.op != Op::kBatchNorm) clear_border(out, h.arena + out.value, h.part);
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
        case Op::kBatchNorm:
            return normalize(h.program, step, h.batch, h.norms, h.arena, h.part);
        case Op::kAdd:
            add(h.program, step, h.arena, h.part);
            break;
        case Op::kPadChannels:
            return clear_appended(h.program, step, h.arena, h.part);
    }
    if (step.activation == Activation::kNone) return;
    wait_for_others(h.part);
    activate_slot(h.program, step, h.arena, false, h.part);
}

// δ tile by tile is for both ways back of 5×5 kernels; they come after it.
void lay_out_delta(const Here& h, const Step& step) {
    if (step.winograd() != 5 || !delta_of_five(step, h.program.slots[step.input], h.program.slots[step.output])) return;
    five::lay_out_delta(h.program, step, h.arena, h.scratch, h.part);
    wait_for_others(h.part);
}

void weight_gradient_by_tiles(const Here& h, const Step& step, float* gradients) {
    if (goes_by_rows(h.program.slots[step.input])) {
        five::sum_row_products(h.program, step, h.arena, h.scratch, h.part);
        wait_for_others(h.part);
        return five::weight_gradient_of_rows(h.program, step, h.arena, h.scratch, gradients, h.adds(), h.part);
    }
    five::sum_products(h.program, step, h.arena, h.scratch, h.part);
    wait_for_others(h.part);
    five::weight_gradient(h.program, step, h.arena, h.scratch, gradients, h.adds(), h.part);
}

void weight_gradient(const Here& h, const Step& step, float* gradients) {
    if (step.weights_tile == 5) return weight_gradient_by_tiles(h, step, gradients);
    if (step.weights_tile == 3) {
        const Source source(h.program, step, h.batch.params, h.norms);
        return weights_by_point(h.program, step, source, h.arena, h.scratch, gradients, h.adds(), h.part);
    }
    if (step.kept >= 0) {
        keep_samples(h.program, step, h.arena, h.kept, h.block(), vectors_of(h.batch.count), h.part);
    } else if (is_pointwise(h.program, step)) {
        pointwise_weight_gradient(h.program, step, h.arena, gradients, h.part, h.adds());
    } else {
        conv_weight_gradient(h.program, step, h.arena, gradients, h.part, h.adds());
    }
}

void input_gradient(const Here& h, const Step& step) {
    if (step.tile == 5) return five::dx(h.program, step, h.arena, h.scratch, h.packed, h.part);
    if (step.tile == 3) {
        return dx_by_point(h.program, step, h.arena, h.scratch, weights_by_point(h, step, true), h.batch.params,
                           h.part);
    }
    if (is_pointwise(h.program, step)) return pointwise_dx(h.program, step, h.arena, h.batch.params, h.part);
    conv_dx(h.program, step, h.arena, h.packed, h.part);
}

void backward_convolution(const Here& h, const Step& step, float* gradients) {
    lay_out_delta(h, step);
    // In this order x is still in the cache when the batch norm before it asks for it.
    if (step.needs_dx) input_gradient(h, step);
    weight_gradient(h, step, gradients);
}

// Before anything of it is written.
void clear_delta_border(const Here& h, const Step& step) {
    const Slot& in = h.program.slots[step.input];
    if (step.needs_dx && !step.adds) clear_border(in, h.arena + in.delta, h.part);
}

// Whether the step before goes back from this one's δ.
bool is_taken_along(const Program& program, const Step& pool) {
    return &pool != program.steps && average_behind(program, *(&pool - 1)) == &pool;
}

void backward(const Here& h, const Step& step, float* gradients) {
    if (step.weight < 0 && !step.needs_dx && step.addend_back == Addend::kNone) return;
    clear_delta_border(h, step);
    const bool activated = step.activation != Activation::kNone;
    const Step* pool = average_behind(h.program, step);
    if (step.op == Op::kConv) {
        activate_and_sum_delta(h.program, step, h.arena, gradients, h.part, h.adds(), pool);
    } else if (activated) {
        activate_slot(h.program, step, h.arena, true, h.part);
    }
    // Pools clear whole maps, borders and all, which may be another thread's share of these.
    if (activated || pool || h.program.slots[step.input].reused) wait_for_others(h.part);
    switch (step.op) {
        case Op::kConv:
            return backward_convolution(h, step, gradients);
        case Op::kMaxPool:
            return max_pool_backward(h.program, step, h.arena, h.part);
        case Op::kAvgPool:
            if (is_taken_along(h.program, step)) return;
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
        case Op::kBatchNorm:  // goes back with all blocks, see batch.hpp
        case Op::kPadChannels:
            return;
        case Op::kAdd:
            return add_backward(h.program, step, h.arena, h.part);
    }
}

#include "batch.hpp"
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
