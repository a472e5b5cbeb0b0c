// Winograd's transforms of a whole tile of R×C outputs. The 36 numbers between the transform along one axis and that
// along the other are more than there are registers; those of two rows or columns, which share their sums, are not. So
// a tile is read two or three times, and nothing is written but what it becomes: stores are what processors do least
// of.
#pragma once

#include "piece.hpp"
#include "winograd_edges.hpp"

// The rows I and J of X = Bᵀx B, its 36 numbers `step` apart.
template <int R, int C, int I, int J>
void transform_rows_of_inputs(const lanes* const* rows, int part, lanes* x, std::ptrdiff_t step) {
    piece half[2][C + 2];
    PELLUCID_UNROLL
    for (int k = 0; k < C + 2; ++k) {
        piece column[R + 2], t[kPoints];
        PELLUCID_UNROLL
        for (int r = 0; r < R + 2; ++r) column[r] = *pieces(rows[r] + k, part);
        transform_edge_input<R>(column, t);
        half[0][k] = t[I];
        half[1][k] = t[J];
    }
    PELLUCID_UNROLL
    for (int i = 0; i < 2; ++i) {
        piece t[kPoints];
        transform_edge_input<C>(half[i], t);
        PELLUCID_UNROLL
        for (int j = 0; j < kPoints; ++j) *pieces(x + ((i == 0 ? I : J) * kPoints + j) * step, part) = t[j];
    }
}

// The columns K and K + 2 of y = bias + AᵀM A, M's 36 numbers `step` apart; those of points that are not taken are not
// read.
template <int R, int C, int K, bool kAdds>
void transform_columns_of_products(const lanes* m, std::ptrdiff_t step, float bias, int part, lanes* y, int pitch) {
    constexpr int kColumns = K + 2 < C ? 2 : 1;
    piece half[kColumns][kPoints] = {};
    PELLUCID_UNROLL
    for (int i = 0; i < kPoints; ++i) {
        if (!takes_point(R, i)) continue;
        piece p[kPoints] = {}, row[C];
        PELLUCID_UNROLL
        for (int j = 0; j < kPoints; ++j) {
            if (takes_point(C, j)) p[j] = *pieces(m + (i * kPoints + j) * step, part);
        }
        transform_edge_products<C>(p, 1, row);
        PELLUCID_UNROLL
        for (int k = 0; k < kColumns; ++k) half[k][i] = row[K + 2 * k];
    }
    PELLUCID_UNROLL
    for (int k = 0; k < kColumns; ++k) {
        piece column[R];
        transform_edge_products<R>(half[k], 1, column);
        PELLUCID_UNROLL
        for (int l = 0; l < R; ++l) {
            piece& to = *pieces(y + l * pitch + K + 2 * k, part);
            to = kAdds ? to + (column[l] + bias) : column[l] + bias;
        }
    }
}

template <int R, int C, bool kAdds>
void transform_products_of_tile(const lanes* m, std::ptrdiff_t step, float bias, lanes* y, int pitch) {
    for (int part = 0; part < kParts; ++part) {
        transform_columns_of_products<R, C, 0, kAdds>(m, step, bias, part, y, pitch);
        if constexpr (C > 1) transform_columns_of_products<R, C, 1, kAdds>(m, step, bias, part, y, pitch);
    }
}

// The rows I and J of V = A dy Aᵀ, dy's R·C numbers in a row.
template <int R, int C, int I, int J>
void transform_rows_of_delta(const lanes* dy, int part, lanes* v, std::ptrdiff_t step) {
    piece half[2][C];
    PELLUCID_UNROLL
    for (int k = 0; k < C; ++k) {
        piece column[R], t[kPoints];
        PELLUCID_UNROLL
        for (int l = 0; l < R; ++l) column[l] = *pieces(dy + l * C + k, part);
        transform_edge_back<R>(column, t);
        half[0][k] = t[I];
        half[1][k] = t[J];
    }
    PELLUCID_UNROLL
    for (int i = 0; i < 2; ++i) {
        piece t[kPoints];
        transform_edge_back<C>(half[i], t);
        PELLUCID_UNROLL
        for (int j = 0; j < kPoints; ++j) *pieces(v + ((i == 0 ? I : J) * kPoints + j) * step, part) = t[j];
    }
}
