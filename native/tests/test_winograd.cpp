#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

#include "check.hpp"
#include "guarded.hpp"
#include "tests.hpp"

namespace pellucid {
namespace {

#include "kernels/sum_lanes.hpp"
#include "kernels/winograd_by_point_weights.hpp"

// The transforms against their matrices, exactly: small whole numbers, and multiples of 24 where they divide by it.

const double kInput[kPoints][kPoints] = {{4, 0, -5, 0, 1, 0},  {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0},
                                         {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}};

// The power of a point, or of ∞.
double power(int point, int exponent, int last) {
    const double points[] = {0, 1, -1, 2, -2};
    return point < 5 ? std::pow(points[point], exponent) : exponent == last;
}

template <int M>
double output_matrix(int i, int m) {
    return power(i, m, M - 1);
}

template <int R>
double weight_matrix(int i, int r) {
    const double scale[] = {1.0 / 4, -1.0 / 6, -1.0 / 6, 1.0 / 24, 1.0 / 24, 1.0};
    return scale[i] * power(i, r, R - 1);
}

void draw(Random& random, int multiple, lanes* v, int count) {
    for (int i = 0; i < count; ++i) {
        for (int t = 0; t < kLanes; ++t) v[i][t] = static_cast<float>(multiple * random.integer(-9, 9));
    }
}

// got[i] = Σ_j entry(i, j)·given[j] in every lane; a 24th of a multiple of 24 is whole.
void check_product(const lanes* got, int rows, const lanes* given, int columns, auto&& entry, const std::string& what) {
    bool equal = true;
    for (int i = 0; i < rows; ++i) {
        for (int t = 0; t < kLanes; ++t) {
            double sum = 0.0;
            for (int j = 0; j < columns; ++j) sum += std::round(24 * entry(i, j)) * static_cast<double>(given[j][t]);
            equal = equal && static_cast<double>(got[i][t]) == sum / 24;
        }
    }
    check(equal, what);
}

template <int M>
void test_matrices() {
    constexpr int kKernel = kPoints + 1 - M;
    const std::string here = " of F(" + std::to_string(M) + ", " + std::to_string(kKernel) + ")";
    const auto a = [](int i, int m) { return output_matrix<M>(i, m); };
    const auto b = [](int i, int j) { return kInput[i][j]; };
    const auto g = [](int i, int r) { return weight_matrix<kKernel>(i, r); };
    const auto turned = [](auto matrix) { return [matrix](int i, int j) { return matrix(j, i); }; };
    Random random(31);
    for (int round = 0; round < 20; ++round) {
        lanes six[kPoints], few[kPoints], found[kPoints];
        draw(random, 24, six, kPoints);
        draw(random, 24, few, kPoints);
        transform_input(six, 1, found);
        check_product(found, kPoints, six, kPoints, b, "Bᵀx" + here);
        transform_input_back(six, 1, found);
        check_product(found, kPoints, six, kPoints, turned(b), "B t" + here);
        transform_products<M>(six, 1, found);
        check_product(found, M, six, kPoints, turned(a), "Aᵀp" + here);
        transform_output_back<M>(few, 1, found);
        check_product(found, kPoints, few, M, a, "A dy" + here);
        transform_weights<kKernel>(few, 1, found, 1);
        check_product(found, kPoints, few, kKernel, g, "G w" + here);
        transform_weights_back<kKernel>(six, 1, found, 1);
        check_product(found, kKernel, six, kPoints, turned(g), "Gᵀu" + here);
    }
}

// y = Aᵀ[(G w) ⊙ (Bᵀ x)] is the correlation, and its derivatives are those of the correlation.
template <int M>
void test_correlation() {
    constexpr int kKernel = kPoints + 1 - M;
    Random random(32);
    for (int round = 0; round < 20; ++round) {
        lanes x[kPoints], w[kKernel], dy[M], u[kPoints], t[kPoints], v[kPoints], products[kPoints];
        lanes y[M], dx[kPoints], dw[kKernel];
        draw(random, 1, x, kPoints);
        draw(random, 24, w, kKernel);
        draw(random, 24, dy, M);
        transform_weights<kKernel>(w, 1, u, 1);
        transform_input(x, 1, t);
        transform_output_back<M>(dy, 1, v);
        for (int i = 0; i < kPoints; ++i) products[i] = u[i] * t[i];
        transform_products<M>(products, 1, y);
        for (int i = 0; i < kPoints; ++i) products[i] = u[i] * v[i];
        transform_input_back(products, 1, dx);
        for (int i = 0; i < kPoints; ++i) products[i] = t[i] * v[i];
        transform_weights_back<kKernel>(products, 1, dw, 1);
        const std::string here = " by F(" + std::to_string(M) + ", " + std::to_string(kKernel) + ")";
        const auto between = [](int from, int at, int to) { return at >= from && at < to; };
        const auto weight = [&](int t0, int i) { return between(0, i, kKernel) ? double{w[i][t0]} : 0.0; };
        bool equal[3] = {true, true, true};
        for (int lane = 0; lane < kLanes; ++lane) {
            double wanted_y[M] = {}, wanted_dx[kPoints] = {}, wanted_dw[kKernel] = {};
            for (int m = 0; m < M; ++m) {
                for (int r = 0; r < kKernel; ++r) {
                    wanted_y[m] += weight(lane, r) * double{x[m + r][lane]};
                    wanted_dx[m + r] += weight(lane, r) * double{dy[m][lane]};
                    wanted_dw[r] += double{dy[m][lane]} * double{x[m + r][lane]};
                }
            }
            for (int m = 0; m < M; ++m) equal[0] = equal[0] && double{y[m][lane]} == wanted_y[m];
            for (int i = 0; i < kPoints; ++i) equal[1] = equal[1] && double{dx[i][lane]} == wanted_dx[i];
            for (int r = 0; r < kKernel; ++r) equal[2] = equal[2] && double{dw[r][lane]} == wanted_dw[r];
        }
        check(equal[0], "y" + here);
        check(equal[1], "dx" + here);
        check(equal[2], "dw" + here);
    }
}

// A tile that ends at the edge, with the weights of a whole one and the points that it takes.
template <int N>
void test_edge() {
    constexpr int kKernel = 3, kInputs = N + kKernel - 1;
    Random random(40);
    for (int round = 0; round < 20; ++round) {
        lanes x[kInputs], w[kKernel], dy[N], u[kPoints], t[kPoints], v[kPoints], products[kPoints], y[N], dw[kKernel];
        draw(random, 1, x, kInputs);
        draw(random, 24, w, kKernel);
        draw(random, 24, dy, N);
        transform_weights<kKernel>(w, 1, u, 1);
        transform_edge_input<N>(x, t);
        transform_edge_back<N>(dy, v);
        for (int i = 0; i < kPoints; ++i) products[i] = takes_point(N, i) ? u[i] * t[i] : lanes{} + NAN;
        transform_edge_products<N>(products, 1, y);
        for (int i = 0; i < kPoints; ++i) products[i] = t[i] * v[i];
        transform_weights_back<kKernel>(products, 1, dw, 1);
        bool equal[2] = {true, true};
        for (int lane = 0; lane < kLanes; ++lane) {
            double wanted_dw[kKernel] = {};
            for (int m = 0; m < N; ++m) {
                double wanted = 0.0;
                for (int r = 0; r < kKernel; ++r) {
                    wanted += double{w[r][lane]} * double{x[m + r][lane]};
                    wanted_dw[r] += double{dy[m][lane]} * double{x[m + r][lane]};
                }
                equal[0] = equal[0] && double{y[m][lane]} == wanted;
            }
            for (int r = 0; r < kKernel; ++r) equal[1] = equal[1] && double{dw[r][lane]} == wanted_dw[r];
        }
        check(equal[0], "y of " + std::to_string(N) + " outputs at the edge");
        check(equal[1], "dw of " + std::to_string(N) + " outputs at the edge");
    }
}

void test_turn() {
    lanes given[3 * kLanes], turned[2 * kLanes];
    for (int i = 0; i < kLanes; ++i) {
        for (int t = 0; t < kLanes; ++t) given[3 * i][t] = static_cast<float>(100 * i + t);
    }
    turn(given, 3, kLanes, turned, 2);
    bool equal = true;
    for (int i = 0; i < kLanes; ++i) {
        for (int t = 0; t < kLanes; ++t) equal = equal && turned[2 * i][t] == static_cast<float>(100 * t + i);
    }
    check(equal, "16×16 numbers, turned");
}

// `lanes` for a vector of the standard library, which would drop their alignment.
struct Cell {
    lanes v;
};

lanes* lanes_of(std::vector<Cell>& cells) { return &cells.data()->v; }

// dx on top of what lies in δ of the input, and a weight gradient on top of another, are their sums.
void test_adding() {
    Random random(41);
    Net net = Net(5, 7, 6).conv(18, {{3, 1, 1, 1, 1}, {3, 1, 1, 1, 1}});
    net.tiled = Tiled::kAll;
    const Layout layout = net.layout(0);
    Step step = layout.plans[0].step;
    Program program = net.program(layout);
    program.slots = layout.slots.data();
    program.steps = &step;
    program.step_count = 1;
    const Slot& in = layout.slots[0];
    const std::size_t numbers = static_cast<std::size_t>(net.parameters);
    std::vector<Cell> arena(static_cast<std::size_t>(layout.arena)), scratch(static_cast<std::size_t>(layout.scratch));
    std::vector<float> params(numbers), packed(static_cast<std::size_t>(layout.packed));
    for (float& param : params) param = random.real();
    for (Cell& cell : arena) {
        for (int t = 0; t < kLanes; ++t) cell.v[t] = random.real();
    }
    const std::vector<Cell> before = arena;
    const auto at = [&](std::ptrdiff_t i) { return static_cast<std::size_t>(in.delta + i); };
    pack_by_point(program, step, params.data(), packed.data(), {0, 1});
    dx_by_point(program, step, lanes_of(arena), lanes_of(scratch), packed.data(), {0, 1});
    std::vector<Cell> added = before;
    step.adds = true;
    dx_by_point(program, step, lanes_of(added), lanes_of(scratch), packed.data(), {0, 1});
    bool equal = true;
    for (std::ptrdiff_t i = 0; i < in.channels * in.plane(); ++i) {
        const int column = static_cast<int>(i % in.pitch()) - in.border;
        const bool inside = column >= 0 && column < in.width;
        const lanes wanted = inside ? before[at(i)].v + arena[at(i)].v : before[at(i)].v;
        for (int t = 0; t < kLanes; ++t) equal = equal && added[at(i)].v[t] == wanted[t];
    }
    check(equal, "dx by points, added to what was there");
    std::vector<float> once(numbers, 0.5f), twice = once;
    weights_by_point(program, step, lanes_of(arena), lanes_of(scratch), once.data(), false, {0, 1});
    weights_by_point(program, step, lanes_of(arena), lanes_of(scratch), twice.data(), true, {0, 1});
    bool sums = true;
    for (std::size_t i = 0; i < 9 * 5 * 18; ++i) sums = sums && once[i] != 0.5f && twice[i] == 0.5f + once[i];
    check(sums, "a weight gradient by points, added to what was there");
}

void test_sums_of_lanes() {
    Random random(33);
    lanes v[16];
    draw(random, 1, v, 16);
    const lanes sums = sum_lanes_of_16(v);
    for (int i = 0; i < 16; ++i) {
        float sum = 0.0f;
        for (int t = 0; t < kLanes; ++t) sum += v[i][t];
        check(sums[i] == sum && sum_lanes(v[i]) == sum, "the sum of the lanes of vector " + std::to_string(i));
    }
}

// Whole convolutions.

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
// transforms' large numbers cancel. The worst seen in the 307 convolutions below was 5.8e-6, in the chain 1.4e-5.
constexpr double kTolerance = 2e-5, kToleranceOfChain = 4e-5;

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
    // By points: more than 64 channels of a product, more than 64 or 128 filters or channels of a block.
    for (const auto& [channels, filters] : {std::pair{1, 70}, {65, 3}, {70, 67}, {66, 130}, {133, 66}, {131, 145}}) {
        check_case({channels, filters, 5, 7, 3, 1, channels > 66}, 2, random);
    }
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

void test_threads_alike(const Engine& engine) {
    Random random(39);
    for (const int count : {1, 16, 17, 33, 50}) {
        const Net net = chain(Tiled::kAll);
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
    test_matrices<2>();
    test_matrices<4>();
    test_correlation<2>();
    test_correlation<4>();
    test_edge<1>();
    test_edge<2>();
    test_edge<3>();
    test_edge<4>();
    test_sums_of_lanes();
    test_turn();
    test_adding();
    test_filters_and_channels();
    test_maps();
    test_batches();
    test_random_cases();
    test_chain();
    for (const Engine* engine : engines()) test_threads_alike(*engine);
}

}  // namespace pellucid
