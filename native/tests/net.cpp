#include "net.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace pellucid {
namespace {

void fill(std::vector<float>& numbers, std::ptrdiff_t count, auto&& draw) {
    numbers.resize(static_cast<std::size_t>(count));
    for (float& number : numbers) number = draw();
}

std::ptrdiff_t pixels(const Slot& slot) {
    return static_cast<std::ptrdiff_t>(slot.channels) * slot.height * slot.width;
}

}  // namespace

Step& Net::append(Op op, int channels, int height, int width, const Window& window) {
    Step step{};
    step.op = op;
    step.input = here;
    step.output = here = static_cast<int>(slots.size());
    slots.push_back({channels, height, width, 0, 0, 0});
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
    Step& step = append(Op::kConv, filters, height, width, window);
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
    append(Op::kMaxPool, in.channels, window.rows.outputs(in.height), window.columns.outputs(in.width), window);
    return *this;
}

Net& Net::avg_pool(const Window& window, bool count_padding) {
    const Slot in = output();
    const int height = window.rows.outputs(in.height), width = window.columns.outputs(in.width);
    append(Op::kAvgPool, in.channels, height, width, window);
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
    append(Op::kLPPool, in.channels, height, width, window).p = p;
    return *this;
}

Net& Net::softmax() {
    const Slot in = output();
    append(Op::kSoftmax, in.channels, in.height, in.width, {});
    return *this;
}

Net& Net::response_norm(int size, float share, double beta, float k) {
    const Slot in = output();
    Step& step = append(Op::kResponseNorm, in.channels, in.height, in.width, {});
    step.size = size;
    step.share = share;
    step.beta = beta;
    step.k = k;
    return *this;
}

Net& Net::dropout(double p) {
    const Slot in = output();
    Step& step = append(Op::kDropout, in.channels, in.height, in.width, {});
    step.p = p;
    step.position = step.input;
    return *this;
}

Net& Net::flatten(bool column_major) {
    const Slot in = output();
    append(Op::kFlatten, in.channels * in.height * in.width, 1, 1, {}).column_major = column_major;
    return *this;
}

Net& Net::activation(Activation kind, float alpha) {
    plans.back().step.activation = kind;
    plans.back().step.alpha = alpha;
    return *this;
}

Net& Net::activation_step(Activation kind, float alpha) {
    const Slot in = output();
    append(Op::kActivation, in.channels, in.height, in.width, {});
    return activation(kind, alpha);
}

Net& Net::batch_norm(bool per_pixel, double eps, double momentum) {
    const Slot in = output();
    Step& step = append(Op::kBatchNorm, in.channels, in.height, in.width, {});
    const std::ptrdiff_t count = per_pixel ? pixels(in) : in.channels;
    step.per_pixel = per_pixel;
    step.eps = eps;
    step.momentum = momentum;
    step.weight = parameters;
    step.bias = parameters + count;
    step.norm = norms;
    step.state = state;
    parameters += 2 * count;
    norms += count;
    state += 2 * count + 1;
    return *this;
}

Net& Net::add(int other) {
    const Slot in = output();
    append(Op::kAdd, in.channels, in.height, in.width, {}).addend = other;
    return *this;
}

Net& Net::plus(int other) {
    plans.back().step.addend = other;
    return *this;
}

Net& Net::concat(const std::vector<int>& parts) {
    here = static_cast<int>(slots.size());
    Slot whole = slots[static_cast<std::size_t>(parts[0])];
    whole.channels = 0;
    for (const int part : parts) {
        portions.push_back({part, here, whole.channels});
        whole.channels += slots[static_cast<std::size_t>(part)].channels;
    }
    slots.push_back(whole);
    return *this;
}

Net& Net::pad_channels(int channels) {
    const int part = here;
    append(Op::kPadChannels, channels, output().height, output().width, {});
    portions.push_back({part, here, 0});
    return *this;
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
    fill(data.state, net.state, [&] { return static_cast<float>(random.integer(1, 3)); });
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
    result.state = data.state;
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
    batch.state = result.state.data();
    batch.augmentation = data.augmentation;
    return batch;
}

Runner make_runner(const Net& net, const Engine& engine) {
    Layout layout = net.layout(0);
    const Program sizes = net.program(layout);
    Runner::Layout places{layout.slots, {}, layout.arena};
    for (const Runner::Plan& plan : layout.plans) places.scratch.push_back(plan.step.scratch);
    return Runner(places, places, std::move(layout.plans), sizes, &engine);
}

std::vector<const Engine*> engines() {
    std::vector<const Engine*> found;
    for (const char* name : {"baseline", "avx2", "avx512", "neon"}) {
        if (const Engine* engine = find_engine(name)) found.push_back(engine);
    }
    return found;
}

}  // namespace pellucid
