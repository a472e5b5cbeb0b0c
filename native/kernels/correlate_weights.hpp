// The weight gradient of a correlation.
//
//     dweight[f, c, j, k] = Σ_samples Σ_l Σ_m  dy[f, l, m] · x[c, S·l + D·j − P, S·m + D·k − P]
//
// A tile holds TF filters × TK taps in registers while it walks over all pixels; the 16 lanes are summed once, at the
// end.
#pragma once

#include "lanes.hpp"

inline float sum_lanes(lanes v) {
    // A fixed tree: 16 → 8 → 4 → 2 → 1.
    float part[kLanes];
    for (int i = 0; i < kLanes; ++i) part[i] = v[i];
    for (int width = kLanes / 2; width > 0; width /= 2) {
        for (int i = 0; i < width; ++i) part[i] += part[i + width];
    }
    return part[0];
}

// `taps` inputs lie `tap_step` apart; consecutive output pixels read inputs `step` apart, rows `x_row` apart.
template <int TF, int TK>
void correlate_weights_tile(float* dweight, std::ptrdiff_t f_stride, std::ptrdiff_t k_stride, const lanes* dy,
                            std::ptrdiff_t dy_plane, std::ptrdiff_t dy_pitch, const lanes* x, std::ptrdiff_t x_row,
                            std::ptrdiff_t tap_step, int step, int height, int width) {
    lanes sum[TF][TK];
    for (int f = 0; f < TF; ++f) {
        for (int k = 0; k < TK; ++k) sum[f][k] = lanes{};
    }
    for (int l = 0; l < height; ++l) {
        const lanes* d = dy + l * dy_pitch;
        const lanes* pixel = x + l * x_row;
        for (int m = 0; m < width; ++m) {
            lanes v[TK];
            for (int k = 0; k < TK; ++k) v[k] = pixel[m * step + k * tap_step];
            for (int f = 0; f < TF; ++f) {
                const lanes delta = d[f * dy_plane + m];
                for (int k = 0; k < TK; ++k) sum[f][k] += delta * v[k];
            }
        }
    }
    for (int f = 0; f < TF; ++f) {
        for (int k = 0; k < TK; ++k) dweight[f * f_stride + k * k_stride] = sum_lanes(sum[f][k]);
    }
}
