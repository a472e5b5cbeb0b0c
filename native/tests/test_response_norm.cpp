#include "guarded.hpp"
#include "tests.hpp"

namespace pellucid {

void test_response_norm() {
    Random random(25);
    for (const int channels : {1, 2, 7}) {
        for (const int size : {1, 2, 5, 16}) {
            for (const double beta : {0.75, 0.0, 1.5, -0.5}) {
                Net net(2, 3, 4);
                net.conv(channels, {}).response_norm(size, 0.7f, beta, 0.5f).conv(2, {{1}, {3, 1, 1, 1, 1}}).flatten();
                const std::string what = "response norm, " + std::to_string(channels) + " channels, size " +
                                         std::to_string(size) + ", beta " + std::to_string(beta);
                check_against_naive(what, net, real_numbers(net, 17, random), 2e-6);
            }
        }
    }
}

}  // namespace pellucid
