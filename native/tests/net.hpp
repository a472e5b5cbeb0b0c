// Networks for the tests, added up step by step, and the data that they run on.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "runner.hpp"
#include "winograd_sizes.hpp"

namespace pellucid {

// One axis of a sliding window with the padding on both sides.
struct Side {
    int kernel = 1, stride = 1, dilation = 1, before = 0, after = 0;

    Axis axis() const { return {kernel, stride, dilation, before}; }
    int outputs(int length) const { return (length + before + after - dilation * (kernel - 1) - 1) / stride + 1; }
};

struct Window {
    Side rows, columns;
};

// A slot that is some of the channels of another, from `first` on: a branch of a concatenation.
struct Portion {
    int slot, whole, first;
};

// Where everything lies in a block's memory, with `gap` lanes around every part of it that nothing may touch.
struct Layout {
    std::vector<Slot> slots;
    std::vector<Runner::Plan> plans;
    std::vector<bool> learns;          // of every slot: whether it has a δ
    std::vector<int> delta_of;         // the slot whose δ is this one's too, to begin with; −1 for none
    std::vector<bool> delta_stays;     // whether a slot's δ is still there at the end
    std::vector<int> made_of;          // the slot whose value this one, which has no place, is made of; −1 for none
    std::vector<std::ptrdiff_t> gaps;  // where they begin
    std::ptrdiff_t gap, arena = 0, packed = 0, scratch = 0, by_points = 0, in_turn = 0;
};

// Which passes of 3×3 and 5×5 convolutions go by Winograd's way, where their stride, dilation and groups let them.
enum class Tiled { kNone, kWeightGradient, kMaps, kAll };

// Steps, each on the slot before it unless told otherwise, planned as pellucid/engine/program.py plans them. Where a
// slot has several readers, those that cannot add their dx must read a copy of it: activation_step(kNone).
class Net {
  public:
    Net(int channels, int height, int width, Loss loss = Loss::kSquaredError) : loss(loss) {
        slots.push_back({channels, height, width, 0, 0, 0});
    }

    Net& conv(int filters, const Window& window, int groups = 1, bool flip = false, bool bias = true);
    Net& linear(int outputs) { return conv(outputs, {}); }
    Net& max_pool(const Window& window);
    Net& avg_pool(const Window& window, bool count_padding);
    Net& lp_pool(const Window& window, double p);
    Net& softmax();
    Net& response_norm(int size, float share, double beta, float k = 1.0f);
    Net& dropout(double p);
    Net& flatten(bool column_major = false);
    Net& activation(Activation kind, float alpha = 0.0f);  // rides along with the last step
    Net& activation_step(Activation kind, float alpha = 0.0f);
    Net& copy() { return activation_step(Activation::kNone); }
    Net& batch_norm(bool per_pixel = false, double eps = 0.125, double momentum = 0.25);
    Net& add(int other);                         // the sum of the slot before and another
    Net& plus(int other);                        // the same, riding along with the last step, a batch norm
    Net& concat(const std::vector<int>& parts);  // each of them the output of a step that nothing else reads
    Net& pad_channels(int channels);             // zeros behind

    Net& from(int slot) {  // the next step reads it
        here = slot;
        return *this;
    }

    const Slot& output() const { return slots[static_cast<std::size_t>(here)]; }
    Layout layout(std::ptrdiff_t gap) const;
    Program program(const Layout& layout) const;  // without its slots and steps, and who computes which gradients

    std::vector<Slot> slots;
    std::vector<Runner::Plan> plans;
    std::vector<Portion> portions;
    int here = 0;  // the slot that the next step reads; in the end, the output
    Loss loss;
    std::ptrdiff_t parameters = 0, norms = 0, state = 0;
    bool dx_of_input = true;  // take δ all the way back; false: only as far as something learns
    Tiled tiled = Tiled::kNone;
    bool reused = false;  // as if the places of all slots had held other numbers
    bool wide = false;    // as if it had many parameters

  private:
    Step& append(Op op, int channels, int height, int width, const Window& window);
};

// A network's program with all that it points to, for tests that call the engine themselves.
struct Planned {
    Layout layout;
    std::vector<Step> steps;
    std::vector<Stretch> stretches;
    Program program;

    Planned(const Net& net, std::ptrdiff_t gap);
    Planned(const Planned&) = delete;
    Planned& operator=(const Planned&) = delete;
};

// The same numbers on every machine, unlike the distributions of the standard library.
class Random {
  public:
    explicit Random(unsigned seed) : bits_(seed) {}
    int integer(int least, int most) {
        return least + static_cast<int>(bits_() % static_cast<unsigned>(most - least + 1));
    }
    float real() { return static_cast<float>(integer(-1000000, 1000000)) * 1e-6f; }

  private:
    std::mt19937 bits_;
};

// A data set, and the batch that is drawn from it.
struct Data {
    std::vector<float> images;
    std::vector<std::uint8_t> bytes;  // used in place of `images` if there are any
    std::vector<float> mean, target, weight, params;
    std::vector<std::int64_t> rows;
    std::vector<float> state{};  // running statistics before the batch
    std::uint64_t seed = 0, step = 0;
    Augmentation augmentation = {};
};

struct Result {
    std::vector<float> outputs, gradients, state;
    double loss = 0.0;
};

enum class Task { kPredict, kEvaluate, kLearn };

Data whole_numbers(const Net& net, int count, Random& random);  // small ones: float sums of them are exact
Data real_numbers(const Net& net, int count, Random& random);

// The batch as the engine takes it; `result` gets its size and receives what the engine writes.
Batch make_batch(const Net& net, const Data& data, int threads, Task task, Result& result);

Runner make_runner(const Net& net, const Engine& engine);

std::vector<const Engine*> engines();  // of every instruction set that this processor has

}  // namespace pellucid
