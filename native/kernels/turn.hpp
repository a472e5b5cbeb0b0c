// 16×16 numbers turned: what was in lane j of vector i comes to lane i of vector j.
#pragma once

#include "piece.hpp"

template <int...>
struct Numbers {};

#if defined(__AVX512F__)
using PieceLanes = Numbers<0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15>;
#elif defined(__AVX2__)
using PieceLanes = Numbers<0, 1, 2, 3, 4, 5, 6, 7>;
#else
using PieceLanes = Numbers<0, 1, 2, 3>;
#endif
inline constexpr int kPieceLanes = kLanes / kParts;

// The lanes of b whose number lacks the bit D change places with those of a that have it.
template <int D, int... L>
inline void exchange(piece& a, piece& b, Numbers<L...>) {
    const piece low = __builtin_shufflevector(a, b, ((L & D) ? kPieceLanes + L - D : L)...);
    const piece high = __builtin_shufflevector(a, b, ((L & D) ? kPieceLanes + L : L + D)...);
    a = low;
    b = high;
}

template <int D>
inline void exchange_all(piece* rows) {
    if constexpr (D < kPieceLanes) {
        for (int i = 0; i < kPieceLanes; ++i) {
            if (!(i & D)) exchange<D>(rows[i], rows[i + D], PieceLanes{});
        }
    }
}

// Vectors lie `from_step` and `to_step` apart.
inline void turn(const lanes* from, std::ptrdiff_t from_step, lanes* to, std::ptrdiff_t to_step) {
    for (int down = 0; down < kParts; ++down) {
        for (int across = 0; across < kParts; ++across) {
            piece rows[kPieceLanes];
            for (int i = 0; i < kPieceLanes; ++i) {
                rows[i] = *pieces(from + (down * kPieceLanes + i) * from_step, across);
            }
            exchange_all<1>(rows);
            exchange_all<2>(rows);
            exchange_all<4>(rows);
            exchange_all<8>(rows);
            for (int i = 0; i < kPieceLanes; ++i) {
                *pieces(to + (across * kPieceLanes + i) * to_step, down) = rows[i];
            }
        }
    }
}
