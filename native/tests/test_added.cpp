// What is added to what already lies there, dx for `adds` and the gradients of parameters, against the naive loops: the
// engine's own calls write. All numbers are whole, so that every sum is exact.
#include <cstddef>
#include <utility>

#include "check.hpp"
#include "naive.hpp"
#include "net.hpp"
#include "pages.hpp"
#include "program.hpp"
#include "tests.hpp"

namespace pellucid {
namespace {

#include "kernels/conv.hpp"
#include "kernels/linear.hpp"
#include "kernels/pointwise.hpp"
#include "kernels/pooling.hpp"

constexpr float kThere = 7.0f;

struct alignas(lanes) Place {
    float lane[kLanes];
};

// A network that has learned from one block, and the naive answer.
struct Block {
    const Net& net;
    Planned planned;
    const Program& program;
    std::vector<Place> memory, scratch, kept;
    std::vector<float, Pages<float>> packed;
    std::vector<float> gradients;
    Data data;
    Naive naive;

    Block(const Net& given, const Engine& engine, Random& random)
        : net(given),
          planned(given, 0),
          program(planned.program),
          data(whole_numbers(given, kLanes, random)),
          naive(run_naively(given, data)) {
        memory.resize(static_cast<std::size_t>(program.arena));
        scratch.resize(static_cast<std::size_t>(program.scratch));
        kept.resize(static_cast<std::size_t>(program.kept));
        packed.resize(static_cast<std::size_t>(program.packed));
        gradients.resize(static_cast<std::size_t>(net.parameters));
        void *arenas[] = {memory.data()}, *scratches[] = {scratch.data()};
        double losses[1];
        const Workspace space{arenas,  scratches, packed.data(), gradients.data(), losses,
                              nullptr, nullptr,   nullptr,       of_linear()};
        Result result;
        Batch batch = make_batch(net, data, 1, Task::kLearn, result);
        engine.run(program, space, batch);
    }

    lanes* arena() { return reinterpret_cast<lanes*>(memory.data()); }
    lanes* of_linear() { return reinterpret_cast<lanes*>(kept.data()); }
};

void run_dx(Block& block, const Step& step, Part part) {
    if (step.op == Op::kMaxPool) return max_pool_backward(block.program, step, block.arena(), part);
    if (step.op == Op::kAvgPool) return avg_pool_backward(block.program, step, block.arena(), part);
    const Slot &in = block.program.slots[step.input], &out = block.program.slots[step.output];
    if (is_pointwise(step, in, out)) {
        return pointwise_dx(block.program, step, block.arena(), block.data.params.data(), part);
    }
    conv_dx(block.program, step, block.arena(), block.packed.data(), part);
}

void run_dweight(Block& block, const Step& step, bool add, Part part) {
    const Slot &in = block.program.slots[step.input], &out = block.program.slots[step.output];
    float* gradients = block.gradients.data();
    if (step.kept >= 0) {
        const Range rows = part.of(row_tiles(out));
        linear_weight_gradient(block.program, step, block.of_linear(), 1, gradients, nullptr, rows);
    } else if (is_pointwise(step, in, out)) {
        pointwise_weight_gradient(block.program, step, block.arena(), gradients, part, add);
    } else {
        conv_weight_gradient(block.program, step, block.arena(), gradients, part, add);
    }
    if (step.bias >= 0) activate_and_sum_delta(block.program, step, block.arena(), gradients, part, add);
}

template <typename Visit>
void for_each_pixel(const Slot& slot, Visit visit) {
    for (int c = 0; c < slot.channels; ++c) {
        for (int u = 0; u < slot.height; ++u) {
            for (int v = 0; v < slot.width; ++v) visit(c * slot.plane() + u * slot.pitch() + slot.border + v);
        }
    }
}

void check_dx(const std::string& what, Block& block, int number, bool adds, int threads) {
    Step step = block.planned.steps[static_cast<std::size_t>(number)];
    step.adds = adds;
    const Slot& in = block.planned.layout.slots[static_cast<std::size_t>(step.input)];
    lanes* dx = block.arena() + in.delta;
    for_each_pixel(in, [&](std::ptrdiff_t at) { dx[at] = lanes{} + kThere; });
    for (int i = 0; i < threads; ++i) run_dx(block, step, {i, threads});
    std::vector<float> got;
    std::vector<double> want;
    for (int t = 0; t < kLanes; ++t) {
        for_each_pixel(in, [&](std::ptrdiff_t at) { got.push_back(dx[at][t]); });
        const auto& sample = block.naive.delta[static_cast<std::size_t>(step.input)][static_cast<std::size_t>(t)];
        for (const double number_there : sample) want.push_back(number_there + (adds ? kThere : 0.0f));
    }
    check_close(got, want, 0.0, what + ": dx");
}

void check_dweight(const std::string& what, Block& block, int number, bool add, int threads) {
    const Step& step = block.planned.steps[static_cast<std::size_t>(number)];
    block.gradients.assign(block.gradients.size(), kThere);
    for (int i = 0; i < threads && step.kept >= 0; ++i) {
        keep_samples(block.program, step, block.arena(), block.of_linear(), 0, 1, {i, threads});
    }
    for (int i = 0; i < threads; ++i) run_dweight(block, step, add, {i, threads});
    const std::ptrdiff_t from = step.weight, end = step.bias < 0 ? block.net.parameters : step.bias;
    std::vector<double> want(block.gradients.size(), kThere);
    const std::ptrdiff_t biases =
        step.bias < 0 ? 0 : block.planned.layout.slots[static_cast<std::size_t>(step.output)].channels;
    for (std::ptrdiff_t i = from; i < end + biases; ++i) {
        const auto at = static_cast<std::size_t>(i);
        const bool linear_weight = step.kept >= 0 && i < end;  // of all blocks at once: it is written, never added
        want[at] = block.naive.gradients[at] + (add && !linear_weight ? kThere : 0.0f);
    }
    check_close(block.gradients, want, 0.0, what + ": dweight");
}

void check_step(const std::string& what, const Net& net, int number, Random& random) {
    for (const Engine* engine : engines()) {
        Block block(net, *engine, random);
        for (const int threads : {1, 2, 3, 4}) {
            const std::string named = what + ", " + engine->name + ", threads: " + std::to_string(threads);
            for (const bool adds : {false, true}) {
                check_dx(named, block, number, adds, threads);
                if (net.plans[static_cast<std::size_t>(number)].step.op == Op::kConv) {
                    check_dweight(named, block, number, adds, threads);
                }
            }
        }
    }
}

struct Added {
    const char* what;
    int channels, filters, height, width;
    Window window;
    int groups = 1;
};

const Added kAdded[] = {
    {"3×3", 3, 7, 6, 5, {{3, 1, 1, 1, 1}, {3, 1, 1, 1, 1}}},
    {"3×3, stride 2", 3, 5, 7, 10, {{3, 2, 1, 1, 1}, {3, 2, 1, 1, 1}}},
    {"2×2, strides 3 and 2 that leave pixels out", 2, 3, 9, 7, {{2, 3}, {1, 2}}},
    {"5×5, more pixels than a weight tile takes", 1, 9, 60, 35, {{5, 1, 1, 2, 2}, {5, 1, 1, 2, 2}}},
    {"7×7, stride 2, many rows", 2, 3, 121, 43, {{7, 2, 1, 3, 3}, {7, 2, 1, 3, 3}}},
    {"two groups", 4, 6, 6, 5, {{3}, {3}}, 2},
    {"1×1", 9, 7, 5, 7, {}},
    {"1×1, more channels than a panel takes", 261, 13, 3, 3, {}},
    {"1×1, more filters than a panel takes", 5, 263, 1, 6, {}},
    {"1×1, wide maps", 67, 6, 3, 37, {}},
    {"1×1, strides 2 and 3", 70, 5, 8, 7, {{1, 2}, {1, 3}}},
    {"1×1, padded", 3, 4, 4, 5, {{1, 1, 1, 1, 1}, {1, 1, 1, 1, 1}}},
    {"linear", 37, 29, 1, 1, {}},
    {"linear, wide", 1100, 70, 1, 1, {}},
    {"linear, long rows", 4103, 3, 1, 1, {}},
};

}  // namespace

void test_added() {
    Random random(31);
    for (const Added& a : kAdded) {
        Net net(a.channels, a.height, a.width);
        net.conv(a.filters, a.window, a.groups).flatten();
        check_step(std::string("added, ") + a.what, net, 0, random);
    }
    const Window pools[] = {{{2, 2}, {2, 2}}, {{3, 2, 1, 1, 1}, {3, 2, 1, 1, 1}}, {{2, 1}, {4, 1, 1, 0, 2}}};
    for (const Window& window : pools) {
        Net net(2, 8, 8);  // whose convolution learns, so that there is a way back
        check_step("added, max pooling", net.conv(3, {}).max_pool(window).flatten(), 1, random);
    }
    for (const int stride : {1, 2}) {
        Net net(2, 7, 8);
        check_step("added, average pooling", net.conv(3, {}).avg_pool({{2, stride}, {4, stride}}, true).flatten(), 1,
                   random);
    }
}

}  // namespace pellucid
