// Correlation with the samples in the lanes: forward, dx and fully connected layers are all this one kernel.
//
//     out[f, l, m] = start[f] + Σ_c Σ_j Σ_k  weight[f, c, j, k] · x[c, row(l, j), column(m, k)]
//
// A tile holds TF filters × TM neighbouring pixels in registers: each load of a pixel serves TF filters, each broadcast
// of a weight serves TM pixels.
#pragma once

#include "piece.hpp"

// One tap along an axis: which of the filter's weights meets which input.
struct Tap {
    int weight, input;
};

struct Taps {
    const Tap* first;
    int count;
};

// `weight` is packed [c][j][k][TF]; `wplane` is its length for one c. Consecutive output pixels read inputs `step`
// apart. Sums begin with `start`, zero where it is null; or go on from what lies at their place.
template <int TF, int TM>
void correlate_tile(lanes* out, std::ptrdiff_t out_plane, int out_step, const lanes* x, std::ptrdiff_t plane,
                    std::ptrdiff_t pitch, int step, int channels, Taps rows, Taps columns, const float* weight,
                    std::ptrdiff_t wplane, const float* start, bool go_on) {
    for (int part = 0; part < kParts; ++part) {
        piece sum[TF][TM];
#pragma GCC unroll 16  // or GCC begins the sums in memory, and copies them there again at every loop
        for (int f = 0; f < TF; ++f) {
            for (int m = 0; m < TM; ++m) {
                sum[f][m] =
                    go_on ? *pieces(out + f * out_plane + m * out_step, part) : piece{} + (start ? start[f] : 0.0f);
            }
        }
        for (int c = 0; c < channels; ++c) {
            for (int j = 0; j < rows.count; ++j) {
                const lanes* x_row = x + c * plane + rows.first[j].input * pitch;
                const float* w_row = weight + c * wplane + rows.first[j].weight * TF;
                for (int k = 0; k < columns.count; ++k) {
                    const piece* pixel = pieces(x_row + columns.first[k].input, part);
                    const float* w = w_row + columns.first[k].weight * TF;
                    piece v[TM];
                    for (int m = 0; m < TM; ++m) v[m] = pixel[m * step * kParts];
                    for (int f = 0; f < TF; ++f) {
                        for (int m = 0; m < TM; ++m) sum[f][m] += w[f] * v[m];
                    }
                }
            }
        }
        for (int f = 0; f < TF; ++f) {
            for (int m = 0; m < TM; ++m) *pieces(out + f * out_plane + m * out_step, part) = sum[f][m];
        }
    }
}
