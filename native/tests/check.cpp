#include "check.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>

namespace pellucid {
namespace {

constexpr int kMostPrinted = 20;

int passed = 0, failed = 0;

}  // namespace

void check(bool holds, std::string_view what) {
    ++(holds ? passed : failed);
    if (!holds && failed <= kMostPrinted) std::printf("FAILED %.*s\n", static_cast<int>(what.size()), what.data());
}

void check_close(std::span<const float> got, std::span<const double> want, double tolerance, const std::string& what) {
    if (got.size() != want.size()) return check(false, what + ": not as many numbers as expected");
    double largest = 0.0;
    for (const double w : want) largest = std::isnan(w) ? largest : std::max(largest, std::fabs(w));
    for (std::size_t i = 0; i < want.size(); ++i) {
        const bool equal =
            std::isnan(want[i]) ? std::isnan(got[i]) : std::fabs(got[i] - want[i]) <= tolerance * largest;
        if (!equal) {
            return check(false, what + ": number " + std::to_string(i) + " is " + std::to_string(got[i]) +
                                    ", expected " + std::to_string(want[i]));
        }
    }
    check(true, what);
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
    return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size_bytes()) == 0);
}

void check_same(std::span<const float> got, std::span<const float> want, const std::string& what) {
    check(same_bits(got, want), what);
}

int close_checks() {
    std::printf("%d passed, %d failed\n", passed, failed);
    return failed == 0 ? 0 : 1;
}

}  // namespace pellucid
