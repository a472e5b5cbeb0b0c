#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "check.hpp"
#include "net.hpp"
#include "tests.hpp"
#include "training.hpp"

namespace pellucid {
namespace {

Update update_of(Rule rule) {
    Update update{};
    update.rule = rule;
    update.first = rule == Rule::kSGD ? 0.0 : 0.75;
    update.second = 0.5;
    update.eps = 0.125;
    update.decay = rule == Rule::kSGD || rule == Rule::kNesterov || rule == Rule::kAdam ? 0.5 : 0.0;
    update.l1 = 0.25;
    update.l2 = 0.5;
    update.clip_value = 0.5;
    update.clip_norm = 2.0;
    update.max_norm = 1.5;
    return update;
}

// One linear layer and its training, every array no longer than it must be.
struct Case {
    int inputs, outputs;
    Net net;
    Data data;
    std::vector<double> weight;
    std::vector<float> params, gradients, slots[kMostSlots], results;
    Update update;

    Case(int inputs_, int outputs_, Rule rule, Random& random)
        : inputs(inputs_), outputs(outputs_), net(inputs_, 1, 1), update(update_of(rule)) {
        net.linear(outputs);
        data = real_numbers(net, 19, random);
        weight.assign(data.images.size() / static_cast<std::size_t>(inputs), 0.5);
        params = data.params;
        gradients.assign(params.size(), NAN);
        results.assign(data.rows.size() * static_cast<std::size_t>(outputs), NAN);
        for (int s = 0; s < slots_of(rule); ++s) slots[s].assign(params.size(), 0.0f);
    }

    Training training() {
        Result unused;
        Batch batch = make_batch(net, data, 1, Task::kLearn, unused);
        batch.params = update.params = params.data();
        batch.gradients = gradients.data();
        batch.outputs = results.data();
        for (int s = 0; s < kMostSlots; ++s) update.slots[s] = slots[s].empty() ? nullptr : slots[s].data();
        const auto size = [](int count) { return static_cast<std::size_t>(count); };
        const Training::Sizes sizes{weight.size(), size(inputs), size(outputs), params.size(), data.rows.size()};
        return Training(batch, sizes, weight.data(), true, update, {{0, outputs, inputs}});
    }

    Training::Outcome step(const Training& training, Runner& runner, double t, int threads) const {
        return training.step(runner, data.rows.data(), data.rows.size(), 0, 0.125, t, threads);
    }
};

// The engine's own gradient at the case's parameters, with the penalties': where an update is made, it is not kept.
std::vector<double> gradient_of(const Case& c, Runner& runner) {
    Data data = c.data;
    data.params = c.params;
    data.weight.assign(data.rows.size(), 1.0f / static_cast<float>(data.rows.size()));
    Result result;
    Batch batch = make_batch(c.net, data, 1, Task::kLearn, result);
    runner.run(batch);
    std::vector<double> g(result.gradients.begin(), result.gradients.end());
    for (std::size_t i = 0; i < static_cast<std::size_t>(c.inputs) * static_cast<std::size_t>(c.outputs); ++i) {
        const double x = c.params[i];
        g[i] += c.update.l1 * (x > 0.0 ? 1.0 : x < 0.0 ? -1.0 : 0.0) + c.update.l2 * x;
    }
    return g;
}

// The rule's formula for one number, in double precision; η = 1/8.
double next(const Update& u, double x, double g, double t, double& a, double& b) {
    const double rate = 0.125;
    const auto mean = [](double share, double old, double now) { return share * old + (1.0 - share) * now; };
    switch (u.rule) {
        case Rule::kSGD:
            return x - rate * (g + u.decay * x);
        case Rule::kMomentum:
            a = u.first * a + g;
            return x - rate * a;
        case Rule::kNesterov:
            g += u.decay * x;
            a = u.first * a + g;
            return x - rate * (g + u.first * a);
        case Rule::kAdaGrad:
            a += g * g;
            return x - rate * g / (std::sqrt(a) + u.eps);
        case Rule::kRMSProp:
            a = mean(u.first, a, g * g);
            return x - rate * g / (std::sqrt(a) + u.eps);
        case Rule::kAdaDelta: {
            a = mean(u.first, a, g * g);
            const double d = g * std::sqrt(b + u.eps) / std::sqrt(a + u.eps);
            b = mean(u.first, b, d * d);
            return x - rate * d;
        }
        case Rule::kAdam:
            a = mean(u.first, a, g);
            b = mean(u.second, b, g * g);
            return (1.0 - rate * u.decay) * x -
                   rate * (a / (1.0 - std::pow(u.first, t))) / (std::sqrt(b / (1.0 - std::pow(u.second, t))) + u.eps);
        case Rule::kAdaMax:
            a = mean(u.first, a, g);
            b = std::max(u.second * b, std::fabs(g) + u.eps);
            return x - rate / (1.0 - std::pow(u.first, t)) * a / b;
    }
    return NAN;
}

void limit_naively(const Case& c, std::vector<double>& x) {
    for (int f = 0; f < c.outputs; ++f) {
        double* w = x.data() + f * c.inputs;
        double squares = 0.0;
        for (int i = 0; i < c.inputs; ++i) squares += w[i] * w[i];
        const double scale = std::fmin(1.0, c.update.max_norm / std::sqrt(squares));
        for (int i = 0; i < c.inputs; ++i) w[i] *= scale;
    }
}

// Three steps, each by the formula from the engine's own gradient; sizes lie around the lanes and the chunks.
void test_rule(Rule rule, const Engine& engine) {
    Random random(21);
    const int sizes[][2] = {{1, 1}, {2, 5}, {7, 2}, {16, 1}, {31, 1}, {1022, 1}, {511, 2}, {256, 4}, {37, 61}};
    for (const auto& [inputs, outputs] : sizes) {
        Case c(inputs, outputs, rule, random);
        Runner runner = make_runner(c.net, engine);
        const Training training = c.training();
        const std::size_t count = c.params.size();
        std::vector<double> x(c.params.begin(), c.params.end()), a(count), b(count);
        for (int t = 1; t <= 3; ++t) {
            std::vector<double> g = gradient_of(c, runner);
            const std::vector<float> before = c.params;
            const Training::Outcome outcome = c.step(training, runner, t, 1 + t);
            check(outcome.gradient_finite && outcome.params_finite && outcome.previous_kept, "an update is made");
            check_same(c.gradients, before, "an update leaves the parameters that were before it");
            double squares = 0.0;
            for (double& each : g) {
                each = std::fmax(-0.5, std::fmin(0.5, each));
                squares += each * each;
            }
            const double scale = std::fmin(1.0, 2.0 / (std::sqrt(squares) + 1e-6));
            for (std::size_t i = 0; i < count; ++i) x[i] = next(c.update, x[i], scale * g[i], t, a[i], b[i]);
            limit_naively(c, x);
        }
        check_close(c.params, x, 2e-6,
                    "rule " + std::to_string(static_cast<int>(rule)) + " on " + std::to_string(count) + " numbers, " +
                        engine.name);
    }
}

void test_update_on_threads(const Engine& engine) {
    Random random(22);
    Case whole(70, 61, Rule::kAdam, random);  // five chunks
    Case same = whole;
    Runner runner = make_runner(whole.net, engine);
    const Training one = whole.training();
    whole.step(one, runner, 1, 1);
    const std::vector<float> start = same.params;
    for (int threads = 2; threads <= 4; ++threads) {
        same.params = start;
        for (std::vector<float>& slot : same.slots) std::fill(slot.begin(), slot.end(), 0.0f);
        const Training training = same.training();
        same.step(training, runner, 1, threads);
        check_same(same.params, whole.params,
                   "the same new parameters on " + std::to_string(threads) + " threads, " + engine.name);
    }
}

void test_nothing_changes_without_a_gradient(const Engine& engine) {
    Random random(23);
    Case c(40, 30, Rule::kMomentum, random);
    c.data.images[static_cast<std::size_t>(c.data.rows[4]) * 40 + 3] = NAN;
    Runner runner = make_runner(c.net, engine);
    const Training training = c.training();
    const std::vector<float> params = c.params, slot = c.slots[0];
    std::fill(c.gradients.begin(), c.gradients.end(), 7.0f);
    const std::vector<float> previous = c.gradients;
    const Training::Outcome outcome = c.step(training, runner, 1, 3);
    check(std::isnan(outcome.loss) && outcome.params_finite && outcome.previous_kept, "NaN is told");
    check_same(c.gradients, previous, std::string("what was before the last update stays, ") + engine.name);
    check_same(c.params, params, std::string("parameters stay where the gradient is NaN, ") + engine.name);
    check_same(c.slots[0], slot, std::string("slots stay where the gradient is NaN, ") + engine.name);
}

void test_refusals(const Engine& engine) {
    Random random(24);
    Case c(3, 2, Rule::kSGD, random), other(4, 2, Rule::kSGD, random);
    Runner runner = make_runner(c.net, engine), strange = make_runner(other.net, engine);
    const Training training = c.training();
    const auto refuses = [&](Runner& with, std::int64_t row, std::size_t place, double t, int threads) {
        try {
            training.step(with, &row, 1, place, 0.1, t, threads);
        } catch (const std::invalid_argument&) {
            return true;
        }
        return false;
    };
    check(!refuses(runner, 0, 18, 1, 1), "a step in order");
    check(refuses(strange, 0, 0, 1, 1), "another network's runner");
    check(refuses(runner, -1, 0, 1, 1) && refuses(runner, 22, 0, 1, 1), "rows out of range");
    check(refuses(runner, 0, 19, 1, 1), "outputs out of range");
    for (const Augmentation& beyond : {Augmentation{1}, Augmentation{-1}, Augmentation{0, true, 2}}) {
        Case augmented = c;
        augmented.data.augmentation = beyond;  // images of one pixel
        const std::int64_t row = 0;
        bool refused = false;
        try {
            augmented.training().step(runner, &row, 1, 0, 0.1, 1, 1);
        } catch (const std::invalid_argument&) {
            refused = true;
        }
        check(refused, "an augmentation that does not fit");
    }
    check(refuses(runner, 0, 0, 0, 1) && refuses(runner, 0, 0, 1, 0), "step and threads out of range");
}

}  // namespace

void test_update() {
    for (const Engine* engine : engines()) {
        for (int rule = 0; rule < kRules; ++rule) test_rule(static_cast<Rule>(rule), *engine);
        test_update_on_threads(*engine);
        test_nothing_changes_without_a_gradient(*engine);
        test_refusals(*engine);
    }
}

}  // namespace pellucid
