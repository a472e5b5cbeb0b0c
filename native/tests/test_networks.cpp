#include <cstring>

#include "check.hpp"
#include "guarded.hpp"
#include "tests.hpp"

namespace pellucid {
namespace {

// Nguyen's and Grishin's networks, made small.
Net nguyen() {
    Net net(1, 14, 14, Loss::kCrossEntropy);
    net.conv(6, {{5}, {5}}).activation(Activation::kReLU).max_pool({{2, 2}, {2, 2}});
    net.conv(12, {{3}, {3}}).activation(Activation::kReLU).max_pool({{2, 2}, {2, 2}});
    return net.flatten(true).linear(10);
}

Net grishin() {
    Net net(3, 12, 13, Loss::kLogLoss);
    net.conv(4, {{5}, {5}}, 1, true).activation(Activation::kELU, 1.0f).max_pool({{2, 2}, {2, 2}});
    net.conv(5, {{3, 1, 1, 1, 1}, {3, 1, 1, 1, 1}}, 1, true).activation(Activation::kELU, 1.0f);
    net.avg_pool({{2, 2}, {2, 2}}, true).activation(Activation::kTanh);
    return net.flatten().linear(9).activation(Activation::kSigmoid).linear(4);
}

void test_texts() {
    Random random(13);
    for (const int count : {1, 15, 33, 70}) {
        for (Net net : {nguyen(), grishin()}) {
            for (const bool dx_of_input : {true, false}) {
                net.dx_of_input = dx_of_input;
                check_against_naive("network", net, real_numbers(net, count, random), 1e-5);
            }
        }
    }
}

void test_bytes() {
    Random random(14);
    for (const bool centred : {false, true}) {
        const Net net = nguyen();
        Data data = real_numbers(net, 18, random);
        for (std::size_t i = 0; i < data.images.size(); ++i) {
            data.bytes.push_back(static_cast<std::uint8_t>(random.integer(0, 255)));
        }
        data.images.clear();
        if (!centred) data.mean.clear();
        check_against_naive("images of bytes", net, data, 1e-5);
    }
}

Net drawn(Random& random) {
    const Loss losses[] = {Loss::kCrossEntropy, Loss::kLogLoss, Loss::kSquaredError};
    Net net(random.integer(1, 3), random.integer(5, 9), random.integer(5, 11), losses[random.integer(0, 2)]);
    const auto activate = [&] {
        const auto kind = static_cast<Activation>(random.integer(0, 5));
        random.integer(0, 2) ? net.activation(kind, 0.5f) : net.activation_step(kind, 0.5f);
    };
    const int depth = random.integer(1, 4);
    for (int i = 0; i < depth; ++i) {
        const auto side = [&](int length) {
            Side side{random.integer(1, 4), random.integer(1, 2), 1, 0, 0};
            side.before = random.integer(0, side.kernel - 1);
            side.after = std::max(random.integer(0, side.kernel - 1), side.kernel - length - side.before);
            return side;
        };
        const Window window{side(net.output().height), side(net.output().width)};
        switch (random.integer(0, 8)) {
            case 0:
                net.max_pool(window);
                break;
            case 1:
                net.avg_pool(window, random.integer(0, 1) == 1);
                break;
            case 2:
                net.lp_pool(window, random.integer(0, 1) ? 2.0 : 3.5).activation_step(Activation::kNone);
                break;
            case 3:
                net.response_norm(random.integer(1, 5), 0.5f, 0.75).activation_step(Activation::kNone);
                break;
            case 4:
                net.dropout(0.25);
                break;
            default: {
                // One statement each: compilers differ in the order in which they work out arguments.
                const bool bias = random.integer(0, 1) == 1, flip = random.integer(0, 1) == 1;
                const int filters = random.integer(1, 7);
                net.conv(filters, window, 1, flip, bias);
            }
        }
        activate();
    }
    net.flatten(random.integer(0, 1) == 1);
    if (random.integer(0, 1)) {
        net.linear(random.integer(1, 18));
        activate();
    }
    net.dx_of_input = random.integer(0, 1) == 1;
    return net.linear(random.integer(2, 6));
}

void test_drawn() {
    Random random(15);
    for (int i = 0; i < 40; ++i) {
        Net net = drawn(random);
        net.reused = i % 2 == 1;
        check_against_naive("drawn network " + std::to_string(i), net, real_numbers(net, random.integer(1, 33), random),
                            1e-5);
    }
}

// Predicting and judging give what learning gives, and a runner's memory carries nothing from batch to batch.
void test_runner() {
    Random random(16);
    const Net net = grishin();
    for (const Engine* engine : engines()) {
        Runner used = make_runner(net, *engine);
        for (const int count : {33, 1, 17, 16}) {
            const Data data = real_numbers(net, count, random);
            const std::string here = "batch of " + std::to_string(count) + ", " + engine->name;
            Result predicted, judged, learnt, fresh;
            Batch predict = make_batch(net, data, 1, Task::kPredict, predicted);
            Batch judge = make_batch(net, data, 1, Task::kEvaluate, judged);
            Batch learn = make_batch(net, data, 1, Task::kLearn, learnt),
                  again = make_batch(net, data, 1, Task::kLearn, fresh);
            used.run(predict);
            used.run(learn);
            used.run(judge);
            make_runner(net, *engine).run(again);
            check_same(predicted.outputs, learnt.outputs, "predict, " + here);
            check_same(judged.outputs, learnt.outputs, "evaluate, " + here);
            check(predict.loss == 0.0 && judge.loss == learn.loss && learn.loss == again.loss, "losses, " + here);
            check_same(learnt.outputs, fresh.outputs, "outputs from used memory, " + here);
            check_same(learnt.gradients, fresh.gradients, "gradients from used memory, " + here);
        }
    }
}

void test_instruction_sets() {
    check(find_engine("mmx") == nullptr && find_engine("") == nullptr, "no engine of an unknown name");
    const Engine* widest = find_engine(instruction_set());
    check(widest && widest == engines().back(), "the widest instruction set has an engine, and is the last");
}

}  // namespace

void test_networks() {
    test_texts();
    test_bytes();
    test_drawn();
    test_runner();
    test_instruction_sets();
}

}  // namespace pellucid
