#include <cmath>
#include <cstddef>
#include <vector>

#include "check.hpp"
#include "guarded.hpp"
#include "tests.hpp"

namespace pellucid {
namespace {

#include "kernels/sum_lanes.hpp"
#include "kernels/winograd_by_point_weights.hpp"
#include "kernels/winograd_five_weights.hpp"

// The transforms of F(4, 3) and F(4, 5) under one name, and the points that make their matrices.

constexpr double kEnd = 1e9;  // stands for ∞

struct OfThree {
    static constexpr int kKernel = 3, kValues = kPoints;
    static constexpr double kAt[kValues] = {0, 1, -1, 2, -2, kEnd};
    static constexpr double kScale[kValues] = {1.0 / 4, -1.0 / 6, -1.0 / 6, 1.0 / 24, 1.0 / 24, 1};

    static void input(const lanes* x, lanes* t) { transform_input(x, 1, t); }
    static void products(const lanes* p, lanes* y) { transform_products(p, 1, y); }
    static void output_back(const lanes* dy, lanes* v) { transform_output_back(dy, 1, v); }
    static void weights(const lanes* w, lanes* u) { transform_weights(w, 1, u, 1); }
    static void weights_back(const lanes* u, lanes* w) { transform_weights_back(u, 1, w, 1); }
};

struct OfFive {
    static constexpr int kKernel = 5, kValues = kPointsOfFive;
    static constexpr double kAt[kValues] = {0, 1, -1, kEnd, 2, -2, 0.5, -0.5};
    static constexpr double kScale[kValues] = {1, -2.0 / 9, -2.0 / 9, 1, 1.0 / 90, 1.0 / 90, 32.0 / 45, 32.0 / 45};

    static void input(const lanes* x, lanes* t) { five::transform_input(x, 1, t); }
    static void products(const lanes* p, lanes* y) {
        lanes rest[kSide];
        five::transform_products<0>(p, y);
        five::transform_products<1>(p + five::kHalf, rest);
        for (int m = 0; m < kSide; ++m) y[m] += rest[m];
    }
    static void output_back(const lanes* dy, lanes* v) { five::transform_whole_output_back(dy, v); }
    static void weights(const lanes* w, lanes* u) { five::transform_weights(w, 1, u); }
    static void weights_back(const lanes* u, lanes* w) { five::transform_weights_back(u, 1, w, 1); }
};

void draw(Random& random, int multiple, lanes* v, int count) {
    for (int i = 0; i < count; ++i) {
        for (int t = 0; t < kLanes; ++t) v[i][t] = static_cast<float>(multiple * random.integer(-9, 9));
    }
}

// got[i] = Σ_j entry(i, j)·given[j] in every lane, but for the rounding of some sums.
void check_product(const lanes* got, int rows, const lanes* given, int columns, auto&& entry, const std::string& what) {
    bool equal = true;
    for (int i = 0; i < rows; ++i) {
        for (int t = 0; t < kLanes; ++t) {
            double sum = 0.0, size = 0.0;
            for (int j = 0; j < columns; ++j) {
                sum += entry(i, j) * static_cast<double>(given[j][t]);
                size += std::abs(entry(i, j) * static_cast<double>(given[j][t]));
            }
            equal = equal && std::abs(static_cast<double>(got[i][t]) - sum) <= 5e-7 * size;
        }
    }
    check(equal, what);
}

// The power of a point, or of ∞.
double power(double point, int exponent, int last) {
    return point == kEnd ? exponent == last : std::pow(point, exponent);
}

template <typename Of>
void test_matrices() {
    constexpr int kKernel = Of::kKernel;
    const std::string here = " of F(4, " + std::to_string(kKernel) + ")";
    const auto a = [](int i, int m) { return power(Of::kAt[i], m, kSide - 1); };
    const auto g = [](int i, int r) { return Of::kScale[i] * power(Of::kAt[i], r, kKernel - 1); };
    const auto turned = [](auto matrix) { return [matrix](int i, int j) { return matrix(j, i); }; };
    Random random(31);
    for (int round = 0; round < 20; ++round) {
        lanes all[Of::kValues], few[kKernel > kSide ? kKernel : kSide], found[Of::kValues];
        draw(random, 1, all, Of::kValues);
        draw(random, 1, few, kKernel > kSide ? kKernel : kSide);
        Of::products(all, found);
        check_product(found, kSide, all, Of::kValues, turned(a), "Aᵀp" + here);
        Of::output_back(few, found);
        check_product(found, Of::kValues, few, kSide, a, "A dy" + here);
        Of::weights(few, found);
        check_product(found, Of::kValues, few, kKernel, g, "G w" + here);
        Of::weights_back(all, found);
        check_product(found, kKernel, all, Of::kValues, turned(g), "Gᵀu" + here);
    }
}

// Of five, what transforms one entry, or goes back, is what transforms them all, or its transpose.
template <int I>
void test_entries_of_five(Random& random) {
    lanes x[kPointsOfFive], t[kPointsOfFive], unit[kPointsOfFive], back[kPointsOfFive], rest[kPointsOfFive];
    draw(random, 1, x, kPointsOfFive);
    five::transform_input(x, 1, t);
    const lanes* rows[kPointsOfFive];
    for (int r = 0; r < kPointsOfFive; ++r) rows[r] = x + r;
    const lanes entry = five::input_at<I>(rows, 0);
    for (lanes& v : unit) v = lanes{};
    unit[I] = lanes{} + 1.0f;
    five::transform_input_back<0>(unit, back);
    five::transform_input_back<1>(unit + five::kHalf, rest);
    lanes sum{};
    for (int r = 0; r < kPointsOfFive; ++r) sum += (back[r] + rest[r]) * x[r];
    bool equal = true;
    for (int s = 0; s < kLanes; ++s) equal = equal && entry[s] == t[I][s] && sum[s] == t[I][s];
    check(equal, "entry " + std::to_string(I) + " of Bᵀx");
}

// y = Aᵀ[(G w) ⊙ (Bᵀ x)] is the correlation, and dw = Gᵀ[(Bᵀ x) ⊙ (A dy)] its derivative.
template <typename Of>
void test_correlation() {
    constexpr int kKernel = Of::kKernel, kValues = Of::kValues;
    Random random(32);
    for (int round = 0; round < 20; ++round) {
        lanes x[kValues], w[kKernel], dy[kSide], u[kValues], t[kValues], v[kValues], products[kValues], y[kSide];
        lanes dw[kKernel];
        draw(random, 1, x, kValues);
        draw(random, 1, w, kKernel);
        draw(random, 1, dy, kSide);
        Of::weights(w, u);
        Of::input(x, t);
        Of::output_back(dy, v);
        for (int i = 0; i < kValues; ++i) products[i] = u[i] * t[i];
        Of::products(products, y);
        for (int i = 0; i < kValues; ++i) products[i] = t[i] * v[i];
        Of::weights_back(products, dw);
        const std::string here = " by F(4, " + std::to_string(kKernel) + ")";
        const auto x_at = [&](int r) { return [&, r](int m, int k) { return double{x[m + k][r]}; }; };
        bool equal[2] = {true, true};
        for (int lane = 0; lane < kLanes; ++lane) {
            const auto at = x_at(lane);
            for (int m = 0; m < kSide; ++m) {
                double wanted = 0.0;
                for (int r = 0; r < kKernel; ++r) wanted += double{w[r][lane]} * at(m, r);
                equal[0] = equal[0] && std::abs(double{y[m][lane]} - wanted) <= 1e-3;
            }
            for (int r = 0; r < kKernel; ++r) {
                double wanted = 0.0;
                for (int m = 0; m < kSide; ++m) wanted += double{dy[m][lane]} * at(m, r);
                equal[1] = equal[1] && std::abs(double{dw[r][lane]} - wanted) <= 1e-2;
            }
        }
        check(equal[0], "y" + here);
        check(equal[1], "dw" + here);
    }
}

// Where all inputs are the same, so are all outputs, to the last bit.
template <typename Of>
void test_constant() {
    Random random(42);
    for (int round = 0; round < 20; ++round) {
        lanes x[Of::kValues], w[Of::kKernel], u[Of::kValues], t[Of::kValues], y[kSide];
        x[0] = lanes{} + random.real();
        for (lanes& pixel : x) pixel = x[0];
        for (lanes& weight : w) weight = lanes{} + random.real();
        Of::weights(w, u);
        Of::input(x, t);
        bool zero = true, same = true;
        for (int i = 0; i < Of::kValues; ++i) zero = zero && (i == 1 || t[i][0] == 0.0f);
        for (int i = 0; i < Of::kValues; ++i) t[i] *= u[i];
        Of::products(t, y);
        for (int m = 1; m < kSide; ++m) same = same && y[m][0] == y[0][0];
        check(zero && same, "a map of one colour by F(4, " + std::to_string(Of::kKernel) + ")");
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
        transform_weights(w, 1, u, 1);
        transform_edge_input<N>(x, t);
        transform_edge_back<N>(dy, v);
        for (int i = 0; i < kPoints; ++i) products[i] = takes_point(N, i) ? u[i] * t[i] : lanes{} + NAN;
        transform_edge_products<N>(products, 1, y);
        for (int i = 0; i < kPoints; ++i) products[i] = t[i] * v[i];
        transform_weights_back(products, 1, dw, 1);
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
    Planned planned(net, 0);
    const Layout& layout = planned.layout;
    const Program& program = planned.program;
    Step& step = planned.steps[0];
    const Slot& in = layout.slots[0];
    const std::size_t numbers = static_cast<std::size_t>(net.parameters);
    std::vector<Cell> arena(static_cast<std::size_t>(layout.arena)), scratch(static_cast<std::size_t>(layout.scratch));
    std::vector<float> params(numbers);
    std::vector<Cell> packed(static_cast<std::size_t>(vectors_of(layout.packed)));
    for (float& param : params) param = random.real();
    for (Cell& cell : arena) {
        for (int t = 0; t < kLanes; ++t) cell.v[t] = random.real();
    }
    const std::vector<Cell> before = arena;
    const auto at = [&](std::ptrdiff_t i) { return static_cast<std::size_t>(in.delta + i); };
    pack_by_point(program, step, params.data(), reinterpret_cast<float*>(lanes_of(packed)), {0, 1});
    dx_by_point(program, step, lanes_of(arena), lanes_of(scratch), lanes_of(packed), params.data(), {0, 1});
    std::vector<Cell> added = before;
    step.adds = true;
    dx_by_point(program, step, lanes_of(added), lanes_of(scratch), lanes_of(packed), params.data(), {0, 1});
    bool equal = true;
    for (std::ptrdiff_t i = 0; i < in.channels * in.plane(); ++i) {
        const int column = static_cast<int>(i % in.pitch()) - in.border;
        const bool inside = column >= 0 && column < in.width;
        const lanes wanted = inside ? before[at(i)].v + arena[at(i)].v : before[at(i)].v;
        for (int t = 0; t < kLanes; ++t) equal = equal && added[at(i)].v[t] == wanted[t];
    }
    check(equal, "dx by points, added to what was there");
    std::vector<float> once(numbers, 0.5f), twice = once;
    const Source source(program, step, params.data(), nullptr);
    weights_by_point(program, step, source, lanes_of(arena), lanes_of(scratch), once.data(), false, {0, 1});
    weights_by_point(program, step, source, lanes_of(arena), lanes_of(scratch), twice.data(), true, {0, 1});
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

}  // namespace

void test_winograd_transforms() {
    test_matrices<OfThree>();
    test_matrices<OfFive>();
    test_correlation<OfThree>();
    test_correlation<OfFive>();
    test_constant<OfThree>();
    test_constant<OfFive>();
    Random random(43);
    five::for_each_row([&]<int I>() { test_entries_of_five<I>(random); });
    test_edge<1>();
    test_edge<2>();
    test_edge<3>();
    test_edge<4>();
    test_sums_of_lanes();
    test_turn();
    test_adding();
}

}  // namespace pellucid
