#include "check.hpp"
#include "guarded.hpp"
#include "tests.hpp"

namespace pellucid {
namespace {

const Augmentation kSettings[] = {{1}, {0, true}, {0, false, 1}, {3, true}, {2, false, 3}, {3, true, 4}};

Data images(const Net& net, int count, const Augmentation& settings, Random& random) {
    Data data = whole_numbers(net, count, random);
    data.seed = 0xFEDCBA9876543210;
    data.step = 0x300000007;
    data.augmentation = settings;
    return data;
}

// Maps with and without a border that must stay zero; whole numbers, so that nothing is rounded.
void test_floats(const Augmentation& settings, Random& random) {
    for (const int width : {4, 5, 17}) {
        for (const int count : {1, 16, 33}) {
            Net net(3, 6, width);
            net.conv(2, width == 5 ? Window{} : Window{{3, 1, 1, 1, 1}, {3, 1, 1, 1, 1}}).flatten().linear(2);
            const Data data = images(net, count, settings, random);
            check_against_naive("augmentation, width " + std::to_string(width), net, data, 0.0);
        }
    }
}

// Division by 255 rounds: by much less than from one brightness to the next.
void test_bytes(const Augmentation& settings, Random& random) {
    for (const bool centred : {true, false}) {
        Net net(2, 5, 9);
        net.flatten().linear(2);
        Data data = images(net, 18, settings, random);
        for (std::size_t i = 0; i < data.images.size(); ++i) {
            data.bytes.push_back(static_cast<std::uint8_t>(random.integer(0, 255)));
        }
        data.images.clear();
        if (!centred) data.mean.clear();
        check_against_naive("augmentation of bytes", net, data, 1e-4);
    }
}

// The images of the batch alone: a sample's picture still follows from its row in the data set.
void test_own_images(const Engine& engine, Random& random) {
    Net net(2, 5, 4);
    net.flatten();
    for (const Augmentation& settings : {Augmentation{}, Augmentation{2, true, 3}}) {
        const Data data = images(net, 19, settings, random);
        std::vector<float> own;
        for (const std::int64_t row : data.rows) {
            const auto image = data.images.begin() + row * 40;
            own.insert(own.end(), image, image + 40);
        }
        Runner runner = make_runner(net, engine);
        Result whole, apart;
        Batch batch = make_batch(net, data, 1, Task::kLearn, whole);
        runner.run(batch);
        batch = make_batch(net, data, 1, Task::kLearn, apart);
        batch.images = own.data();
        batch.own_images = true;
        runner.run(batch);
        check_same(apart.outputs, whole.outputs, std::string("the batch's own images, ") + engine.name);
    }
}

// Blocks alone and split; a sample's picture follows from its row.
void test_on_threads(const Engine& engine) {
    Random random(32);
    Net net(2, 7, 6);
    net.flatten();
    for (const int count : {17, 33, 70}) {
        const Data data = images(net, count, {2, true, 3}, random);
        Runner runner = make_runner(net, engine);
        Result one;
        Batch batch = make_batch(net, data, 1, Task::kLearn, one);
        runner.run(batch);
        for (int threads = 2; threads <= 4; ++threads) {
            Result many;
            batch = make_batch(net, data, threads, Task::kLearn, many);
            runner.run(batch);
            check_same(many.outputs, one.outputs,
                       "the same pictures on " + std::to_string(threads) + " threads, " + engine.name);
        }
    }
}

}  // namespace

void test_augment() {
    Random random(31);
    for (const Augmentation& settings : kSettings) {
        test_floats(settings, random);
        test_bytes(settings, random);
    }
    for (const Engine* engine : engines()) {
        test_on_threads(*engine);
        test_own_images(*engine, random);
    }
}

}  // namespace pellucid
