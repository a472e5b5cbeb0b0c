#include "net.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace pellucid {
namespace {

constexpr int kTilePixels = 4;  // TILE_PIXELS of pellucid/engine/program.py

std::ptrdiff_t lanes_of(const Slot& slot) { return slot.channels * slot.plane(); }

// The zero borders that a convolution reads beyond the edges of its maps.
void widen(const Step& step, Slot& in, Slot& out) {
    const Axis& axis = step.columns;
    const int reach = axis.stride * (out.width - 1) + axis.dilation * (axis.kernel - 1);
    const int side = step.side(), beyond = side && side != kSide ? (side - out.width % side) % side : 0;
    in.border = std::max({in.border, axis.before, reach - axis.before - (in.width - 1) + beyond});
    out.border = std::max(out.border, beyond);
    if (step.needs_dx && step.tile == kSide) {
        const int before = axis.kernel - 1 - axis.before;
        out.border = std::max({out.border, before, in.width + axis.kernel - 1 - before - out.width});
    }
    const bool pixel_by_pixel = axis.kernel == 1 && axis.stride == 1 && axis.before == 0;
    if (step.needs_dx && !step.tile && !pixel_by_pixel) out.border = std::max(out.border, kTilePixels - 1);
}

int tile_side(const Step& step, const Slot& out) {
    const int kernel = step.rows.kernel, side = kPoints + 1 - kernel;
    bool fits = step.groups == 1 && (kernel == 3 || kernel == 5) && std::min(out.height, out.width) >= side;
    for (const Axis& axis : {step.rows, step.columns}) {
        fits = fits && axis.kernel == kernel && axis.stride == 1 && axis.dilation == 1;
    }
    return fits ? side : 0;
}

void fill(std::vector<float>& numbers, std::ptrdiff_t count, auto&& draw) {
    numbers.resize(static_cast<std::size_t>(count));
    for (float& number : numbers) number = draw();
}

std::ptrdiff_t pixels(const Slot& slot) {
    return static_cast<std::ptrdiff_t>(slot.channels) * slot.height * slot.width;
}

}  // namespace

Step& Net::add(Op op, int channels, int height, int width, const Window& window) {
    const int input = static_cast<int>(slots.size()) - 1;
    slots.push_back({channels, height, width, 0, 0, 0});
    Step step{};
    step.op = op;
    step.input = input;
    step.output = input + 1;
    step.rows = window.rows.axis();
    step.columns = window.columns.axis();
    step.groups = 1;
    step.weight = step.bias = -1;
    plans.push_back({step, {}});
    return plans.back().step;
}

Net& Net::conv(int filters, const Window& window, int groups, bool flip, bool bias) {
    const Slot in = output();
    const int height = window.rows.outputs(in.height), width = window.columns.outputs(in.width);
    Step& step = add(Op::kConv, filters, height, width, window);
    step.groups = groups;
    step.flip = flip;
    step.weight = parameters;
    parameters += in.channels / groups * filters * window.rows.kernel * window.columns.kernel;
    if (bias) {
        step.bias = parameters;
        parameters += filters;
    }
    return *this;
}

Net& Net::max_pool(const Window& window) {
    const Slot in = output();
    add(Op::kMaxPool, in.channels, window.rows.outputs(in.height), window.columns.outputs(in.width), window);
    return *this;
}

Net& Net::avg_pool(const Window& window, bool count_padding) {
    const Slot in = output();
    const int height = window.rows.outputs(in.height), width = window.columns.outputs(in.width);
    add(Op::kAvgPool, in.channels, height, width, window);
    const auto counted = [&](const Side& side, int length, int l) {
        const int before = count_padding ? side.before : 0, after = count_padding ? side.after : 0;
        int count = 0;
        for (int j = 0; j < side.kernel; ++j) {
            const int at = side.stride * l + j - side.before;
            count += at >= -before && at < length + after;
        }
        return count;
    };
    for (int l = 0; l < height; ++l) {
        for (int m = 0; m < width; ++m) {
            const int divisor = counted(window.rows, in.height, l) * counted(window.columns, in.width, m);
            plans.back().scale.push_back(1.0f / static_cast<float>(divisor));
        }
    }
    return *this;
}

Net& Net::lp_pool(const Window& window, double p) {
    const Slot in = output();
    const int height = window.rows.outputs(in.height), width = window.columns.outputs(in.width);
    add(Op::kLPPool, in.channels, height, width, window).p = p;
    return *this;
}

Net& Net::softmax() {
    const Slot in = output();
    add(Op::kSoftmax, in.channels, in.height, in.width, {});
    return *this;
}

Net& Net::response_norm(int size, float share, double beta, float k) {
    const Slot in = output();
    Step& step = add(Op::kResponseNorm, in.channels, in.height, in.width, {});
    step.size = size;
    step.share = share;
    step.beta = beta;
    step.k = k;
    return *this;
}

Net& Net::dropout(double p) {
    const Slot in = output();
    Step& step = add(Op::kDropout, in.channels, in.height, in.width, {});
    step.p = p;
    step.position = step.input;
    return *this;
}

Net& Net::flatten(bool column_major) {
    const Slot in = output();
    add(Op::kFlatten, in.channels * in.height * in.width, 1, 1, {}).column_major = column_major;
    return *this;
}

Net& Net::activation(Activation kind, float alpha) {
    plans.back().step.activation = kind;
    plans.back().step.alpha = alpha;
    return *this;
}

Net& Net::activation_step(Activation kind, float alpha) {
    const Slot in = output();
    add(Op::kActivation, in.channels, in.height, in.width, {});
    return activation(kind, alpha);
}

Layout Net::layout(std::ptrdiff_t gap) const {
    Layout found{slots, plans, {}, gap};
    bool learns = dx_of_input;
    for (Runner::Plan& plan : found.plans) {
        plan.step.needs_dx = learns;
        learns = learns || plan.step.weight >= 0;
    }
    for (Runner::Plan& plan : found.plans) {
        Step& step = plan.step;
        if (step.op == Op::kConv) {
            const int side = tile_side(step, slots[static_cast<std::size_t>(step.output)]);
            step.weights_tile = tiled == Tiled::kNone || tiled == Tiled::kMaps ? 0 : side;
            step.tile = tiled == Tiled::kAll || tiled == Tiled::kMaps ? side : 0;
            widen(step, found.slots[static_cast<std::size_t>(step.input)],
                  found.slots[static_cast<std::size_t>(step.output)]);
        }
    }
    const auto place = [&](std::ptrdiff_t size) {
        found.gaps.push_back(found.arena);
        const std::ptrdiff_t at = found.arena + gap;
        found.arena = at + size;
        return at;
    };
    for (Slot& slot : found.slots) {
        slot.value = place(lanes_of(slot));
        slot.delta = place(lanes_of(slot));
    }
    for (Runner::Plan& plan : found.plans) {
        Step& step = plan.step;
        const Slot &in = slots[static_cast<std::size_t>(step.input)],
                   &out = slots[static_cast<std::size_t>(step.output)];
        if (step.op == Op::kMaxPool || step.op == Op::kResponseNorm) step.scratch = place(pixels(out));
        if (step.op == Op::kConv) {
            step.packed = found.packed;
            const int weights = in.channels / step.groups * out.channels * step.rows.kernel * step.columns.kernel;
            found.packed += step.tile ? winograd_packed(step.tile, in.channels, out.channels, step.needs_dx)
                                      : (step.needs_dx ? 2 : 1) * weights;
        }
        if (step.side()) {
            step.scratch = place(winograd_notes(step.side(), in, out));
            found.scratch = std::max(found.scratch, winograd_scratch(step.side(), in.channels, out.channels));
        }
    }
    place(0);
    return found;
}

Data whole_numbers(const Net& net, int count, Random& random) {
    Data data;
    const std::ptrdiff_t samples = count + 3, classes = net.output().channels, size = pixels(net.slots[0]);
    const auto small = [&] { return static_cast<float>(random.integer(-2, 2)); };
    fill(data.images, samples * size, small);
    fill(data.mean, size, small);
    fill(data.params, net.parameters, small);
    fill(data.target, samples * classes, small);
    fill(data.weight, count, [&] { return static_cast<float>(random.integer(0, 2)); });
    for (int i = 0; i < count; ++i) data.rows.push_back(random.integer(0, count + 2));
    return data;
}

Data real_numbers(const Net& net, int count, Random& random) {
    Data data = whole_numbers(net, count, random);
    const auto real = [&] { return random.real(); };
    fill(data.images, static_cast<std::ptrdiff_t>(data.images.size()), real);
    fill(data.mean, static_cast<std::ptrdiff_t>(data.mean.size()), real);
    fill(data.params, net.parameters, real);
    const int classes = net.output().channels;
    for (std::size_t t = 0; t < data.target.size(); t += static_cast<std::size_t>(classes)) {
        const int label = random.integer(0, classes - 1);
        for (int k = 0; k < classes; ++k) data.target[t + static_cast<std::size_t>(k)] = k == label ? 1.0f : 0.0f;
    }
    return data;
}

Batch make_batch(const Net& net, const Data& data, int threads, Task task, Result& result) {
    const bool learn = task == Task::kLearn, judge = task != Task::kPredict;
    result.outputs.assign(data.rows.size() * static_cast<std::size_t>(net.output().channels), NAN);
    result.gradients.assign(learn ? static_cast<std::size_t>(net.parameters) : 0, NAN);
    Batch batch{};
    batch.bytes = !data.bytes.empty();
    batch.images = batch.bytes ? static_cast<const void*>(data.bytes.data()) : data.images.data();
    batch.mean = data.mean.empty() ? nullptr : data.mean.data();
    batch.rows = data.rows.data();
    batch.count = static_cast<int>(data.rows.size());
    batch.target = judge ? data.target.data() : nullptr;
    batch.weight = judge ? data.weight.data() : nullptr;
    batch.params = data.params.data();
    batch.gradients = learn ? result.gradients.data() : nullptr;
    batch.outputs = result.outputs.data();
    batch.threads = threads;
    batch.seed = data.seed;
    batch.step = data.step;
    batch.training = learn;
    return batch;
}

Runner make_runner(const Net& net, const Engine& engine) {
    Layout layout = net.layout(0);
    const int output = static_cast<int>(net.slots.size()) - 1;
    return Runner(std::move(layout.slots), std::move(layout.plans), 0, output, net.loss, layout.arena, net.parameters,
                  layout.packed, layout.scratch, &engine);
}

std::vector<const Engine*> engines() {
    std::vector<const Engine*> found;
    for (const char* name : {"baseline", "avx2", "avx512", "neon"}) {
        if (const Engine* engine = find_engine(name)) found.push_back(engine);
    }
    return found;
}

}  // namespace pellucid
