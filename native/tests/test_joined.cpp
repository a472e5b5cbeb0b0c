// Networks that are no chains: sums of slots, and concatenations.
#include "guarded.hpp"
#include "tests.hpp"

namespace pellucid {
namespace {

constexpr int kCounts[] = {2, 15, 16, 17, 33};
constexpr Window kSame{{3, 1, 1, 1, 1}, {3, 1, 1, 1, 1}};

struct Shape {
    int channels, height, width;
};

constexpr Shape kShapes[] = {{1, 1, 1}, {3, 4, 7}, {17, 6, 5}};

// x + f(x), then x + f(x) once more with the activations on the other side of the convolutions, which makes the sum a
// step of its own; the first sum is read again at the end.
Net residual(const Shape& shape) {
    Net net(2, shape.height, shape.width);
    const int x = net.conv(shape.channels, kSame).activation(Activation::kTanh).here;
    net.conv(shape.channels, kSame).batch_norm().activation(Activation::kReLU).conv(shape.channels, kSame);
    const int y = net.batch_norm(true).plus(x).activation(Activation::kELU, 0.5f).here;
    net.batch_norm().activation(Activation::kTanh).conv(shape.channels, kSame).add(y).activation(Activation::kSigmoid);
    return net.add(x).add(y).flatten().linear(3);
}

// A convolution by Winograd's way adds its dx without a copy.
Net adding_convolution(const Shape& shape) {
    Net net(2, shape.height, shape.width);
    net.tiled = Tiled::kAll;
    const int x = net.conv(shape.channels, {}).here;
    net.conv(shape.channels, kSame).activation(Activation::kReLU).conv(shape.channels, kSame).batch_norm().plus(x);
    const int y = net.activation(Activation::kReLU).here;
    return net.conv(shape.channels, kSame).add(y).flatten();
}

// The same slot twice: BN(x) + x, and x + x, whose δ all lie in one place.
Net with_itself(const Shape& shape) {
    Net net(2, shape.height, shape.width);
    const int x = net.conv(shape.channels, kSame).here;
    const int y = net.batch_norm().plus(x).activation(Activation::kTanh).here;
    net.add(y).activation(Activation::kTanh);
    return net.conv(2, kSame).flatten();
}

// Neither the samples nor what is added to them have a δ.
Net sum_of_samples(const Shape& shape) {
    Net net(shape.channels, shape.height, shape.width);
    net.dx_of_input = false;
    net.copy().add(0);
    const int twice = net.here;
    return net.batch_norm().plus(twice).flatten().linear(3);
}

// Branches of different widths, of which one is a pooling, one a sum with the stem; the whole is read twice and added.
Net branches(const Shape& shape) {
    Net net(2, shape.height, shape.width);
    const int stem = net.conv(shape.channels, kSame).activation(Activation::kReLU).here;
    const int pooled = net.max_pool(kSame).here;
    const int filtered = net.from(stem).conv(2, kSame).activation(Activation::kTanh).here;
    const int added = net.from(stem).batch_norm().plus(stem).activation(Activation::kTanh).here;
    const int whole = net.concat({filtered, added, pooled}).here;
    net.batch_norm().activation(Activation::kReLU).conv(net.output().channels, {}).add(whole);
    const int copied = net.copy().here, grown = net.from(whole).conv(3, kSame).batch_norm().here;
    return net.concat({copied, grown}).flatten().linear(3);
}

// A residual module that widens, zeros appended to what passes it by.
Net widening(const Shape& shape) {
    Net net(2, shape.height, shape.width);
    const int x = net.conv(shape.channels, kSame).activation(Activation::kTanh).here;
    const int longer = net.copy().pad_channels(shape.channels + 3).here;
    net.from(x).conv(shape.channels + 3, kSame).batch_norm().plus(longer).activation(Activation::kTanh);
    return net.conv(2, {}).flatten();
}

// Vectors side by side, the last of them the network's output.
Net output_of_branches(const Shape& shape) {
    Net net(shape.channels, shape.height, shape.width);
    const int x = net.flatten().linear(5).batch_norm().activation(Activation::kTanh).here;
    const int left = net.linear(2).here, right = net.from(x).linear(3).batch_norm().here;
    return net.concat({left, right});
}

void check_shapes(const std::string& what, auto&& make) {
    Random random(38);
    for (const Shape& shape : kShapes) {
        for (const int count : kCounts) {
            for (const bool reused : {false, true}) {
                Net net = make(shape);
                net.reused = reused;
                check_against_naive(what + ", " + std::to_string(shape.channels) + " maps, batch of " +
                                        std::to_string(count) + (reused ? ", used places" : ""),
                                    net, real_numbers(net, count, random), 2e-5);
            }
        }
    }
}

void test_prediction() {
    Random random(39);
    for (const Net& net : {residual(kShapes[1]), branches(kShapes[1]), output_of_branches(kShapes[1])}) {
        check_against_naive("predicting with branches", net, real_numbers(net, 33, random), 1e-5, Task::kEvaluate);
    }
}

}  // namespace

void test_joined() {
    check_shapes("sums", residual);
    check_shapes("a convolution that adds", [](const Shape& shape) {
        return adding_convolution({shape.channels, shape.height + 3, shape.width + 3});
    });
    check_shapes("sums with itself", with_itself);
    check_shapes("a sum of samples", sum_of_samples);
    check_shapes("branches", branches);
    check_shapes("channels of zeros", widening);
    check_shapes("branches side by side at the end", output_of_branches);
    test_prediction();
}

}  // namespace pellucid
