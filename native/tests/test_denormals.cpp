#include <limits>

#include "check.hpp"
#include "net.hpp"
#include "tests.hpp"

namespace pellucid {
namespace {

// Both sums are denormal: of denormal inputs, and of products of small ones. 40 outputs give every thread some.
Net small_numbers() {
    Net net(2, 1, 1);
    return net.conv(40, {}, 1, false, false);
}

Data small_data(const Net& net, int count, float input, float weight, Random& random) {
    Data data = whole_numbers(net, count, random);
    data.mean.clear();
    for (float& x : data.images) x = input;
    for (float& w : data.params) w = weight;
    for (float& y : data.target) y = 0.0f;
    for (float& w : data.weight) w = 1.0f;
    return data;
}

bool keeps_denormals() {
    const volatile float tiny = std::numeric_limits<float>::min();
    return tiny * 0.5f > 0.0f;
}

bool all_zero(const std::vector<float>& numbers) {
    for (const float number : numbers) {
        if (number != 0.0f) return false;
    }
    return !numbers.empty();
}

void test_flushed(const Engine& engine) {
#if defined(__SSE__) || defined(__aarch64__)
    Random random(17);
    const Net net = small_numbers();
    Runner runner = make_runner(net, engine);
    const struct {
        const char* what;
        float input, weight;
    } cases[] = {{"inputs", 1e-40f, 1.0f}, {"weights", 1.0f, 1e-40f}, {"products", 1e-20f, 1e-20f}};
    for (const auto& c : cases) {
        for (const int count : {1, 16, 33, 70}) {
            const Data data = small_data(net, count, c.input, c.weight, random);
            for (int threads = 1; threads <= 3; ++threads) {
                Result result;
                Batch batch = make_batch(net, data, threads, Task::kLearn, result);
                runner.run(batch);
                const bool zero = all_zero(result.outputs) && batch.loss == 0.0 && all_zero(result.gradients);
                check(zero, std::string("denormal ") + c.what + " are zero, batch of " + std::to_string(count) +
                                " on " + std::to_string(threads) + " threads, " + engine.name);
            }
        }
    }
#endif
}

// The caller's arithmetic keeps them, and so does what runs on the engine's threads afterwards.
void test_put_back(const Engine& engine) {
    Random random(18);
    const Net net = small_numbers();
    const Data data = small_data(net, 70, 1.0f, 1.0f, random);
    Result result;
    Batch batch = make_batch(net, data, 3, Task::kLearn, result);
    make_runner(net, engine).run(batch);
    check(keeps_denormals(), std::string("the caller keeps its denormals, ") + engine.name);
    bool kept[3] = {};
#pragma omp parallel for num_threads(3)
    for (int i = 0; i < 3; ++i) kept[i] = keeps_denormals();
    check(kept[0] && kept[1] && kept[2], std::string("every thread keeps its denormals, ") + engine.name);
}

}  // namespace

void test_denormals() {
    for (const Engine* engine : engines()) {
        test_flushed(*engine);
        test_put_back(*engine);
    }
}

}  // namespace pellucid
