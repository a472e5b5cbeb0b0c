// Matrix products of numbers with vectors, in register tiles: what convolutions of one tap and linear layers are.
//
//     forward, dx    out[r, m]  = start + Σ_k  w[r, k] · panel[k][m]            vectors of 16 samples
//     dweight        dw[r, m]  += Σ_k  dy[r, k] · panel[k][m]                   vectors of 16 channels
//
// A panel lies in one piece, so that it stays in the cache whatever the distance of its channels in the maps.
#pragma once

#include "piece.hpp"

#if defined(__AVX512F__)
inline constexpr int kProductVectors = 4;
#else
inline constexpr int kProductVectors = 2;
#endif
inline constexpr int kProductRows = 6;
inline constexpr int kProductLone = 12;    // rows over one vector, to keep enough sums in flight
inline constexpr int kProductStreams = 6;  // the same where each row of weights is a stream from memory

// A matrix of numbers w[r, k]: as it lies row by row, or turned, where consecutive k lie `stride` apart.
struct Factors {
    const float* first;
    std::ptrdiff_t stride;
    bool turned;

    const float* at(int r, int k) const { return first + (turned ? k * stride + r : r * stride + k); }
};

// What sums begin with: numbers for each row, zero where there are none, or what lies at their place.
struct Start {
    const float* rows;
    bool go_on;
};

using ProductTile = void (*)(lanes*, std::ptrdiff_t, const int*, const float*, std::ptrdiff_t, const lanes*, int,
                             Start);
using GradientTile = void (*)(float*, std::ptrdiff_t, int, bool, const float*, std::ptrdiff_t, std::ptrdiff_t, int, int,
                              const lanes*);

// Where weights are turned, the tile beside this one is fetched ahead: its rows are too short for the processor to
// see them coming.
template <bool kTurned, int TR, int TM>
void product_tile(lanes* out, std::ptrdiff_t plane, const int* at, const float* w, std::ptrdiff_t stride,
                  const lanes* panel, int depth, Start start) {
    for (int part = 0; part < kParts; ++part) {
        piece sum[TR][TM];
        for (int r = 0; r < TR; ++r) {
            for (int m = 0; m < TM; ++m) {
                if (part == 0) __builtin_prefetch(out + (TR + r) * plane + at[m], 1);
                sum[r][m] = start.go_on ? *pieces(out + r * plane + at[m], part)
                                        : piece{} + (start.rows ? start.rows[r] : 0.0f);
            }
        }
        const piece* pixel = pieces(panel, part);
        for (int k = 0; k < depth; ++k, pixel += TM * kParts) {
            piece v[TM];
            for (int m = 0; m < TM; ++m) v[m] = pixel[m * kParts];
            if constexpr (kTurned) {
                if (part == 0) __builtin_prefetch(w + k * stride + 32);
            }
            for (int r = 0; r < TR; ++r) {
                const float weight = kTurned ? w[k * stride + r] : w[r * stride + k];
                for (int m = 0; m < TM; ++m) sum[r][m] += weight * v[m];
            }
        }
        for (int r = 0; r < TR; ++r) {
            for (int m = 0; m < TM; ++m) *pieces(out + r * plane + at[m], part) = sum[r][m];
        }
    }
}

template <bool kTurned, int TR>
ProductTile product_tile_of(int vectors) {
    if constexpr (TR <= kProductRows) {
        switch (vectors) {
            case 2:
                return product_tile<kTurned, TR, 2>;
#if defined(__AVX512F__)
            case 3:
                return product_tile<kTurned, TR, 3>;
            case 4:
                return product_tile<kTurned, TR, 4>;
#endif
            default:
                break;
        }
    }
    return product_tile<kTurned, TR, 1>;
}

template <bool kTurned, int TR = kProductLone>
ProductTile find_product_tile(int rows, int vectors) {
    if constexpr (TR > 1) {
        if (rows < TR) return find_product_tile<kTurned, TR - 1>(rows, vectors);
    }
    return product_tile_of<kTurned, TR>(vectors);
}

// dy is read in `lines` of `length` numbers, `pitch` apart; the panel has room for kProductVectors vectors a number.
// Of the last vector as many numbers are written as there are `features`.
template <int TR, int TM>
void gradient_tile(float* dw, std::ptrdiff_t stride, int features, bool add, const float* dy, std::ptrdiff_t plane,
                   std::ptrdiff_t pitch, int lines, int length, const lanes* panel) {
    for (int part = 0; part < kParts; ++part) {
        piece sum[TR][TM];
        for (int r = 0; r < TR; ++r) {
            for (int m = 0; m < TM; ++m) {
                sum[r][m] = piece{};
                if (part == 0) __builtin_prefetch(dw + r * stride + m * kLanes, 1);
            }
        }
        const piece* vector = pieces(panel, part);
        for (int line = 0; line < lines; ++line) {
            for (int p = 0; p < length; p += kLanes) {
                const float* delta = dy + line * pitch + p;
                for (int r = 0; r < TR; ++r) __builtin_prefetch(delta + (TR + r) * plane);
                for (int t = 0; t < kLanes; ++t, vector += kProductVectors * kParts) {
                    piece v[TM];
                    for (int m = 0; m < TM; ++m) v[m] = vector[m * kParts];
                    for (int r = 0; r < TR; ++r) {
                        for (int m = 0; m < TM; ++m) sum[r][m] += delta[r * plane + t] * v[m];
                    }
                }
            }
        }
        constexpr int kSide = kLanes / kParts;
        for (int r = 0; r < TR; ++r) {
            for (int m = 0; m < TM; ++m) {
                const int first = m * kLanes + part * kSide;
                float* to = dw + r * stride + first;
                if (first + kSide <= features) {
                    piece there = piece{};
                    if (add) __builtin_memcpy(&there, to, sizeof(piece));
                    there += sum[r][m];
                    __builtin_memcpy(to, &there, sizeof(piece));
                } else {
                    for (int i = 0; first + i < features; ++i) to[i] = (add ? to[i] : 0.0f) + sum[r][m][i];
                }
            }
        }
    }
}

template <int TR>
GradientTile gradient_tile_of(int vectors) {
    switch (vectors) {
#if defined(__AVX512F__)
        case 4:
            return gradient_tile<TR, 4>;
        case 3:
            return gradient_tile<TR, 3>;
#endif
        case 2:
            return gradient_tile<TR, 2>;
        default:
            return gradient_tile<TR, 1>;
    }
}

template <int TR = kProductRows>
GradientTile find_gradient_tile(int rows, int vectors) {
    if constexpr (TR > 1) {
        if (rows < TR) return find_gradient_tile<TR - 1>(rows, vectors);
    }
    return gradient_tile_of<TR>(vectors);
}
