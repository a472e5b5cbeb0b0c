// Local response normalisation over neighbouring channels, with the samples in the lanes.
#pragma once

#include "choose.hpp"
#include "part.hpp"
#include "power.hpp"
#include "program.hpp"
#include "softmax.hpp"

// s^(−β). AlexNet's ¾ by roots, s^¼/s: less than 2.5 units in the last place from the true one.
inline lanes damping(lanes s, double beta) {
    if (beta == 0.0) return lanes{} + 1.0f;
    if (beta != 0.75) return power(s, -beta);
    const mask infinite = where_zero((mask)s ^ 0x7F800000);  // ∞/∞ is not 0, which it is to be
    return (lanes)((mask)(square_root(square_root(s)) / s) & ~infinite);
}

// The channels that channel c sees: `below` of them under it, `above` over it.
inline Range neighbours(int c, int below, int above, int channels) {
    return {c - below > 0 ? c - below : 0, c + above + 1 < channels ? c + above + 1 : channels};
}

// s_c = k + share·Σ x², y_c = x_c·s_c^(−β); s is noted for the way back.
inline void response_norm(const Program& program, const Step& step, lanes* arena, Part part) {
    const Slot &in = program.slots[step.input], &out = program.slots[step.output];
    const int pixels = out.height * out.width;
    for (const int pixel : part.of(pixels)) {
        const lanes* x = arena + in.value + pixel_of(in, pixel);
        lanes *y = arena + out.value + pixel_of(out, pixel), *s = arena + step.scratch + pixel;
        for (int c = 0; c < out.channels; ++c) {
            lanes sum = lanes{};
            for (const int i : neighbours(c, step.size / 2, (step.size - 1) / 2, out.channels)) {
                sum += x[i * in.plane()] * x[i * in.plane()];
            }
            const std::ptrdiff_t here = static_cast<std::ptrdiff_t>(c) * pixels;
            s[here] = step.k + step.share * sum;
            y[c * out.plane()] = x[c * in.plane()] * damping(s[here], step.beta);
        }
    }
}

// dx_c = dy_c·s_c^(−β) − 2·share·β·x_c·Σ dy_i·y_i/s_i over the channels i that see c
inline void response_norm_backward(const Program& program, const Step& step, lanes* arena, Part part) {
    const Slot &in = program.slots[step.input], &out = program.slots[step.output];
    const int pixels = out.height * out.width;
    const float twice = static_cast<float>(2.0 * step.beta) * step.share;
    for (const int pixel : part.of(pixels)) {
        const lanes *x = arena + in.value + pixel_of(in, pixel), *y = arena + out.value + pixel_of(out, pixel),
                    *dy = arena + out.delta + pixel_of(out, pixel);
        lanes *dx = arena + in.delta + pixel_of(in, pixel), *s = arena + step.scratch + pixel;
        for (int c = 0; c < out.channels; ++c) {
            const lanes delta = dy[c * out.plane()];
            lanes& sum = s[static_cast<std::ptrdiff_t>(c) * pixels];
            dx[c * in.plane()] = delta * damping(sum, step.beta);
            sum = delta * y[c * out.plane()] / sum;  // what its neighbours need is all that is needed from here on
        }
        for (int c = 0; c < out.channels; ++c) {
            lanes shared = lanes{};
            for (const int i : neighbours(c, (step.size - 1) / 2, step.size / 2, out.channels)) {
                shared += s[static_cast<std::ptrdiff_t>(i) * pixels];
            }
            dx[c * in.plane()] -= twice * x[c * in.plane()] * shared;
        }
    }
}
