// Samples out of the lanes: of 16 vectors x[j], the vectors y[t] with y[t][j] = x[j][t].
//
// A square of W×W numbers is turned by log₂ W shuffles like that of cards: row i and row i + W/2, number by number in
// turn, become rows 2i and 2i + 1.
#pragma once

#include "piece.hpp"

#if defined(__AVX512F__)
inline piece first_half(piece a, piece b) {
    return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
inline piece second_half(piece a, piece b) {
    return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}
#elif defined(__AVX2__)
inline piece first_half(piece a, piece b) { return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11); }
inline piece second_half(piece a, piece b) { return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15); }
#else
inline piece first_half(piece a, piece b) { return __builtin_shufflevector(a, b, 0, 4, 1, 5); }
inline piece second_half(piece a, piece b) { return __builtin_shufflevector(a, b, 2, 6, 3, 7); }
#endif

// The x[j], of no alignment, lie `apart`; those from `count` on are taken as zero. The y[t] are written `step` apart.
inline void turn(const float* x, std::ptrdiff_t apart, int count, lanes* y, int step) {
    constexpr int kSide = kLanes / kParts;
    for (int from = 0; from < kParts; ++from) {
        for (int to = 0; to < kParts; ++to) {
            piece rows[kSide];
            for (int j = 0; j < kSide; ++j) {
                const int vector = to * kSide + j;
                rows[j] = piece{};
                if (vector < count) __builtin_memcpy(&rows[j], x + vector * apart + from * kSide, sizeof(piece));
            }
            for (int side = 1; side < kSide; side *= 2) {
                piece next[kSide];
                for (int i = 0; i < kSide / 2; ++i) {
                    next[2 * i] = first_half(rows[i], rows[i + kSide / 2]);
                    next[2 * i + 1] = second_half(rows[i], rows[i + kSide / 2]);
                }
                for (int i = 0; i < kSide; ++i) rows[i] = next[i];
            }
            for (int i = 0; i < kSide; ++i) *pieces(y + (from * kSide + i) * step, to) = rows[i];
        }
    }
}

inline void turn(const lanes* x, std::ptrdiff_t apart, int count, lanes* y, int step) {
    turn(reinterpret_cast<const float*>(x), apart * kLanes, count, y, step);
}
