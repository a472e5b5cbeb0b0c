// Writes past the caches: of what is larger than they are, and is read much later. The processor need not fetch first
// what it overwrites.
#pragma once

#if defined(__AVX512F__)
#include <immintrin.h>
#elif defined(__SSE__)
#include <xmmintrin.h>
#endif

#include "lanes.hpp"

// Four floats to an address that is a multiple of 16 bytes.
template <bool kPastCaches>
void write_four(float* to, const float* from) {
#if defined(__SSE__)
    if constexpr (kPastCaches) return _mm_stream_ps(to, _mm_loadu_ps(from));
#endif
    __builtin_memcpy(to, from, 4 * sizeof(float));
}

#if defined(__AVX512F__)
inline lanes low_halves(lanes a, lanes b) {
    return __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23);
}
inline lanes high_halves(lanes a, lanes b) {
    return __builtin_shufflevector(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
}
inline lanes even_fours(lanes a, lanes b) {
    return __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
}
inline lanes odd_fours(lanes a, lanes b) {
    return __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
}
#endif

// Fours of four vectors, the fours of one number side by side: vectors[i][4n + k] to to[n·apart + 4i + k]; past the
// caches, to addresses that are multiples of 64 bytes.
template <bool kPastCaches>
void write_fours(const lanes* vectors, float* to, std::ptrdiff_t apart) {
#if defined(__AVX512F__)
    const lanes low01 = low_halves(vectors[0], vectors[1]), high01 = high_halves(vectors[0], vectors[1]);
    const lanes low23 = low_halves(vectors[2], vectors[3]), high23 = high_halves(vectors[2], vectors[3]);
    const lanes lines[] = {even_fours(low01, low23), odd_fours(low01, low23), even_fours(high01, high23),
                           odd_fours(high01, high23)};
    for (int n = 0; n < 4; ++n) {
        if (kPastCaches) {
            _mm512_stream_ps(to + n * apart, (__m512)lines[n]);
        } else {
            _mm512_storeu_ps(to + n * apart, (__m512)lines[n]);
        }
    }
#else
    for (int n = 0; n < 4; ++n) {
        for (int i = 0; i < 4; ++i) {
            write_four<kPastCaches>(to + n * apart + 4 * i, reinterpret_cast<const float*>(vectors + i) + 4 * n);
        }
    }
#endif
}

// What was written past the caches is there for other threads from now on.
inline void finish_writes() {
#if defined(__SSE__)
    _mm_sfence();
#endif
}
