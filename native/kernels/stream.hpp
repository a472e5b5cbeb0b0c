// Writes past the caches: of what is larger than they are, and is read much later. The processor need not fetch first
// what it overwrites.
#pragma once

#if defined(__AVX512F__)
#include <immintrin.h>
#elif defined(__SSE__)
#include <xmmintrin.h>
#endif

#include "lanes.hpp"

template <bool kPastCaches>
void write(lanes* to, const lanes& v) {
#if defined(__AVX512F__)
    if constexpr (kPastCaches) return _mm512_stream_ps(reinterpret_cast<float*>(to), (__m512)v);
#elif defined(__SSE__)
    if constexpr (kPastCaches) {
        const float* numbers = reinterpret_cast<const float*>(&v);
        for (int i = 0; i < kLanes; i += 4) _mm_stream_ps(reinterpret_cast<float*>(to) + i, _mm_loadu_ps(numbers + i));
        return;
    }
#endif
    *to = v;
}

// What was written past the caches is there for other threads from now on.
inline void finish_writes() {
#if defined(__SSE__)
    _mm_sfence();
#endif
}
