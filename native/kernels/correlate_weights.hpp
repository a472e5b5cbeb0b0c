// The weight gradient of a correlation.
//
//     dweight[f, c, j, k] = Σ_samples Σ_l Σ_m  dy[f, l, m] · x[c, S·l + D·j − P, S·m + D·k − P]
//
// A tile holds TF filters × TK taps in registers while it walks over all pixels; the 16 lanes are summed once, at the
// end.
#pragma once

#include "piece.hpp"
#include "sum_lanes.hpp"

// `taps` inputs lie `tap_step` apart; consecutive output pixels read inputs `step` apart, rows `x_row` apart.
// Sums are written, or added to what is there.
template <int TF, int TK>
void correlate_weights_tile(float* dweight, std::ptrdiff_t f_stride, std::ptrdiff_t k_stride, const lanes* dy,
                            std::ptrdiff_t dy_plane, std::ptrdiff_t dy_pitch, const lanes* x, std::ptrdiff_t x_row,
                            std::ptrdiff_t tap_step, int step, int height, int width, bool add) {
    lanes sum[TF][TK];
    for (int part = 0; part < kParts; ++part) {
        piece s[TF][TK];
        for (int f = 0; f < TF; ++f) {
            for (int k = 0; k < TK; ++k) s[f][k] = piece{};
        }
        for (int l = 0; l < height; ++l) {
            const piece* d = pieces(dy + l * dy_pitch, part);
            const piece* pixel = pieces(x + l * x_row, part);
            for (int m = 0; m < width; ++m) {
                piece v[TK];
                for (int k = 0; k < TK; ++k) v[k] = pixel[(m * step + k * tap_step) * kParts];
                for (int f = 0; f < TF; ++f) {
                    piece delta = d[(f * dy_plane + m) * kParts];
                    keep_in_register(delta);
                    for (int k = 0; k < TK; ++k) s[f][k] += delta * v[k];
                }
            }
        }
        for (int f = 0; f < TF; ++f) {
            for (int k = 0; k < TK; ++k) *pieces(&sum[f][k], part) = s[f][k];
        }
    }
    const lanes* all = &sum[0][0];
    for (int first = 0; first < TF * TK; first += kLanes) {
        lanes addends[kLanes];
        for (int i = 0; i < kLanes; ++i) addends[i] = first + i < TF * TK ? all[first + i] : lanes{};
        const lanes totals = sum_lanes_of_16(addends);
        for (int i = first; i < first + kLanes && i < TF * TK; ++i) {
            float& to = dweight[i / TK * f_stride + i % TK * k_stride];
            to = add ? to + totals[i - first] : totals[i - first];
        }
    }
}
