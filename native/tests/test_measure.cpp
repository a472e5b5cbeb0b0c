#include <algorithm>
#include <cmath>

#include "check.hpp"
#include "net.hpp"
#include "pages.hpp"
#include "tests.hpp"

namespace pellucid {
namespace {

constexpr int kThreads = 2;

struct alignas(lanes) Place {
    float lane[kLanes];
};

// A convolution between two others, and a batch of one block for each thread, learned from.
struct Learned {
    Net net;
    Planned planned;
    const Program& program;
    std::vector<Place> arenas[kThreads], scratch[kThreads], kept;
    void *places[kThreads], *scratches[kThreads];
    std::vector<float, Pages<float>> packed;
    std::vector<float> gradients;
    double losses[kThreads];
    Data data;
    Result result;

    static Net three(Tiled tiled) {
        Net net = Net(2, 7, 9).conv(5, {}).conv(7, {{3, 1, 1, 1, 1}, {3, 1, 1, 1, 1}}).flatten().linear(3);
        net.tiled = tiled;
        return net;
    }

    Learned(const Engine& engine, Tiled tiled, Random& random)
        : net(three(tiled)),
          planned(net, 0),
          program(planned.program),
          data(real_numbers(net, kThreads * kLanes, random)) {
        for (int i = 0; i < kThreads; ++i) {
            arenas[i].resize(static_cast<std::size_t>(program.arena));
            places[i] = arenas[i].data();
            scratch[i].resize(static_cast<std::size_t>(program.scratch));
            scratches[i] = scratch[i].data();
        }
        kept.resize(kThreads * static_cast<std::size_t>(program.kept));
        packed.resize(static_cast<std::size_t>(program.packed));
        gradients.resize(kThreads * static_cast<std::size_t>(net.parameters));
        Batch batch = make_batch(net, data, kThreads, Task::kLearn, result);
        engine.run(program, space(), batch);
    }

    Workspace space() {
        return {places,           scratches, packed.data(),
                gradients.data(), losses,    nullptr,
                nullptr,          nullptr,   reinterpret_cast<lanes*>(kept.data())};
    }

    int repeat(const Engine& engine, Pass pass, int step = 1) {
        return engine.repeat(program, space(), planned.steps[static_cast<std::size_t>(step)], pass, data.params.data(),
                             3, kThreads);
    }

    // Spoil what a pass writes; it must put it back.
    std::vector<float> maps(int thread, std::ptrdiff_t begin, const Slot& slot, bool spoil) {
        std::vector<float> found;
        for (int row = 0; row < slot.channels * slot.height; ++row) {
            for (int v = 0; v < slot.width; ++v) {
                const std::ptrdiff_t at = begin + row * slot.pitch() + slot.border + v;
                for (float& lane : arenas[thread][static_cast<std::size_t>(at)].lane) {
                    found.push_back(lane);
                    if (spoil) lane = NAN;
                }
            }
        }
        return found;
    }
};

void test_maps(const Engine& engine, Tiled tiled, Pass pass, const std::string& name) {
    Random random(21);
    Learned c(engine, tiled, random);
    const Slot& slot = c.planned.layout.slots[pass == Pass::kForward ? 2 : 1];
    const std::ptrdiff_t begin = pass == Pass::kForward ? slot.value : slot.delta;
    std::vector<float> before[kThreads];
    for (int thread = 0; thread < kThreads; ++thread) before[thread] = c.maps(thread, begin, slot, true);
    check(c.repeat(engine, pass) == kThreads, "both threads repeat " + name);
    for (int thread = 0; thread < kThreads; ++thread) {
        check_same(c.maps(thread, begin, slot, false), before[thread], name + " repeated, " + engine.name);
    }
}

// Of the two blocks, each of which has a set of gradients of its own here.
void test_dweight(const Engine& engine, Tiled tiled, int number, std::size_t weights) {
    Random random(22);
    Learned c(engine, tiled, random);
    std::fill(c.gradients.begin(), c.gradients.end(), NAN);
    c.repeat(engine, Pass::kDweight, number);
    const std::size_t from = static_cast<std::size_t>(c.planned.steps[static_cast<std::size_t>(number)].weight);
    std::vector<float> sum;
    for (std::size_t i = from; i < from + weights; ++i) {
        sum.push_back(c.gradients[i] + c.gradients[i + static_cast<std::size_t>(c.net.parameters)]);
    }
    const auto expected = std::span(c.result.gradients).subspan(from, weights);
    const std::string name = "dweight of step " + std::to_string(number) + ", " + engine.name;
    if (c.planned.steps[static_cast<std::size_t>(number)].kept < 0) {
        check_same(sum, expected, name);
    } else {
        check_close(sum, std::vector<double>(expected.begin(), expected.end()), 1e-6, name);  // in another order
    }
    check(std::isnan(c.gradients[from + weights]), "dweight is repeated without the bias");
}

void test_peak(const Engine& engine) {
    float once = 0.0f, twice = 0.0f;
    const double alone = engine.multiply_adds(1000, 1, &once), together = engine.multiply_adds(1000, 2, &twice);
    check(together == 2 * alone, std::string("two threads do twice the multiply-adds, ") + engine.name);
    check(std::isfinite(once) && twice == 2 * once, std::string("the chains stay finite, ") + engine.name);
}

}  // namespace

void test_measure() {
    for (const Engine* engine : engines()) {
        for (const Tiled tiled : {Tiled::kNone, Tiled::kWeightGradient, Tiled::kMaps, Tiled::kAll}) {
            test_maps(*engine, tiled, Pass::kForward, "forward");
            test_maps(*engine, tiled, Pass::kDx, "dx");
            test_dweight(*engine, tiled, 1, 7 * 5 * 3 * 3);
            test_dweight(*engine, tiled, 3, 3 * 7 * 7 * 9);
        }
        test_peak(*engine);
    }
}

}  // namespace pellucid
