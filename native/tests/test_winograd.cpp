#include <cstddef>
#include <string>
#include <utility>

#include "check.hpp"
#include "guarded.hpp"
#include "tests.hpp"

namespace pellucid {
namespace {

// Whole convolutions; what they are made of is in test_winograd_transforms.cpp.

struct Case {
    int channels, filters, height, width, kernel, padding;
    bool flip = false;
    Tiled tiled = Tiled::kAll;

    Net net() const {
        const Side side{kernel, 1, 1, padding, padding};
        Net net(channels, height, width);
        net.conv(filters, {side, side}, 1, flip).flatten();
        net.tiled = tiled;
        return net;
    }

    std::string what(int count) const {
        return std::to_string(kernel) + "×" + std::to_string(kernel) + ", " + std::to_string(channels) + " → " +
               std::to_string(filters) + " maps of " + std::to_string(height) + "×" + std::to_string(width) +
               ", padding " + std::to_string(padding) + (flip ? ", flipped" : "") +
               (tiled == Tiled::kWeightGradient ? ", weights alone"
                : tiled == Tiled::kMaps         ? ", maps alone"
                                                : "") +
               ", batch of " + std::to_string(count);
    }
};

// Of the largest number of an array: some 340 units of 2⁻²⁴, where sums of up to 14·25 products are rounded, and the
// transforms' large numbers cancel. The worst seen in the 350 convolutions below was 5.8e-6, in the chain 1.4e-5.
constexpr double kTolerance = 2e-5, kToleranceOfChain = 8e-5;

void check_case(const Case& c, int count, Random& random) {
    const Net net = c.net();
    check_against_naive("Winograd " + c.what(count), net, real_numbers(net, count, random), kTolerance);
}

// Register tiles of filters and channels, whole and cut short.
void test_filters_and_channels() {
    Random random(34);
    for (int n = 1; n <= 14; ++n) {
        for (const int kernel : {3, 5}) {
            check_case({n, 3, 6, 8, kernel, 1}, 2, random);
            check_case({3, n, 7, 6, kernel, 1}, 2, random);
            check_case({n, n + 4, 6, 7, kernel, 0, false, Tiled::kWeightGradient}, 2, random);
            check_case({n, n + 4, 7, 6, kernel, 1, false, Tiled::kMaps}, 2, random);
        }
    }
    check_case({5, 16, 6, 6, 3, 0}, 3, random);
    for (const auto& [channels, filters] : {std::pair{20, 33}, {7, 18}, {13, 70}}) {
        check_case({channels, filters, 5, 7, 5, 2, channels > 7}, 2, random);
    }
    // By points: more than 64 channels of a product, more than 32 filters of a block, or 512 of many channels; more
    // than 128 filters or channels of a block of the weight gradient.
    for (const auto& [channels, filters] : {std::pair{1, 70}, {65, 3}, {70, 67}, {66, 130}, {133, 66}, {131, 145}}) {
        check_case({channels, filters, 5, 7, 3, 1, channels > 66}, 2, random);
    }
    // More weights than stay in the caches: for four tiles, transformed where they are needed; packed for more of them,
    // be it of the inputs or of the outputs.
    for (const int width : {7, 9}) check_case({65, 520, 5, width, 3, 1}, 2, random);
    check_case({171, 180, 7, 6, 3, 1, true}, 2, random);
    check_case({180, 171, 8, 8, 3, 0}, 2, random);
    check_case({180, 171, 9, 8, 3, 0}, 2, random);
    check_case({171, 180, 7, 8, 3, 2}, 2, random);
    check_case({5, 17, 6, 6, 5, 0}, 3, random);
    check_case({5, 33, 6, 6, 3, 1}, 3, random);
}

// Tiles that end on the edge and beyond it, by one pixel to three; more of them than the weight gradient takes at once.
void test_maps() {
    Random random(35);
    for (int padding = 0; padding <= 4; ++padding) {
        for (int more = 0; more < 5; ++more) {
            check_case({2, 5, 6 + more, 10 - more, 3, padding, more % 2 == 1}, 3, random);
            check_case({5, 2, 6 + more, 10 - more, 5, padding, more % 2 == 0}, 3, random);
        }
    }
    check_case({2, 3, 17, 29, 5, 0}, 2, random);
    check_case({2, 3, 29, 30, 3, 1}, 2, random);
    check_case({2, 3, 8, 150, 3, 1}, 2, random);
    for (int height = 4; height <= 9; ++height) {
        for (int width = 4; width <= 9; ++width) check_case({5, 17, height, width, 3, 1}, 2, random);
    }
    check_case({2, 3, 6, 81, 5, 2}, 2, random);
    for (int height = 4; height <= 9; ++height) {
        for (int width = 4; width <= 9; ++width) check_case({5, 7, height, width, 5, 2}, 2, random);
    }
}

// One map goes row by row: more rows, and more filters, than are taken together.
void test_one_map() {
    Random random(42);
    for (int padding = 0; padding <= 4; ++padding) {
        for (int more = 0; more < 5; ++more) check_case({1, 5, 6 + more, 10 - more, 5, padding, more == 1}, 3, random);
    }
    for (const int filters : {7, 16, 17, 33}) check_case({1, filters, 9, 7, 5, 2, filters == 16}, 2, random);
    for (int height = 30; height <= 41; ++height) {
        Net net = Case{1, 3, height, 9, 5, 1}.net();
        net.dx_of_input = height % 2 == 0;
        check_against_naive("Winograd of one map, height " + std::to_string(height), net, real_numbers(net, 2, random),
                            kTolerance);
    }
    check_case({1, 4, 70, 70, 5, 2}, 17, random);
}

void test_batches() {
    Random random(36);
    for (int count = 1; count <= 33; ++count) {
        check_case({3, 4, 6, 7, 3, 1}, count, random);
        check_case({4, 3, 7, 6, 5, 2}, count, random);
    }
}

void test_random_cases() {
    Random random(37);
    for (int i = 0; i < 100; ++i) {
        const int kernel = random.integer(0, 1) ? 3 : 5;
        const Case c{
            random.integer(1, 14), random.integer(1, 14),    random.integer(6, 15), random.integer(6, 15), kernel,
            random.integer(0, 4),  random.integer(0, 1) == 1};
        check_case(c, random.integer(1, 33), random);
    }
}

// Borders, scratch and packed weights of several convolutions, by tiles and not, in one network.
Net chain(Tiled tiled) {
    const Side three{3, 1, 1, 1, 1}, five{5, 1, 1, 2, 2}, strided{3, 2};
    Net net(2, 13, 11, Loss::kCrossEntropy);
    net.conv(6, {three, three}).activation(Activation::kTanh).conv(5, {five, five}, 1, true);
    net.activation(Activation::kSigmoid).conv(6, {strided, strided}).avg_pool({{1}, {2}}, true);
    net.conv(7, {three, three}).activation(Activation::kTanh).flatten().linear(5);
    net.tiled = tiled;
    return net;
}

void test_chain() {
    Random random(38);
    for (const Tiled tiled : {Tiled::kWeightGradient, Tiled::kMaps, Tiled::kAll}) {
        for (const bool whole : {true, false}) {
            Net net = chain(tiled);
            net.dx_of_input = whole;
            check_against_naive("Winograd in a chain", net, real_numbers(net, 19, random), kToleranceOfChain);
        }
    }
}

Net grey() {
    const Side five{5, 1, 1, 2, 2};
    Net net(1, 37, 11, Loss::kCrossEntropy);
    net.conv(7, {five, five}).activation(Activation::kTanh).flatten().linear(5);
    net.tiled = Tiled::kAll;
    net.dx_of_input = false;
    return net;
}

void test_threads_alike(const Net& net, const Engine& engine) {
    Random random(39);
    for (const int count : {1, 16, 17, 33, 50}) {
        const Data data = real_numbers(net, count, random);
        Result expected;
        Batch alone = make_batch(net, data, 1, Task::kLearn, expected);
        make_runner(net, engine).run(alone);
        for (int threads = 2; threads <= 4; ++threads) {
            Result result;
            Batch batch = make_batch(net, data, threads, Task::kLearn, result);
            make_runner(net, engine).run(batch);
            const std::string here = "Winograd, batch of " + std::to_string(count) + " on " + std::to_string(threads) +
                                     " threads, " + engine.name;
            check_same(result.outputs, expected.outputs, here + ", outputs");
            check_same(result.gradients, expected.gradients, here + ", gradients");
            check(batch.loss == alone.loss, here + ", loss");
        }
    }
}

}  // namespace

void test_winograd() {
    test_filters_and_channels();
    test_maps();
    test_one_map();
    test_batches();
    test_random_cases();
    test_chain();
    for (const Engine* engine : engines()) {
        test_threads_alike(chain(Tiled::kAll), *engine);
        test_threads_alike(grey(), *engine);
    }
}

}  // namespace pellucid
