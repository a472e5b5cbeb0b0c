// The part of a vector that one register holds. Where `lanes` are several registers, GCC 12 keeps sums of them in
// memory and takes their comparisons apart lane by lane; loops that must be fast run over one part after the other
// instead.
#pragma once

#include "lanes.hpp"

#if defined(__AVX512F__)
using piece = lanes;
#elif defined(__AVX2__)
typedef float piece __attribute__((vector_size(32), may_alias));
#else
typedef float piece __attribute__((vector_size(16), may_alias));
#endif

inline constexpr int kParts = sizeof(lanes) / sizeof(piece);

// Part number `part` of vector 0; that of vector i lies i·kParts further.
inline piece* pieces(lanes* v, int part) { return reinterpret_cast<piece*>(v) + part; }
inline const piece* pieces(const lanes* v, int part) { return reinterpret_cast<const piece*>(v) + part; }

// Whole numbers of the width of a vector V, as its comparisons give them.
template <typename V>
using Mask = decltype(V{} < V{});

#if defined(__AVX512F__)
using PieceMask = mask;
#else
typedef int PieceMask __attribute__((vector_size(sizeof(piece)), may_alias));
#endif

inline PieceMask* mask_pieces(mask* v) { return reinterpret_cast<PieceMask*>(v); }
inline const PieceMask* mask_pieces(const mask* v) { return reinterpret_cast<const PieceMask*>(v); }

// GCC would load a number anew for every multiply-add that reads it; loads are what such loops wait for.
inline void keep_in_register([[maybe_unused]] piece& v) {
#if defined(__AVX512F__)
    asm("" : "+v"(v));
#endif
}

// Of functions that take arrays which are to stay in registers.
#define PELLUCID_INLINE [[gnu::always_inline]] inline

// Before a loop over an array that is to stay in registers: GCC leaves some loops as they are, and the array in memory.
#if defined(__clang__)
#define PELLUCID_UNROLL _Pragma("unroll")
#else
#define PELLUCID_UNROLL _Pragma("GCC unroll 16")
#endif
