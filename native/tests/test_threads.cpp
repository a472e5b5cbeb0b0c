#include <thread>

#include "check.hpp"
#include "guarded.hpp"
#include "tests.hpp"

namespace pellucid {
namespace {

// Every kind of step, each cut among the threads of a split block.
Net every_step(bool wide = false) {
    Net net(2, 19, 12, Loss::kCrossEntropy);
    net.wide = wide;
    net.conv(5, {{3, 1, 1, 1, 1}, {3, 1, 1, 1, 1}}).activation(Activation::kReLU);
    net.max_pool({{2, 2}, {2, 2}}).activation(Activation::kTanh);
    net.conv(6, {{3, 2, 1, 1, 1}, {3, 1, 1, 1, 1}}, 1, true).activation_step(Activation::kELU, 1.0f);
    net.avg_pool({{3, 1}, {2, 2}}, true).activation(Activation::kLeakyReLU, 0.1f).response_norm(3, 0.5f, 0.75);
    net.lp_pool({{2, 1, 1, 1, 0}, {1}}, 2.0).lp_pool({{2, 1}, {1}}, 2.5).dropout(0.25).softmax();
    return net.flatten(true).linear(20).activation(Activation::kSigmoid).dropout(0.5).linear(10);
}

// Convolutions that go back from the average pools behind them; all read all channels of δ.
Net averages(bool wide) {
    const Window same{{3, 1, 1, 1, 1}, {3, 1, 1, 1, 1}}, halves{{2, 2}, {2, 2}};
    Net net(2, 12, 8, Loss::kCrossEntropy);
    net.wide = wide;
    net.conv(5, same).avg_pool(halves, true).activation(Activation::kTanh);
    return net.conv(6, same).activation(Activation::kSigmoid).avg_pool(halves, true).flatten().linear(10);
}

// Batch norms, sums and branches, in places that hold other numbers in between.
Net every_joint(Tiled tiled, bool wide) {
    const Window same{{3, 1, 1, 1, 1}, {3, 1, 1, 1, 1}};
    Net net(2, 6, 7, Loss::kCrossEntropy);
    net.tiled = tiled;
    net.reused = true;
    net.wide = wide;
    net.conv(5, same).batch_norm().activation(Activation::kReLU);
    const int stem = net.here;
    net.conv(5, same).batch_norm(true).activation(Activation::kTanh).conv(5, same).batch_norm().plus(stem);
    const int block = net.activation(Activation::kReLU).here;
    const int left = net.max_pool(same).here, right = net.from(block).conv(4, same).here;
    net.concat({left, right}).batch_norm().conv(5, {}).add(block).add(stem).activation(Activation::kELU, 1.0f);
    return net.avg_pool({{2, 2}, {2, 2}}, true).flatten().batch_norm().linear(10);
}

struct Case {
    Net net;
    Data data;
    Result expected;
    double loss = 0.0;

    Case(const Net& network, const Engine& engine, int count, Random& random)
        : net(network), data(real_numbers(net, count, random)) {
        Batch batch = make_batch(net, data, 1, Task::kLearn, expected);
        make_runner(net, engine).run(batch);
        loss = batch.loss;
    }

    bool same(const Result& result, double value) const {
        return same_bits(result.outputs, expected.outputs) && same_bits(result.gradients, expected.gradients) &&
               same_bits(result.state, expected.state) && value == loss;
    }
};

bool runs_alike(const Case& c, Runner& runner, int threads) {
    Result result;
    Batch batch = make_batch(c.net, c.data, threads, Task::kLearn, result);
    runner.run(batch);
    return c.same(result, batch.loss);
}

void test_thread_counts(const std::string& what, const Net& net, const Engine& engine, Random& random) {
    for (const int count : {2, 16, 17, 33, 70}) {
        const Case c(net, engine, count, random);
        Runner runner = make_runner(c.net, engine);
        for (const int threads : {1, 2, 3, 5}) {
            check(runs_alike(c, runner, threads), "the same bits of " + what + ", batch of " + std::to_string(count) +
                                                      " on " + std::to_string(threads) + " threads, " + engine.name);
        }
    }
}

// With many parameters all threads share every block, and convolutions by points pack their weights in turn.
void test_every_kind(const Engine& engine) {
    Random random(18);
    for (const bool wide : {false, true}) {
        const std::string many = wide ? ", many parameters" : "";
        test_thread_counts("every step" + many, every_step(wide), engine, random);
        test_thread_counts("average pools" + many, averages(wide), engine, random);
        // The threads meet at every batch norm.
        for (const Tiled tiled : {Tiled::kNone, Tiled::kAll}) {
            test_thread_counts("batch norms and branches" + many, every_joint(tiled, wide), engine, random);
        }
    }
}

// Inside a parallel region OpenMP gives one thread, however many are asked for.
void test_fewer_threads(const Engine& engine) {
    Random random(19);
    const Case c(every_step(), engine, 40, random);
    bool alike[2] = {};
#pragma omp parallel for num_threads(2)
    for (int i = 0; i < 2; ++i) {
        Runner runner = make_runner(c.net, engine);
        alike[i] = runs_alike(c, runner, 3);
    }
    check(alike[0] && alike[1], std::string("the same bits on fewer threads than asked for, ") + engine.name);
}

// visit(caller) on four threads at once, five times each.
void on_four_threads(auto&& visit) {
    std::vector<std::thread> callers;
    for (std::size_t caller = 0; caller < 4; ++caller) {
        callers.emplace_back([&visit, caller] {
            for (int i = 0; i < 5; ++i) visit(caller);
        });
    }
    for (std::thread& caller : callers) caller.join();
}

void test_callers(const Engine& engine) {
    Random random(20);
    const Net net = every_step();
    const Case cases[] = {
        {net, engine, 5, random}, {net, engine, 17, random}, {net, engine, 33, random}, {net, engine, 48, random}};
    for (const int threads : {1, 2}) {
        int own[4] = {}, shared[4] = {};
        on_four_threads([&](std::size_t caller) {
            Runner runner = make_runner(cases[caller].net, engine);
            own[caller] += runs_alike(cases[caller], runner, threads);
        });
        Runner runner = make_runner(cases[0].net, engine);
        on_four_threads([&](std::size_t caller) { shared[caller] += runs_alike(cases[caller], runner, threads); });
        for (std::size_t caller = 0; caller < 4; ++caller) {
            const std::string here =
                "caller " + std::to_string(caller) + ", threads " + std::to_string(threads) + ", " + engine.name;
            check(own[caller] == 5, "a runner each, " + here);
            check(shared[caller] == 5, "one runner for all, " + here);
        }
    }
}

}  // namespace

void test_threads() {
    for (const Engine* engine : engines()) {
        test_every_kind(*engine);
        test_fewer_threads(*engine);
        test_callers(*engine);
    }
}

}  // namespace pellucid
