#include <algorithm>
#include <cmath>

#include "check.hpp"
#include "guarded.hpp"
#include "tests.hpp"

namespace pellucid {
namespace {

constexpr int kCounts[] = {2, 15, 16, 17, 33};
constexpr double kCumulative = -1.0;

struct Maps {
    int channels, height, width;
};

constexpr Maps kMaps[] = {{1, 1, 1}, {3, 1, 1}, {17, 1, 1}, {1, 4, 7}, {3, 5, 2}, {17, 3, 4}};

std::string name(const Maps& maps, bool per_pixel, int count) {
    return std::to_string(maps.channels) + " maps of " + std::to_string(maps.height) + "×" +
           std::to_string(maps.width) + (per_pixel ? ", per pixel" : "") + ", batch of " + std::to_string(count);
}

// Convolutions on both sides, so that δ comes from one, goes to one, and all maps have borders.
Net between_convolutions(const Maps& maps, bool per_pixel, double momentum) {
    const Window same{{3, 1, 1, 1, 1}, {3, 1, 1, 1, 1}};
    Net net(2, maps.height, maps.width);
    net.conv(maps.channels, same).batch_norm(per_pixel, 0.125, momentum).activation(Activation::kTanh);
    return net.conv(2, same).flatten();
}

void test_shapes() {
    Random random(32);
    for (const Maps& maps : kMaps) {
        for (const bool per_pixel : {false, true}) {
            for (const int count : kCounts) {
                // Odd batches take what even ones do not.
                Net net = between_convolutions(maps, per_pixel, count % 2 ? kCumulative : 0.25);
                net.reused = count % 2 == 1;
                check_against_naive("batch norm, " + name(maps, per_pixel, count), net,
                                    real_numbers(net, count, random), 1e-5);
            }
        }
    }
}

void test_prediction() {
    Random random(33);
    for (const Maps& maps : kMaps) {
        for (const bool per_pixel : {false, true}) {
            const Net net = between_convolutions(maps, per_pixel, 0.25);
            check_against_naive("predicting with batch norm, " + name(maps, per_pixel, 33), net,
                                real_numbers(net, 33, random), 1e-5, Task::kEvaluate);
        }
    }
}

// Straight from the samples to the loss, and without δ of the samples; one statistic of very many values.
void test_alone() {
    Random random(34);
    for (const bool dx_of_input : {false, true}) {
        Net net(3, 31, 33);
        net.dx_of_input = dx_of_input;
        net.batch_norm(false, 1e-5).flatten();
        check_against_naive("batch norm alone", net, real_numbers(net, 33, random), 1e-5);
    }
}

// Of numbers far from 0, a float's last bits are what the variance is made of; E[x²] − E[x]² would have none of it.
void test_far_from_zero() {
    Random random(35);
    for (const bool per_pixel : {false, true}) {
        Net net(2, 3, 4);
        net.batch_norm(per_pixel, 1e-5).flatten();
        Data data = real_numbers(net, 33, random);
        data.mean.clear();
        for (float& x : data.images) x += 4096.0f;
        check_against_naive("batch norm far from zero", net, data, 2e-3);
    }
}

void test_nan() {
    Random random(36);
    Net net(2, 1, 3);
    net.batch_norm().flatten();
    Data data = real_numbers(net, 17, random);
    data.images[static_cast<std::size_t>(data.rows[16]) * 6 + 1] = NAN;
    check_against_naive("batch norm, NaN in one of two maps", net, data, 1e-5);
}

// Into the convolution by points behind it: maps of every edge, and every padding, whose zeros come after the
// activation. Winograd's tolerance, as for a chain of such convolutions.
void check_before_convolution(int side, int padding, Activation activation, int count, bool reused, Random& random) {
    const Side rows{3, 1, 1, padding, padding}, columns{3, 1, 1, padding, 4 - padding};
    Net net(5, side, 15 - side);
    net.conv(9, {{1}, {1}}).batch_norm().activation(activation, 0.5f);
    net.conv(17, {rows, columns}).batch_norm().activation(Activation::kReLU);
    net.conv(3, {columns, rows}).flatten();
    net.tiled = Tiled::kAll;
    net.reused = reused;
    const std::string what = "batch norm before a convolution, " + std::to_string(side) + " rows, padding " +
                             std::to_string(padding) + ", activation " + std::to_string(static_cast<int>(activation));
    check_against_naive(what, net, real_numbers(net, count, random), 8e-5, Task::kLearn);
    check_against_naive(what + ", predicting", net, real_numbers(net, count, random), 8e-5, Task::kEvaluate);
}

void test_before_convolution() {
    Random random(38);
    for (int kind = 0; kind <= 5; ++kind) {
        for (const bool reused : {false, true}) {
            check_before_convolution(7, 1, static_cast<Activation>(kind), 17, reused, random);
        }
    }
    for (int padding = 0; padding <= 4; ++padding) {
        for (int side = 6; side <= 9; ++side) {
            check_before_convolution(side, padding, Activation::kReLU, 3, side % 2 == 0, random);
        }
    }
}

// x = 1 and 3: mean 2, variance 1, of a sample 2. Then 5 and 5: mean 5, variance 0. Then 0 and 4: 2, 4, of a sample 8.
void test_running_statistics(const Engine& engine) {
    struct Expected {
        double momentum, state[3][3];
    };
    const Expected cases[] = {{0.25, {{0.5, 1.25, 1}, {1.625, 0.9375, 2}, {1.71875, 2.703125, 3}}},
                              {kCumulative, {{2, 2, 1}, {3.5, 1, 2}, {3, 10.0 / 3.0, 3}}}};
    for (const Expected& c : cases) {
        Net net(1, 1, 1);
        net.batch_norm(false, 0.0, c.momentum);
        Random random(37);
        Data data = whole_numbers(net, 2, random);
        data.images = {1.0f, 3.0f, 5.0f, 0.0f, 4.0f};
        data.mean.clear();
        data.params = {2.0f, 0.5f};
        data.state = {0.0f, 1.0f, 0.0f};
        const std::int64_t rows[][2] = {{0, 1}, {2, 2}, {3, 4}};
        Runner runner = make_runner(net, engine);
        for (std::size_t i = 0; i < 3; ++i) {
            data.rows.assign(std::begin(rows[i]), std::end(rows[i]));
            Result result;
            Batch batch = make_batch(net, data, 1, Task::kLearn, result);
            runner.run(batch);
            const std::string here = "running statistics, momentum " + std::to_string(c.momentum) + ", " + engine.name;
            check_close(result.state, c.state[i], 1e-7, here);
            if (i == 0) check_close(result.outputs, std::vector<double>{-1.5, 2.5}, 0.0, here + ", outputs");
            data.state = result.state;
        }
    }
}

}  // namespace

void test_batch_norm() {
    test_shapes();
    test_prediction();
    test_alone();
    test_far_from_zero();
    test_nan();
    test_before_convolution();
    for (const Engine* engine : engines()) test_running_statistics(*engine);
}

}  // namespace pellucid
