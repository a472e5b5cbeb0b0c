// Checks without a framework: each one is counted, a failed one is printed, and the run goes on.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace pellucid {

void check(bool holds, std::string_view what);

// Every |got − want| is at most `tolerance` times the largest |want|; NaN where NaN is wanted. 0 asks for equality.
void check_close(std::span<const float> got, std::span<const double> want, double tolerance, const std::string& what);

// The same bits.
void check_same(std::span<const float> got, std::span<const float> want, const std::string& what);

// Prints the closing line; returns the exit status.
int close_checks();

}  // namespace pellucid
