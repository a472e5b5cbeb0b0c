// Checks without a framework: each one is counted, the first failed ones are printed, and the run goes on.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace pellucid {

void check(bool holds, std::string_view what);

// Every |got − want| is at most `tolerance` times the largest |want|; NaN where NaN is wanted. 0 asks for equality.
void check_close(std::span<const float> got, std::span<const double> want, double tolerance, const std::string& what);

bool same_bits(std::span<const float> a, std::span<const float> b);
void check_same(std::span<const float> got, std::span<const float> want, const std::string& what);

// Prints the closing line; returns the exit status.
int close_checks();

}  // namespace pellucid
