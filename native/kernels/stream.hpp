// Writes past the caches: of what is larger than they are, and is read much later. The processor need not fetch first
// what it overwrites.
#pragma once

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

// Four floats to an address that is a multiple of 16 bytes.
template <bool kPastCaches>
void write_four(float* to, const float* from) {
#if defined(__SSE__)
    if constexpr (kPastCaches) return _mm_stream_ps(to, _mm_loadu_ps(from));
#endif
    __builtin_memcpy(to, from, 4 * sizeof(float));
}

// What was written past the caches is there for other threads from now on.
inline void finish_writes() {
#if defined(__SSE__)
    _mm_sfence();
#endif
}
