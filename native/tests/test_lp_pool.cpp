#include <cmath>

#include "check.hpp"
#include "guarded.hpp"
#include "tests.hpp"

namespace pellucid {
namespace {

struct Case {
    const char* what;
    int height, width;
    Window window;
};

const Case kCases[] = {
    {"2×2", 6, 8, {{2, 2}, {2, 2}}},
    {"3×3, windows that overlap the edge and each other", 8, 7, {{3, 2, 1, 1, 2}, {3, 2, 1, 1, 1}}},
    {"2×3, strides longer than the window", 9, 11, {{2, 3}, {3, 5}}},
    {"3×2, dilated", 9, 8, {{3, 1, 2, 1, 1}, {2, 2, 3, 1, 1}}},
    {"the whole map", 4, 3, {{4}, {3}}},
    {"one pixel", 1, 1, {}},
};

// Norms of numbers of every size: no power of theirs overflows or vanishes.
void test_sizes() {
    Net net(1, 1, 3);
    for (const double p : {1.0, 1.5, 2.0, 7.0}) {
        Net pooled = net;
        pooled.lp_pool({{1}, {3}}, p).flatten();
        Random random(26);
        Data data = whole_numbers(pooled, 1, random);
        data.mean.clear();
        data.rows = {0};
        for (const float size : {1e-37f, 1e-25f, 1.0f, 1e25f, 1e38f}) {
            data.images = {size, 0.0f, -0.5f * size};
            const double want = size * std::pow(1.0 + std::pow(0.5, p), 1.0 / p);
            for (const Engine* engine : engines()) {
                Result result;
                Batch batch = make_batch(pooled, data, 1, Task::kPredict, result);
                make_runner(pooled, *engine).run(batch);
                check_close(result.outputs, {&want, 1}, 3e-7, "LP pooling, size " + std::to_string(size));
            }
        }
    }
}

// A window of zeros has the norm 0, and its pixels the slope 0; NaN stays in its own windows.
void test_zeros_and_nan() {
    for (const double p : {1.0, 2.0, 3.0}) {
        Net net(1, 2, 6);
        net.conv(1, {}, 1, false, false).lp_pool({{2, 2}, {2, 2}}, p).flatten();
        Random random(27);
        Data data = whole_numbers(net, 1, random);
        data.mean.clear();
        data.rows = {0};
        data.params = {1.0f};
        data.images = {0.0f, 0.0f, 3.0f, 0.0f, 1.0f, 2.0f, 0.0f, 0.0f, 0.0f, 4.0f, 2.0f, 5.0f};
        check_against_naive("LP pooling of zeros", net, data, 1e-6);
        data.images[2] = NAN;
        for (const Engine* engine : engines()) {
            Result result;
            Batch batch = make_batch(net, data, 1, Task::kPredict, result);
            make_runner(net, *engine).run(batch);
            check(result.outputs[0] == 0.0f && std::isnan(result.outputs[1]) && result.outputs[2] > 5.0f,
                  std::string("LP pooling of NaN, ") + engine->name);
        }
    }
}

}  // namespace

void test_lp_pool() {
    Random random(28);
    for (const Case& c : kCases) {
        for (const double p : {1.0, 1.5, 2.0, 3.0, 4.7}) {
            Net net(2, c.height, c.width);
            net.conv(3, {}).lp_pool(c.window, p).conv(2, {{1}, {3, 1, 1, 1, 1}}).flatten();
            const std::string what = std::string("LP pooling ") + c.what + ", p = " + std::to_string(p);
            check_against_naive(what, net, real_numbers(net, 17, random), 2e-5);
        }
    }
    test_sizes();
    test_zeros_and_nan();
}

}  // namespace pellucid
