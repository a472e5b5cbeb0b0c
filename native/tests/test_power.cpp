#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "check.hpp"
#include "program.hpp"
#include "tests.hpp"

namespace pellucid {
namespace {

#include "kernels/power.hpp"
#include "kernels/response_norm.hpp"

constexpr float kSmallest = std::numeric_limits<float>::min(), kInfinity = std::numeric_limits<float>::infinity();

// Error in units in the last place of the float nearest to the true value; 0 where both are out of range alike.
double ulps(float got, double want) {
    if (want > std::numeric_limits<float>::max() || want < kSmallest) {
        return want < kSmallest ? (got <= kSmallest ? 0.0 : 1e9) : (got == kInfinity ? 0.0 : 1e9);
    }
    const float near = static_cast<float>(want);
    return std::fabs(got - want) / (std::nextafter(near, kInfinity) - near);
}

// visit(x) with 16 numbers at a time: every factor of about 2^(1/4096), and of 1 + 2⁻²³ near 1, over all of float.
void sweep(auto&& visit) {
    const auto run = [&](float from, float to, float factor) {
        lanes x;
        while (from < to) {
            for (int t = 0; t < kLanes; ++t, from *= factor) x[t] = std::min(from, to);
            visit(x);
        }
    };
    run(kSmallest, std::numeric_limits<float>::max(), 1.000169f);
    run(0.99f, 1.01f, 1.0000002f);
}

template <typename Function>
double worst(Function&& function, double exponent) {
    double found = 0.0;
    sweep([&](lanes x) {
        const lanes y = function(x);
        for (int t = 0; t < kLanes; ++t) {
            found = std::fmax(found, ulps(y[t], std::pow(static_cast<double>(x[t]), exponent)));
        }
    });
    return found;
}

}  // namespace

void test_power() {
    for (const double a : {0.01, 0.25, 0.5, 1.0, 1.7, 2.0, 3.0, 4.7, 99.0, -0.3, -0.75, -1.0, -2.5}) {
        const double error = worst([a](lanes x) { return power(x, a); }, a);
        check(error < 0.51, "x^" + std::to_string(a) + " is off by " + std::to_string(error) + " ulp");
    }
    const double error = worst([](lanes x) { return damping(x, 0.75); }, -0.75);
    check(error < 2.5, "s^(-3/4) is off by " + std::to_string(error) + " ulp");
    lanes ends = lanes{} + 1.0f;
    ends[0] = 0.0f;
    ends[1] = kInfinity;
    ends[2] = NAN;
    const lanes rises = power(ends, 0.3), falls = power(ends, -0.3), roots = damping(ends, 0.75);
    check(rises[0] == 0.0f && rises[1] == kInfinity && std::isnan(rises[2]) && rises[3] == 1.0f, "ends of x^0.3");
    check(falls[0] == kInfinity && falls[1] == 0.0f && std::isnan(falls[2]) && falls[3] == 1.0f, "ends of x^-0.3");
    check(roots[1] == 0.0f && std::isnan(roots[2]) && roots[3] == 1.0f, "ends of s^(-3/4)");
}

}  // namespace pellucid
