#include <cmath>

#include "check.hpp"
#include "guarded.hpp"
#include "tests.hpp"

namespace pellucid {
namespace {

struct Case {
    const char* what;
    Activation kind;
    float alpha;
};

const Case kCases[] = {
    {"ReLU", Activation::kReLU, 0.0f}, {"leaky ReLU", Activation::kLeakyReLU, 0.25f},
    {"ELU", Activation::kELU, 0.75f},  {"sigmoid", Activation::kSigmoid, 0.0f},
    {"tanh", Activation::kTanh, 0.0f},
};

const float kPoints[] = {0.0f,  1e-6f, -1e-6f, 0.01f, -0.01f, 0.3f,  -0.3f, 0.62f,  -0.63f,
                         -1.0f, 2.5f,  -2.5f,  9.0f,  -9.0f,  30.0f, -30.f, 100.0f, -100.0f};

// One sample of one channel a point, through a convolution that changes nothing: f and f′ at every point on its own.
void test_points(const Case& c) {
    for (const bool alone : {false, true}) {
        Net net(1, 1, std::size(kPoints));
        net.conv(1, {});
        alone ? net.activation_step(c.kind, c.alpha) : net.activation(c.kind, c.alpha);
        net.flatten();
        Random random(9);
        Data data = whole_numbers(net, 1, random);
        data.images.assign(kPoints, kPoints + std::size(kPoints));
        data.mean.clear();
        data.rows = {0};
        data.params = {1.0f, 0.0f};
        // f′ is taken from y: where tanh is nearly 1, 1 − y² keeps few digits.
        const double tolerance = c.kind == Activation::kTanh ? 5e-6 : 1e-6;
        check_against_naive(std::string(c.what) + (alone ? " as a step" : " with a convolution"), net, data, tolerance);
    }
}

// A value that is close in relation to itself, near 0 too, where 1 − e^x would cancel.
void test_relative_error(const Case& c) {
    Net net(1, 1, 1);
    net.conv(1, {}).activation(c.kind, c.alpha);
    Random random(10);
    Data data = whole_numbers(net, 1, random);
    data.mean.clear();
    data.params = {1.0f, 0.0f};
    data.rows = {0};
    for (const Engine* engine : engines()) {
        Runner runner = make_runner(net, *engine);
        for (const float x : kPoints) {
            data.images = {x};
            Result result;
            Batch batch = make_batch(net, data, 1, Task::kPredict, result);
            runner.run(batch);
            const double want = apply(c.kind, c.alpha, x);
            // Where the true value is below the smallest normal number, 0 is right.
            if (std::fabs(want) > 1.2e-38) {
                check_close(result.outputs, {&want, 1}, 1e-6,
                            std::string(c.what) + " of " + std::to_string(x) + ", " + engine->name);
            } else {
                check(std::fabs(result.outputs[0]) <= 1.2e-38f, std::string(c.what) + " underflows to 0");
            }
        }
    }
}

void test_nan(const Case& c) {
    Net net(1, 1, 2);
    net.conv(1, {}).activation(c.kind, c.alpha).flatten();
    Random random(11);
    Data data = whole_numbers(net, 1, random);
    data.mean.clear();
    data.images[0] = NAN;
    data.rows = {0};
    data.params = {1.0f, 0.0f};
    for (const Engine* engine : engines()) {
        Runner runner = make_runner(net, *engine);
        Result result;
        Batch batch = make_batch(net, data, 1, Task::kPredict, result);
        runner.run(batch);
        check(std::isnan(result.outputs[0]) && !std::isnan(result.outputs[1]),
              std::string(c.what) + " of NaN is NaN, " + engine->name);
    }
}

}  // namespace

void test_activation() {
    for (const Case& c : kCases) {
        test_points(c);
        test_relative_error(c);
        test_nan(c);
    }
}

}  // namespace pellucid
