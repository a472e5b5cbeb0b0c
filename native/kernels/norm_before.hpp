// A batch norm that goes into the convolution behind it: a convolution by points transforms its inputs tile by tile,
// and normalizes and activates them on the way. So y is never kept, forward or for the way back,
//
//     y = f((x − mean)·γ/√(var + ε) + β)
//
// whose x is there anyway: the way back of the batch norm reads it. Each number is what `normalize` would have written.
#pragma once

#include "activation.hpp"

// A batch norm with one statistic a map, or none.
struct Normalizer {
    const Step* step = nullptr;  // null: x is y
    const float* params = nullptr;
    const Norm* norms = nullptr;

    // y of some pixels of map c.
    PELLUCID_INLINE void make(int c, const lanes* x, int count, lanes* y) const {
        const Norm& norm = norms[step->norm + c];
        const float mean = norm.mean, scale = norm.inverse * params[step->weight + c], beta = params[step->bias + c];
        if (step->activation != Activation::kReLU) {
            for (int v = 0; v < count; ++v) y[v] = (x[v] - mean) * scale + beta;
            return activate(step->activation, step->alpha, y, count);
        }
        for (int i = 0; i < count * kParts; ++i) {
            const piece normal = (pieces(x, 0)[i] - mean) * scale + beta;
            pieces(y, 0)[i] = select<piece>(normal < 0.0f, piece{}, normal);
        }
    }

    // δ of some pixels of map c through the activation, in place.
    void activate_back(int c, const lanes* x, lanes* dy, int count) const {
        if (step->activation == Activation::kNone) return;
        lanes y[kLanes];
        for (int v = 0; v < count; v += kLanes) {
            const int some = at_most(kLanes, count - v);
            make(c, x + v, some, y);
            activate_backward(step->activation, step->alpha, y, dy + v, some);
        }
    }
};

// The batch norm that has gone into a convolution, one of the program's steps; null where the convolution reads its
// input as it is. check.cpp has seen to it that there is one to be found.
inline const Step* norm_before(const Program& program, const Step& step) {
    if (program.slots[step.input].value >= 0) return nullptr;
    const Step* norm = &step;
    while (norm->output != step.input) --norm;
    return norm;
}

// What a convolution by points reads: maps in memory, and the batch norm that is still to be applied to them.
struct Source {
    Normalizer norm;
    const Slot& maps;

    Source(const Program& program, const Step& step, const float* params, const Norm* norms)
        : norm{norm_before(program, step), params, norms},
          maps(program.slots[norm.step ? norm.step->input : step.input]) {}
};
