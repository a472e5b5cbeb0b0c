// Sums over the 16 lanes, each in the fixed tree 16 → 8 → 4 → 2 → 1.
#pragma once

#include "lanes.hpp"

inline float sum_lanes(lanes v) {
    float part[kLanes];
    for (int i = 0; i < kLanes; ++i) part[i] = v[i];
    for (int width = kLanes / 2; width > 0; width /= 2) {
        for (int i = 0; i < width; ++i) part[i] += part[i + width];
    }
    return part[0];
}

// The sums of 16 vectors in one: at every level of the tree, two vectors share the room that halving leaves free.
inline lanes sum_lanes_of_16(const lanes* v) {
    lanes a[8], b[4], c[2];
    for (int i = 0; i < 8; ++i) {
        const lanes &p = v[2 * i], &q = v[2 * i + 1];
        a[i] = __builtin_shufflevector(p, q, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
               __builtin_shufflevector(p, q, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
    }
    for (int i = 0; i < 4; ++i) {
        const lanes &p = a[2 * i], &q = a[2 * i + 1];
        b[i] = __builtin_shufflevector(p, q, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
               __builtin_shufflevector(p, q, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
    }
    for (int i = 0; i < 2; ++i) {
        const lanes &p = b[2 * i], &q = b[2 * i + 1];
        c[i] = __builtin_shufflevector(p, q, 0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29) +
               __builtin_shufflevector(p, q, 2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31);
    }
    return __builtin_shufflevector(c[0], c[1], 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30) +
           __builtin_shufflevector(c[0], c[1], 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
}
