// Winograd's transforms for tiles that end at the edge of the map: F(N, 3) with N = 1 … 4 outputs and the weights of
// F(4, 3), whose points 0, 1, −1, 2, −2, ∞ are taken in this order, ∞ always among them, as far as N + 2 products go.
//
// Without the points b the row of Bᵀ of a point a loses their factors (z − b) as a polynomial, and gets the numbers
// (a − b) instead, by which G has divided: Winograd 1980.
#pragma once

#include "winograd_transforms.hpp"

inline bool takes_point(int outputs, int point) { return point <= outputs || point == kPoints - 1; }

// Bᵀx of N + 2 inputs; points that are not taken get 0.
template <int N, typename V>
void transform_edge_input(const V* x, V* t) {
    if constexpr (N == kSide) return transform_input(x, 1, t);
    if constexpr (N == 3) {
        const V x0 = x[0], x1 = x[1], x2 = x[2], x3 = x[3], x4 = x[4];
        t[0] = 4.0f * x0 - 2.0f * x1 - 4.0f * x2 + 2.0f * x3;
        t[1] = 3.0f * (x3 - x2 - 2.0f * x1);
        t[2] = x3 - 3.0f * x2 + 2.0f * x1;
        t[3] = 4.0f * (x3 - x1);
        t[4] = V{};
        t[5] = x4 - 2.0f * x3 - x2 + 2.0f * x1;
    } else if constexpr (N == 2) {
        t[0] = 4.0f * (x[0] - x[2]);
        t[1] = -3.0f * (x[2] + x[1]);
        t[2] = -3.0f * (x[2] - x[1]);
        t[3] = t[4] = V{};
        t[5] = x[3] - x[1];
    } else if constexpr (N == 1) {
        t[0] = 4.0f * (x[0] - x[1]);
        t[1] = -6.0f * x[1];
        t[2] = t[3] = t[4] = V{};
        t[5] = x[2] - x[1];
    }
}

// Aᵀp: N outputs from the products that are taken, `step` apart.
template <int N, typename V>
void transform_edge_products(const V* p, std::ptrdiff_t step, V* y) {
    if constexpr (N == kSide) return transform_products(p, step, y);
    y[0] = p[0] + p[step];
    if constexpr (N == 2) {
        y[0] += p[2 * step];
        y[1] = p[step] - p[2 * step];
    } else if constexpr (N == 3) {
        const V sum = p[step] + p[2 * step];
        y[0] = p[0] + sum + p[3 * step];
        y[1] = p[step] - p[2 * step] + 2.0f * p[3 * step];
        y[2] = sum + 4.0f * p[3 * step];
    }
    y[N - 1] += p[5 * step];
}

// A dy of N values; points that are not taken get 0.
template <int N, typename V>
void transform_edge_back(const V* dy, V* v) {
    if constexpr (N == kSide) return transform_output_back(dy, 1, v);
    v[0] = dy[0];
    v[5] = dy[N - 1];
    if constexpr (N == 1) {
        v[1] = dy[0];
        v[2] = v[3] = v[4] = V{};
    } else if constexpr (N == 2) {
        v[1] = dy[0] + dy[1];
        v[2] = dy[0] - dy[1];
        v[3] = v[4] = V{};
    } else if constexpr (N == 3) {
        v[1] = dy[0] + dy[1] + dy[2];
        v[2] = dy[0] - dy[1] + dy[2];
        v[3] = dy[0] + 2.0f * dy[1] + 4.0f * dy[2];
        v[4] = V{};
    }
}

template <int R, typename Body>
void with_columns(int columns, Body body) {
    switch (columns) {
        case 1:
            return body.template operator()<R, 1>();
        case 2:
            return body.template operator()<R, 2>();
        case 3:
            return body.template operator()<R, 3>();
        default:
            return body.template operator()<R, 4>();
    }
}

// Call body<rows, columns>() for a tile of so many outputs.
template <typename Body>
void with_outputs(int rows, int columns, Body body) {
    switch (rows) {
        case 1:
            return with_columns<1>(columns, body);
        case 2:
            return with_columns<2>(columns, body);
        case 3:
            return with_columns<3>(columns, body);
        default:
            return with_columns<4>(columns, body);
    }
}
