#include "check.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <stdexcept>
#include <utility>
#include <vector>

#include "winograd_sizes.hpp"

namespace pellucid {
namespace {

void require(bool condition, const char* message) {
    if (!condition) throw std::invalid_argument(message);
}

constexpr std::ptrdiff_t kMostInAll = std::ptrdiff_t{1} << 35;  // floats or lanes of a network: bytes fit a size_t

bool fits(std::ptrdiff_t from, std::ptrdiff_t count, std::ptrdiff_t room) {
    return from >= 0 && count >= 0 && from <= room - count;
}

bool same_shape(const Slot& a, const Slot& b) {
    return a.channels == b.channels && a.height == b.height && a.width == b.width;
}

// A convolution by Winograd's way: its tiles, the borders that the last of them reaches into, and its memory.
void check_tiles(const Step& step, const Slot& in, const Slot& out, std::ptrdiff_t arena, std::ptrdiff_t scratch,
                 bool learns) {
    const int kernel = step.winograd();
    require(step.tile == 0 || step.weights_tile == 0 || step.tile == step.weights_tile, "tiles for two kernels");
    if (kernel == 0) return;
    require(kernel == 3 || kernel == 5, "tiles for an unknown kernel");
    for (const Axis& axis : {step.rows, step.columns}) {
        require(axis.kernel == kernel && axis.stride == 1 && axis.dilation == 1, "tiles do not fit the window");
    }
    require(step.groups == 1, "tiles of a convolution in groups");
    const std::ptrdiff_t pairs = static_cast<std::ptrdiff_t>(in.channels) * out.channels;
    require(countable(pairs * kPointsOfFive * kPointsOfFive), "a layer has more weights than the kernels can count");
    // By points, a tile ends where the map does.
    const std::ptrdiff_t width = kernel == 3 ? out.width : (out.width + kSide - 1) / kSide * kSide;
    const std::ptrdiff_t last = width - step.columns.before + step.columns.kernel - 2;
    require(in.border >= step.columns.before && last < std::ptrdiff_t{in.width} + in.border &&
                width <= std::ptrdiff_t{out.width} + out.border,
            "a border is narrower than the tiles");
    if (step.tile == 3 && step.needs_dx) {
        const std::ptrdiff_t before = step.columns.kernel - 1 - step.columns.before;
        require(out.border >= before && in.width - before + step.columns.kernel - 2 < out.width + out.border,
                "a border is narrower than the tiles of dx");
    }
    require(!learns || fits(step.scratch, winograd_notes(step, in, out), arena),
            "a step's notes lie outside the arena");
    require(winograd_scratch(kernel, in.channels, out.channels) <= scratch, "a thread has too little scratch");
}

bool same_place(const Slot& a, const Slot& b) { return same_shape(a, b) && a.border == b.border && a.delta == b.delta; }

void check_slots(const Runner::Layout& layout) {
    require(layout.arena >= 0 && layout.arena <= kMostInAll, "a network's size is out of range");
    for (const Slot& slot : layout.slots) {
        require(slot.channels >= 1 && slot.height >= 1 && slot.width >= 1 && slot.border >= 0, "a slot has no size");
        const std::ptrdiff_t pitch = slot.width + std::ptrdiff_t{2} * slot.border;
        require(countable(slot.height * pitch) && countable(slot.channels * (slot.height * pitch)),
                "a slot is larger than the kernels can count");
        const std::ptrdiff_t size = slot.channels * slot.plane();
        require((slot.value == -1 || fits(slot.value, size, layout.arena)) &&
                    (slot.delta == -1 || fits(slot.delta, size, layout.arena)),
                "a slot lies outside the arena");
    }
}

void check_convolution(const Step& step, const Slot& in, const Slot& out, const Program& sizes, std::ptrdiff_t arena,
                       bool learns) {
    require(step.rows.kernel <= 64 && step.columns.kernel <= 64, "a kernel is too large");
    require(step.groups >= 1 && in.channels % step.groups == 0 && out.channels % step.groups == 0,
            "channels do not divide into groups");
    const std::ptrdiff_t pairs = static_cast<std::ptrdiff_t>(in.channels / step.groups) * out.channels;
    require(countable(pairs), "a layer has more weights than the kernels can count");
    const std::ptrdiff_t weights = pairs * step.rows.kernel * step.columns.kernel;
    require(countable(weights), "a layer has more weights than the kernels can count");
    require(fits(step.weight, weights, sizes.parameters), "weights lie outside the parameters");
    require(step.bias < 0 || fits(step.bias, out.channels, sizes.parameters), "a bias lies outside the parameters");
    check_tiles(step, in, out, arena, sizes.scratch, learns);
    std::ptrdiff_t both = step.needs_dx ? 2 * weights : weights;
    if (is_pointwise(step, in, out)) both = 0;
    if (step.tile) both = winograd_packed(step.tile, in, out, step.needs_dx);
    require(fits(step.packed, both, sizes.packed), "packed weights have no room");
    require(step.tile != 3 || step.packed % kLanes == 0, "packed weights by points do not begin with a vector");
    if (!sizes.wide) return;
    if (step.tile == 3) {
        require(sizes.by_points % kLanes == 0, "packed weights by points do not begin with a vector");
        const std::ptrdiff_t in_turn = point_weights_in_turn(in, out, step.needs_dx);
        require(fits(sizes.by_points, in_turn, sizes.in_turn), "packed weights have no room in turn");
    } else {
        require(fits(step.packed, both, sizes.by_points), "packed weights lie among those by points");
    }
}

void check_norm(const Step& step, const Slot& in, const Program& sizes) {
    const std::ptrdiff_t count = statistics(in, step);
    require(fits(step.weight, count, sizes.parameters) && fits(step.bias, count, sizes.parameters),
            "weights lie outside the parameters");
    require(fits(step.norm, count, sizes.norms), "statistics have no room");
    require(fits(step.state, 2 * count + 1, sizes.state), "running statistics lie outside the state");
    require(step.eps > 0.0 && step.momentum <= 1.0, "a batch norm's settings are out of range");
}

// What a step adds to its output, and the δ that it and its inputs need.
void check_ways(const Step& step, const std::vector<Slot>& all, bool learns) {
    const auto slot = [&](int number) -> const Slot& { return all[static_cast<std::size_t>(number)]; };
    const Slot &in = slot(step.input), &out = slot(step.output);
    const bool sums = step.op == Op::kAdd || step.op == Op::kBatchNorm;
    require(sums || step.addend == -1, "a step adds what it has no way to add");
    require(step.op != Op::kAdd || step.addend >= 0, "a sum has one input");
    if (step.addend >= 0) require(same_shape(slot(step.addend), out), "a step adds maps of another shape");
    if (!learns) return;
    const bool back = step.addend >= 0 && step.addend_back != Addend::kNone;
    require(!(step.weight >= 0 || step.needs_dx || back) || out.delta >= 0, "a step has no place for its δ");
    require(!step.needs_dx || in.delta >= 0, "a step has no place for its input's δ");
    require(!back || slot(step.addend).delta >= 0, "a step has no place for its input's δ");
    require(!back || step.addend_back != Addend::kSame || same_place(slot(step.addend), out),
            "two slots that should share their δ do not");
}

void check_step(const Runner::Plan& plan, const std::vector<Slot>& all, const Program& sizes, std::ptrdiff_t arena,
                bool learns) {
    const Step& step = plan.step;
    const Slot &in = all[static_cast<std::size_t>(step.input)], &out = all[static_cast<std::size_t>(step.output)];
    const std::ptrdiff_t pixels = static_cast<std::ptrdiff_t>(out.height) * out.width;
    for (const Axis& axis : {step.rows, step.columns}) {
        require(axis.kernel >= 1 && axis.stride >= 1 && axis.dilation >= 1, "a window has no size");
        require(countable(axis.kernel) && countable(axis.stride) && countable(axis.dilation) && countable(axis.before),
                "a window's numbers are out of range");
    }
    require(step.op == Op::kConv || step.winograd() == 0, "tiles of what is no convolution");
    if (step.op == Op::kConv) check_convolution(step, in, out, sizes, arena, learns);
    if (step.op == Op::kBatchNorm) check_norm(step, in, sizes);
    if (step.op == Op::kPadChannels) {
        require(in.channels <= out.channels && in.height == out.height && in.pitch() == out.pitch() &&
                    in.value == out.value && in.delta == out.delta && !step.needs_dx,
                "what channels are appended to does not lie before them");
    }
    if (step.op == Op::kMaxPool || step.op == Op::kResponseNorm) {
        require(fits(step.scratch, out.channels * pixels, arena), "a step's notes lie outside the arena");
    }
    if (step.op == Op::kAvgPool) {
        require(static_cast<std::ptrdiff_t>(plan.scale.size()) == pixels, "a pool needs a scale for every pixel");
    }
    for (const Op same : {Op::kDropout, Op::kSoftmax, Op::kResponseNorm, Op::kBatchNorm, Op::kAdd}) {
        require(step.op != same || same_shape(in, out), "a step changes the shape that it should keep");
    }
    if (step.op == Op::kDropout) {
        require(step.p >= 0.0 && step.p < 1.0 && step.position >= 0, "dropout of no probability or no place");
    }
    if (step.op == Op::kLPPool) {
        require(in.channels == out.channels, "a pool changes the number of channels");
        require(step.p >= 1.0 && step.p < HUGE_VAL, "a norm must be a finite number of at least 1");
    }
    if (step.op == Op::kResponseNorm) require(step.size >= 1, "a neighbourhood has no channels");
}

// What a batch norm gives may have no place: it goes into the convolutions by points that read it, norm_before.hpp.
void check_values(const std::vector<Runner::Plan>& plans, const std::vector<Slot>& all, const Program& sizes) {
    const auto kept = [&](int slot) { return all[static_cast<std::size_t>(slot)].value >= 0; };
    require(kept(sizes.input) && kept(sizes.output), "the network's input or output has no place");
    std::vector<bool> normalized(all.size(), false);
    for (const Runner::Plan& plan : plans) {
        const Step& step = plan.step;
        require(step.addend < 0 || kept(step.addend), "a step adds what has no place");
        if (!kept(step.input)) {
            require(normalized[static_cast<std::size_t>(step.input)], "a step reads what has no place");
            require(step.tile == 3 && step.weights_tile == 3, "a step has no way to normalize what it reads");
        }
        if (!kept(step.output)) {
            const Slot &in = all[static_cast<std::size_t>(step.input)],
                       &out = all[static_cast<std::size_t>(step.output)];
            require(step.op == Op::kBatchNorm && !step.per_pixel && step.addend < 0, "a step's output needs a place");
            require(in.border == out.border, "a batch norm that goes into a convolution has another border");
            normalized[static_cast<std::size_t>(step.output)] = true;
        }
    }
}

// Nobody else has a step's parameters: their gradients could not be told apart.
void check_parameters(const std::vector<Runner::Plan>& plans, const std::vector<Slot>& all) {
    std::vector<std::pair<std::ptrdiff_t, std::ptrdiff_t>> taken;  // from, to
    for (const Runner::Plan& plan : plans) {
        const Step& step = plan.step;
        const Slot &in = all[static_cast<std::size_t>(step.input)], &out = all[static_cast<std::size_t>(step.output)];
        std::ptrdiff_t weights = 0, biases = out.channels;
        if (step.op == Op::kConv) {
            weights = std::ptrdiff_t{in.channels / step.groups} * out.channels * step.rows.kernel * step.columns.kernel;
        } else if (step.op == Op::kBatchNorm) {
            weights = biases = statistics(in, step);
        } else {
            continue;
        }
        taken.push_back({step.weight, step.weight + weights});
        if (step.bias >= 0) taken.push_back({step.bias, step.bias + biases});
    }
    std::sort(taken.begin(), taken.end());
    for (std::size_t i = 1; i < taken.size(); ++i) {
        require(taken[i - 1].second <= taken[i].first, "two steps share parameters");
    }
}

}  // namespace

bool countable(std::ptrdiff_t number) { return number >= 0 && number <= kMostNumbers; }

void check_program(const Runner::Layout& layout, const std::vector<Runner::Plan>& plans, const Program& sizes,
                   bool learns) {
    const int count = static_cast<int>(layout.slots.size());
    const auto known = [count](int slot) { return slot >= 0 && slot < count; };
    for (const std::ptrdiff_t total :
         {sizes.parameters, sizes.packed, sizes.scratch, sizes.norms, sizes.state, sizes.by_points, sizes.in_turn}) {
        require(total >= 0 && total <= kMostInAll, "a network's size is out of range");
    }
    const int loss = static_cast<int>(sizes.loss);
    require(known(sizes.input) && known(sizes.output) && loss >= 0 && loss <= 2,
            "input, output or loss is out of range");
    check_slots(layout);
    require(!learns || layout.slots[static_cast<std::size_t>(sizes.output)].delta >= 0, "the output has no δ");
    require(layout.scratch.size() == plans.size(), "every step needs a place for its notes");
    for (std::size_t i = 0; i < plans.size(); ++i) {
        Runner::Plan plan = plans[i];
        plan.step.scratch = layout.scratch[i];
        const Step& step = plan.step;
        const int op = static_cast<int>(step.op), activation = static_cast<int>(step.activation);
        const int back = static_cast<int>(step.addend_back);
        require(known(step.input) && known(step.output) && (step.addend == -1 || known(step.addend)),
                "a step's slot is out of range");
        require(op >= 0 && op <= 11 && activation >= 0 && activation <= 5 && back >= 0 && back <= 2,
                "a step of unknown kind");
        check_step(plan, layout.slots, sizes, layout.arena, learns);
        check_ways(step, layout.slots, learns);
    }
    check_values(plans, layout.slots, sizes);
    check_parameters(plans, layout.slots);
}

}  // namespace pellucid
