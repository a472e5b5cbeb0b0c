#include <cstdio>

#include "check.hpp"
#include "net.hpp"
#include "tests.hpp"

int main() {
    using namespace pellucid;
    std::printf("instruction sets:");
    for (const Engine* engine : engines()) std::printf(" %s", engine->name);
    std::printf("\n");
    test_conv();
    test_winograd();
    test_pooling();
    test_activation();
    test_power();
    test_lp_pool();
    test_softmax();
    test_response_norm();
    test_dropout();
    test_augment();
    test_batch_norm();
    test_joined();
    test_loss();
    test_networks();
    test_denormals();
    test_threads();
    test_update();
    test_measure();
    test_added();
    return close_checks();
}
