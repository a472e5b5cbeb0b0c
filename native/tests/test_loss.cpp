// Losses worked by hand.
#include <cmath>

#include "check.hpp"
#include "guarded.hpp"
#include "tests.hpp"

namespace pellucid {
namespace {

struct Case {
    const char* what;
    Loss loss;
    std::vector<float> a, y;
    double value;
    std::vector<double> delta;
};

const double kLn2 = std::log(2.0), kLn5 = std::log(5.0);
const float kLog2 = static_cast<float>(kLn2), kLog5 = static_cast<float>(kLn5), kLog3 = std::log(3.0f);

const Case kCases[] = {
    // p = 1/8, 2/8, 5/8
    {"cross-entropy", Loss::kCrossEntropy, {0, kLog2, kLog5}, {0, 1, 0}, 2 * kLn2, {0.125, -0.75, 0.625}},
    {"cross-entropy, shared target",
     Loss::kCrossEntropy,
     {0, kLog2, kLog5},
     {0.5, 0.5, 0},
     2.5 * kLn2,
     {-0.375, -0.25, 0.625}},
    {"cross-entropy, large and wrong", Loss::kCrossEntropy, {1000, 0}, {0, 1}, 1000, {1, -1}},
    {"cross-entropy, large and right", Loss::kCrossEntropy, {-1000, 1000}, {0, 1}, 0, {0, 0}},
    {"cross-entropy, NaN", Loss::kCrossEntropy, {1, NAN}, {1, 0}, NAN, {NAN, NAN}},
    // p = 1/2, 3/4, 1/4: ℓ = ln 2 + ln 4/3 + ln 4/3 = 5 ln 2 − 2 ln 3
    {"log loss", Loss::kLogLoss, {0, kLog3, -kLog3}, {0, 1, 0}, 5 * kLn2 - 2 * std::log(3.0), {0.5, -0.25, 0.25}},
    {"log loss, large", Loss::kLogLoss, {1000, -1000, 1000}, {0, 1, 1}, 2000, {1, -1, 0}},
    {"log loss, NaN", Loss::kLogLoss, {NAN, 0}, {1, 0}, NAN, {NAN, 0.5}},
    {"squared error", Loss::kSquaredError, {1, -2, 0.5}, {-2, -2, 1.5}, 5, {3, 0, -1}},
    {"squared error, NaN", Loss::kSquaredError, {NAN, 1}, {0, 0}, NAN, {NAN, 1}},
};

// A convolution in front that changes nothing but has a bias: its gradient is Σ of the samples' δ.
void check_case(const Case& c, const Engine& engine) {
    const int classes = static_cast<int>(c.a.size());
    Net net(classes, 1, 1, c.loss);
    net.conv(classes, {}, classes);
    Random random(12);
    Data data = whole_numbers(net, 18, random);
    data.params.assign(2 * c.a.size(), 0.0f);
    for (std::size_t k = 0; k < c.a.size(); ++k) data.params[k] = 1.0f;
    data.mean.clear();
    for (std::size_t t = 0; t < 21; ++t) {
        for (std::size_t k = 0; k < c.a.size(); ++k) {
            data.images[t * c.a.size() + k] = c.a[k];
            data.target[t * c.a.size() + k] = c.y[k];
        }
    }
    data.weight.assign(18, 0.5f);  // 9 in all
    Runner runner = make_runner(net, engine);
    Result result;
    Batch batch = make_batch(net, data, 1, Task::kLearn, result);
    runner.run(batch);
    const std::string here = std::string(c.what) + ", " + engine.name;
    const float loss = static_cast<float>(batch.loss / 9.0);
    check_close({&loss, 1}, {&c.value, 1}, 3e-7, here + ", value");
    std::vector<float> delta(result.gradients.begin() + classes, result.gradients.end());
    for (float& d : delta) d /= 9.0f;
    check_close(delta, c.delta, 3e-7, here + ", δ");
}

// Samples weigh what their weight says, and count for nothing at 0.
void check_weights(const Engine& engine) {
    Net net(1, 1, 1);
    net.conv(1, {});
    const Data data{{1, 2, 4}, {}, {}, {0, 0, 0}, {1, 0, 0.5}, {1, 0}, {0, 1, 2}};
    Runner runner = make_runner(net, engine);
    Result result;
    Batch batch = make_batch(net, data, 1, Task::kLearn, result);
    runner.run(batch);
    const double dweight_and_dbias[] = {1 * 1 * 1 + 0.5 * 4 * 4, 1 * 1 + 0.5 * 4};
    check_close(result.gradients, dweight_and_dbias, 0.0, std::string("weights of samples, gradients, ") + engine.name);
    check(batch.loss == 1 * 0.5 + 0.5 * 8, std::string("weights of samples, loss, ") + engine.name);
}

}  // namespace

void test_loss() {
    for (const Engine* engine : engines()) {
        for (const Case& c : kCases) check_case(c, *engine);
        check_weights(*engine);
    }
}

}  // namespace pellucid
