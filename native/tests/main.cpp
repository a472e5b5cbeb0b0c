// All tests, or those named on the command line.
#include <cstdio>
#include <set>
#include <string>

#include "check.hpp"
#include "net.hpp"
#include "tests.hpp"

namespace {

struct Test {
    const char* name;
    void (*run)();
};

constexpr Test kTests[] = {
    {"conv", pellucid::test_conv},
    {"winograd", pellucid::test_winograd},
    {"winograd_transforms", pellucid::test_winograd_transforms},
    {"pooling", pellucid::test_pooling},
    {"activation", pellucid::test_activation},
    {"power", pellucid::test_power},
    {"lp_pool", pellucid::test_lp_pool},
    {"softmax", pellucid::test_softmax},
    {"response_norm", pellucid::test_response_norm},
    {"dropout", pellucid::test_dropout},
    {"augment", pellucid::test_augment},
    {"batch_norm", pellucid::test_batch_norm},
    {"joined", pellucid::test_joined},
    {"loss", pellucid::test_loss},
    {"networks", pellucid::test_networks},
    {"denormals", pellucid::test_denormals},
    {"threads", pellucid::test_threads},
    {"update", pellucid::test_update},
    {"measure", pellucid::test_measure},
    {"added", pellucid::test_added},
};

}  // namespace

int main(int count, char** arguments) {
    std::set<std::string> wanted(arguments + 1, arguments + count);
    std::printf("instruction sets:");
    for (const pellucid::Engine* engine : pellucid::engines()) std::printf(" %s", engine->name);
    std::printf("\n");
    const bool all = wanted.empty();
    for (const Test& test : kTests) {
        if (all || wanted.erase(test.name) > 0) test.run();
    }
    for (const std::string& name : wanted) pellucid::check(false, "there is a test called " + name);
    return pellucid::close_checks();
}
