// Softmax over the channels, at every pixel, with the samples in the lanes.
#pragma once

#include "activation.hpp"
#include "choose.hpp"
#include "part.hpp"
#include "program.hpp"

// Where pixel number i of a map lies in its plane.
inline std::ptrdiff_t pixel_of(const Slot& slot, int i) {
    return static_cast<std::ptrdiff_t>(i / slot.width) * slot.pitch() + slot.border + i % slot.width;
}

// y_c = e^(x_c − max x) / Σ e^(x_k − max x)
inline void softmax(const Program& program, const Step& step, lanes* arena, Part part) {
    const Slot &in = program.slots[step.input], &out = program.slots[step.output];
    for (const int pixel : part.of(out.height * out.width)) {
        const lanes* x = arena + in.value + pixel_of(in, pixel);
        lanes* y = arena + out.value + pixel_of(out, pixel);
        lanes most = x[0], sum = lanes{};
        for (int c = 1; c < out.channels; ++c) most = larger(x[c * in.plane()], most);
        for (int c = 0; c < out.channels; ++c) {
            const lanes e = exp_negative<lanes>(x[c * in.plane()] - most);
            y[c * out.plane()] = e;
            sum += e;
        }
        for (int c = 0; c < out.channels; ++c) y[c * out.plane()] /= sum;
    }
}

// dx_c = y_c·(dy_c − Σ dy_k·y_k)
inline void softmax_backward(const Program& program, const Step& step, lanes* arena, Part part) {
    const Slot &in = program.slots[step.input], &out = program.slots[step.output];
    for (const int pixel : part.of(out.height * out.width)) {
        lanes* dx = arena + in.delta + pixel_of(in, pixel);
        const lanes *y = arena + out.value + pixel_of(out, pixel), *dy = arena + out.delta + pixel_of(out, pixel);
        lanes sum = lanes{};
        for (int c = 0; c < out.channels; ++c) sum += dy[c * out.plane()] * y[c * out.plane()];
        for (int c = 0; c < out.channels; ++c) {
            dx[c * in.plane()] = y[c * out.plane()] * (dy[c * out.plane()] - sum);
        }
    }
}
