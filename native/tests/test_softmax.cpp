#include <cmath>

#include "check.hpp"
#include "guarded.hpp"
#include "tests.hpp"

namespace pellucid {
namespace {

void test_nan() {
    for (const std::size_t place : {0, 1, 2}) {
        Net net(3, 1, 1);
        net.softmax();
        Random random(22);
        Data data = whole_numbers(net, 2, random);
        data.mean.clear();
        data.rows = {0, 1};
        data.images[place] = NAN;
        for (const Engine* engine : engines()) {
            Result result;
            Batch batch = make_batch(net, data, 1, Task::kPredict, result);
            make_runner(net, *engine).run(batch);
            bool all = true, none = true;
            for (std::size_t c = 0; c < 3; ++c) {
                all = all && std::isnan(result.outputs[c]);
                none = none && !std::isnan(result.outputs[3 + c]);
            }
            check(all && none, std::string("softmax: NaN spoils its own sample alone, ") + engine->name);
        }
    }
}

// Far beyond what e^x can hold.
void test_large() {
    Net net(3, 1, 1);
    net.softmax();
    Random random(23);
    Data data = whole_numbers(net, 1, random);
    data.mean.clear();
    data.rows = {0};
    data.images = {1e30f, 1e30f, -1e30f};
    for (const Engine* engine : engines()) {
        Result result;
        Batch batch = make_batch(net, data, 1, Task::kPredict, result);
        make_runner(net, *engine).run(batch);
        const double want[] = {0.5, 0.5, 0.0};
        check_close(result.outputs, want, 0.0, std::string("softmax of large numbers, ") + engine->name);
    }
}

}  // namespace

void test_softmax() {
    Random random(24);
    for (const int channels : {1, 2, 10}) {
        for (const int count : {1, 17}) {
            Net maps(2, 3, 5);
            maps.conv(channels, {}).softmax().conv(2, {{1}, {3, 1, 1, 1, 1}}).flatten();
            check_against_naive("softmax of maps", maps, real_numbers(maps, count, random), 5e-6);
            Net vector(4, 1, 1);
            vector.linear(channels).softmax().activation_step(Activation::kTanh).linear(3);
            check_against_naive("softmax", vector, real_numbers(vector, count, random), 5e-6);
        }
    }
    test_nan();
    test_large();
}

}  // namespace pellucid
