// Choices between lanes by their bits. GCC 12 takes a comparison of vectors wider than the registers apart, lane by
// lane with a jump for each; shifts and masks stay vectors on every instruction set.
#pragma once

#include <cstdint>

#include "lanes.hpp"

typedef std::uint32_t words __attribute__((vector_size(64), aligned(64)));

// All bits set where the highest bit of x is, none where it is not.
inline mask highest_bit(mask x) { return x >> 31; }

// All bits set where the bits are 0.
inline mask where_zero(mask bits) { return highest_bit((mask)((words)bits - 1u) & ~bits); }

// All bits set where a < b: the borrow of a − b.
inline mask where_below(words a, words b) { return highest_bit((mask)((~a & b) | ((~a | b) & (a - b)))); }

inline lanes magnitude(lanes x) { return (lanes)((mask)x & 0x7FFFFFFF); }

// The larger one; either of them where one is NaN.
inline lanes larger(lanes x, lanes y) {
    const mask smaller = highest_bit((mask)(x - y));
    return (lanes)(((mask)x & ~smaller) | ((mask)y & smaller));
}

// y, or 1 where y is +0: what is divided by where 0/0 is to be 0.
inline lanes or_one(lanes y) { return (lanes)((mask)y | (where_zero((mask)y) & 0x3F800000)); }
