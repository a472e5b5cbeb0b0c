#pragma once

// One lane is one sample: a value of the network for 16 samples is one vector, and every kernel is the scalar formula
// with `float` replaced by `lanes`. GCC and Clang compile it to one AVX-512, two AVX2 or four NEON registers.

namespace pellucid {

inline constexpr int kLanes = 16;

// How many vectors hold so many numbers or samples, the last one perhaps in part. Static, like all code in headers that
// several instruction sets share: the linker must not take one set's copy for another's.
template <typename Count>
static constexpr Count vectors_of(Count count) {
    return (count + kLanes - 1) / kLanes;
}

// Aligned by hand: without AVX-512 the compiler would align them less, and the copies for each set must agree.
typedef float lanes __attribute__((vector_size(64), aligned(64)));
typedef int mask __attribute__((vector_size(64), aligned(64)));

static_assert(alignof(lanes) == 64 && sizeof(lanes) == sizeof(float) * 16);

}  // namespace pellucid
