#include <algorithm>

#include "guarded.hpp"
#include "tests.hpp"

namespace pellucid {
namespace {

struct Case {
    const char* what;
    int channels, filters, height, width;
    Window window;
    int groups = 1;
    bool flip = false, bias = true;
};

const Case kCases[] = {
    {"1×1", 3, 4, 5, 7, {}},
    {"1×1, stride 2", 2, 3, 5, 8, {{1, 2}, {1, 2}}},
    {"one pixel, as a linear layer", 37, 29, 1, 1, {}},
    {"one pixel, groups", 6, 4, 1, 1, {}, 2},
    {"one pixel, no bias", 16, 17, 1, 1, {}, 1, false, false},
    {"3×3", 3, 5, 7, 9, {{3}, {3}}},
    {"3×3, flipped", 2, 3, 6, 5, {{3}, {3}}, 1, true},
    {"3×2, flipped, same size", 2, 3, 5, 4, {{3, 1, 1, 1, 1}, {2, 1, 1, 0, 1}}, 1, true},
    {"3×3, same size", 2, 7, 5, 6, {{3, 1, 1, 1, 1}, {3, 1, 1, 1, 1}}},
    {"4×4, same size, odd pixel after", 2, 2, 6, 7, {{4, 1, 1, 1, 2}, {4, 1, 1, 1, 2}}},
    {"3×3, full size", 2, 3, 4, 5, {{3, 1, 1, 2, 2}, {3, 1, 1, 2, 2}}},
    {"5×5", 1, 6, 9, 11, {{5}, {5}}},
    {"5×5, the whole map", 3, 8, 5, 5, {{5}, {5}}},
    {"7×7, stride 2", 3, 2, 13, 14, {{7, 2, 1, 3, 3}, {7, 2, 1, 3, 3}}},
    {"11×11, stride 4", 1, 2, 19, 23, {{11, 4, 1, 2, 2}, {11, 4, 1, 2, 2}}},
    {"2×3, strides 3 and 2 that do not divide", 2, 3, 9, 10, {{2, 3}, {3, 2}}},
    {"1×2, strides longer than the kernel", 2, 3, 7, 9, {{1, 3}, {2, 4, 1, 1, 1}}},
    {"3×3, dilated", 2, 3, 9, 10, {{3, 1, 2}, {3, 1, 3}}},
    {"3×3, dilated, strides, padding", 2, 3, 9, 11, {{3, 2, 2, 2, 2}, {3, 3, 2, 3, 3}}},
    {"2×2, dilated wider than the map", 2, 3, 3, 3, {{2, 1, 4, 3, 3}, {2, 1, 5, 4, 4}}},
    {"5×5 on 2×2, padding", 2, 2, 2, 2, {{5, 1, 1, 2, 2}, {5, 1, 1, 2, 2}}},
    {"1×64", 1, 2, 1, 70, {{1}, {64}}},
    {"64×1", 1, 2, 66, 2, {{64}, {1}}},
    {"two groups", 4, 6, 6, 5, {{3}, {3}}, 2},
    {"a filter a channel", 5, 5, 6, 7, {{3, 1, 1, 1, 1}, {3, 2, 1, 1, 1}}, 5},
    {"two filters a channel, flipped", 3, 6, 5, 7, {{3, 2}, {2, 1, 2}}, 3, true},
    {"one row", 2, 3, 1, 13, {{1}, {4, 1, 1, 1, 2}}},
    {"one column", 2, 3, 13, 1, {{4, 1, 1, 1, 2}, {1}}},
    {"nothing but padding above", 1, 2, 3, 4, {{2, 1, 1, 2, 2}, {2, 1, 1, 2, 2}}},
};

// All sums of whole numbers are exact, so that one product too many or too few shows.
void check_case(const std::string& what, const Case& c, int count, Random& random) {
    Net net(c.channels, c.height, c.width);
    net.conv(c.filters, c.window, c.groups, c.flip, c.bias).flatten();
    check_against_naive("convolution " + what + ", batch of " + std::to_string(count), net,
                        whole_numbers(net, count, random), 0.0);
}

void test_geometries() {
    Random random(1);
    for (const Case& c : kCases) {
        for (const int count : {1, 16, 33}) check_case(c.what, c, count, random);
    }
}

// Tiles of filters and pixels, whole and cut short, in forward, dx and dweight.
void test_tile_edges() {
    Random random(2);
    for (int filters = 1; filters <= 14; ++filters) {
        const int width = filters % 9 + 2;
        check_case(std::to_string(filters) + " filters", {"", 2, filters, 3, width, {{2}, {2}}}, 2, random);
        check_case(std::to_string(filters) + " channels", {"", filters, 2, 3, width, {{2}, {2}}}, 2, random);
        check_case(std::to_string(filters) + " outputs", {"", 15 + filters, filters, 1, 1, {}}, 2, random);
        check_case(std::to_string(filters) + " taps", {"", 1, 3, 2, 16, {{2}, {filters}}}, 2, random);
        check_case(std::to_string(filters) + " pixels", {"", 2, 3, 2, filters, {{2}, {1}}}, 2, random);
    }
}

void test_batches() {
    Random random(3);
    for (int count = 1; count <= 33; ++count) check_case("3×3", {"", 2, 3, 4, 5, {{3}, {3}}}, count, random);
}

// Maps of one pixel with a border around it are no vector, though a convolution of them looks like a linear layer.
void test_lone_pixel_with_border() {
    Random random(21);
    Net net(2, 5, 4);
    net.conv(17, {{5}, {4}}).conv(7, {}).flatten().linear(3);
    check_against_naive("one pixel with a border", net, whole_numbers(net, 5, random), 0.0);
}

void test_random_geometries() {
    Random random(4);
    const auto side = [&](int length) {
        Side side{random.integer(1, 5), random.integer(1, 3), random.integer(1, 3), random.integer(0, 3),
                  random.integer(0, 3)};
        side.after = std::max(side.after, side.dilation * (side.kernel - 1) + 1 - length - side.before);
        return side;
    };
    for (int i = 0; i < 60; ++i) {
        const int groups = random.integer(1, 3), height = random.integer(1, 9), width = random.integer(1, 12);
        const Case c{"",
                     groups * random.integer(1, 3),
                     groups * random.integer(1, 4),
                     height,
                     width,
                     {side(height), side(width)},
                     groups,
                     random.integer(0, 1) == 1,
                     random.integer(0, 1) == 1};
        check_case("drawn " + std::to_string(i), c, random.integer(1, 18), random);
    }
}

}  // namespace

void test_conv() {
    test_geometries();
    test_tile_edges();
    test_batches();
    test_lone_pixel_with_border();
    test_random_geometries();
}

}  // namespace pellucid
