#include <cmath>

#include "guarded.hpp"
#include "tests.hpp"

namespace pellucid {
namespace {

struct Case {
    const char* what;
    int channels, height, width;
    Window window;
};

const Case kMaxCases[] = {
    {"2×2", 3, 6, 8, {{2, 2}, {2, 2}}},
    {"2×2, odd pixels left over", 2, 7, 9, {{2, 2}, {2, 2}}},
    {"2×2, an odd row left over", 2, 7, 8, {{2, 2}, {2, 2}}},
    {"2×2, an odd column left over", 2, 8, 7, {{2, 2}, {2, 2}}},
    {"2×2, last windows over the edge", 2, 7, 9, {{2, 2, 1, 0, 1}, {2, 2, 1, 0, 1}}},
    {"2×2, padding", 2, 5, 6, {{2, 2, 1, 1, 1}, {2, 2, 1, 1, 1}}},
    {"3×3, windows that overlap", 2, 8, 7, {{3, 2}, {3, 2}}},
    {"3×2, stride 1, padding", 1, 5, 4, {{3, 1, 1, 1, 1}, {2, 1, 1, 1, 0}}},
    {"2×3, strides longer than the window", 2, 9, 11, {{2, 3}, {3, 5}}},
    {"3×3, dilated", 2, 9, 8, {{3, 1, 2, 1, 1}, {3, 2, 3, 2, 2}}},
    {"the whole map", 5, 4, 3, {{4}, {3}}},
    {"one pixel", 3, 1, 1, {}},
};

const Case kAverageCases[] = {
    {"2×2", 3, 6, 8, {{2, 2}, {2, 2}}},
    {"2×2, odd pixels left over", 2, 7, 9, {{2, 2}, {2, 2}}},
    {"4×2, windows that overlap", 2, 7, 6, {{4, 1}, {2, 1}}},
    {"4×4, padding", 2, 6, 7, {{4, 2, 1, 2, 2}, {4, 3, 1, 1, 2}}},
    {"the whole map", 5, 4, 8, {{4}, {8}}},
};

// Small whole numbers are often equal, so that the first of equal pixels must win. A convolution comes before, so that
// there is something to learn, and one after, so that the pooled maps have borders.
Net pooled(const Case& c, auto&& pool) {
    Net net(c.channels, c.height, c.width);
    net.conv(c.channels, {}, c.channels);
    pool(net);
    return net.conv(2, {{1, 1, 1, 0, 0}, {3, 1, 1, 1, 1}}).flatten();
}

void test_max() {
    Random random(5);
    for (const Case& c : kMaxCases) {
        const Net net = pooled(c, [&](Net& n) { n.max_pool(c.window); });
        for (const int count : {2, 17}) {
            check_against_naive(std::string("max pooling ") + c.what, net, whole_numbers(net, count, random), 0.0);
        }
    }
}

void test_average() {
    Random random(6);
    for (const Case& c : kAverageCases) {
        const Net net = pooled(c, [&](Net& n) { n.avg_pool(c.window, true); });
        for (const int count : {2, 17}) {
            check_against_naive(std::string("average pooling ") + c.what, net, whole_numbers(net, count, random), 0.0);
        }
    }
    const Case edges{"", 2, 5, 7, {{3, 2, 1, 1, 1}, {3, 2, 1, 1, 1}}};
    const Net net = pooled(edges, [&](Net& n) { n.avg_pool(edges.window, false); });
    check_against_naive("average pooling, padding not counted", net, real_numbers(net, 5, random), 1e-6);
}

// δ goes through pool and activation in one pass where windows of 2×2 cover the map, in two where a row is left over.
void test_average_of_activations() {
    Random random(7);
    for (const Activation kind : {Activation::kNone, Activation::kReLU, Activation::kLeakyReLU, Activation::kELU,
                                  Activation::kSigmoid, Activation::kTanh}) {
        for (const int height : {6, 7}) {
            Net net(2, height, 8);
            net.conv(5, {{3, 1, 1, 1, 1}, {3, 1, 1, 1, 1}}).activation(kind, 0.5f).avg_pool({{2, 2}, {2, 2}}, true);
            net.activation(Activation::kTanh).flatten().linear(3);
            const std::string what = "average pooling behind activation " + std::to_string(static_cast<int>(kind));
            for (const int count : {1, 17}) check_against_naive(what, net, real_numbers(net, count, random), 2e-6);
        }
    }
}

// NaN wins its windows, and its δ goes back to it; the windows without one do not notice.
void test_nan() {
    Random random(7);
    for (const Window& window : {Window{{2, 2}, {2, 2}}, Window{{3, 1, 1, 1, 1}, {3, 1, 1, 1, 1}}}) {
        Net net(1, 6, 8);
        net.conv(1, {}, 1, false, false).max_pool(window).flatten();
        Data data = whole_numbers(net, 3, random);
        data.params = {1.0f};
        for (std::size_t i = 0; i < data.images.size(); i += 17) data.images[i] = NAN;
        check_against_naive("max pooling, NaN", net, data, 0.0);
    }
}

void test_flatten() {
    Random random(8);
    for (const bool column_major : {false, true}) {
        Net net(3, 4, 5);
        net.conv(3, {{3, 1, 1, 1, 1}, {3, 1, 1, 1, 1}}).flatten(column_major).linear(5);
        check_against_naive("flatten", net, whole_numbers(net, 18, random), 0.0);
    }
}

}  // namespace

void test_pooling() {
    test_max();
    test_average();
    test_average_of_activations();
    test_nan();
    test_flatten();
}

}  // namespace pellucid
