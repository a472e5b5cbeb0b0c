// Where everything of a network lies, and who sends which δ where.
#include <algorithm>

#include "gradients.hpp"
#include "net.hpp"

namespace pellucid {
namespace {

constexpr int kTilePixels = 4;  // TILE_PIXELS of pellucid/engine/program.py

std::size_t index(int slot) { return static_cast<std::size_t>(slot); }

std::ptrdiff_t lanes_of(const Slot& slot) { return slot.channels * slot.plane(); }

int tile_kernel(const Step& step, const Slot& out) {
    const int kernel = step.rows.kernel;
    bool fits = step.groups == 1 && (kernel == 3 || kernel == 5) && std::min(out.height, out.width) >= kSide;
    for (const Axis& axis : {step.rows, step.columns}) {
        fits = fits && axis.kernel == kernel && axis.stride == 1 && axis.dilation == 1;
    }
    return fits ? kernel : 0;
}

// Which slots have a δ, and what each step does with those of its inputs.
void connect(const Net& net, Layout& found) {
    found.learns.assign(net.slots.size(), false);
    found.learns[0] = net.dx_of_input;
    for (Runner::Plan& plan : found.plans) {
        Step& step = plan.step;
        step.needs_dx = found.learns[index(step.input)] && step.op != Op::kPadChannels;
        const bool addend_learns = step.addend >= 0 && found.learns[index(step.addend)];
        const bool learns = step.needs_dx || addend_learns || step.weight >= 0;
        found.learns[index(step.output)] = found.learns[index(step.output)] || learns;
        for (const Portion& portion : net.portions) {
            if (portion.slot == step.output && learns) found.learns[index(portion.whole)] = true;
        }
    }
    found.delta_of.assign(net.slots.size(), -1);
    found.delta_stays = found.learns;
    found.delta_stays[index(net.here)] = true;
    std::vector<bool> written(net.slots.size(), false);
    written[index(net.here)] = true;
    for (std::size_t i = found.plans.size(); i-- > 0;) {
        Step& step = found.plans[i].step;
        if (step.addend >= 0 && found.learns[index(step.addend)]) {
            step.addend_back = written[index(step.addend)] ? Addend::kAdd : Addend::kSame;
            if (step.addend_back == Addend::kSame) {
                found.delta_of[index(step.addend)] = step.output;
                found.delta_stays[index(step.output)] = false;
            }
            written[index(step.addend)] = true;
        }
        step.adds = step.needs_dx && written[index(step.input)];
        written[index(step.input)] = true;
    }
    for (const Portion& portion : net.portions) found.delta_stays[index(portion.whole)] = false;
}

// The zero borders that a convolution reads beyond the edges of its maps.
void widen(const Step& step, Slot& in, Slot& out) {
    const Axis& axis = step.columns;
    const int reach = axis.stride * (out.width - 1) + axis.dilation * (axis.kernel - 1);
    const int beyond = step.winograd() == kFive ? (kSide - out.width % kSide) % kSide : 0;
    in.border = std::max({in.border, axis.before, reach - axis.before - (in.width - 1) + beyond});
    out.border = std::max(out.border, beyond);
    if (step.needs_dx && step.tile == 3) {
        const int before = axis.kernel - 1 - axis.before;
        out.border = std::max({out.border, before, in.width + axis.kernel - 1 - before - out.width});
    }
    const bool pixel_by_pixel = axis.kernel == 1 && axis.stride == 1 && axis.before == 0;
    if (step.needs_dx && !step.tile && !pixel_by_pixel && !is_pointwise(step, in, out)) {
        out.border = std::max(out.border, kTilePixels - 1);
    }
}

// What a batch norm gives to one convolution by points alone is never kept.
void normalize_under_way(const Net& net, Layout& found) {
    found.made_of.assign(net.slots.size(), -1);
    for (const Runner::Plan& plan : found.plans) {
        const Step& norm = plan.step;
        const bool quick = norm.activation == Activation::kNone || norm.activation == Activation::kReLU ||
                           norm.activation == Activation::kLeakyReLU;
        const bool plain = norm.addend < 0 && !norm.per_pixel && quick;
        if (norm.op != Op::kBatchNorm || !plain || norm.output == net.here) continue;
        int readers = 0, by_points = 0;
        for (const Runner::Plan& other : found.plans) {
            readers += (other.step.input == norm.output) + (other.step.addend == norm.output);
            by_points += other.step.input == norm.output && other.step.tile == 3 && other.step.weights_tile == 3;
        }
        for (const Portion& portion : net.portions) readers += portion.slot == norm.output;
        if (readers == 1 && by_points == 1) found.made_of[index(norm.output)] = norm.input;
    }
}

// Slots that lie in one another have the same borders, and those that others are made of.
void share_borders(const Net& net, Layout& found) {
    bool changed = true;
    const auto share = [&](int a, int b) {
        Slot &one = found.slots[index(a)], &other = found.slots[index(b)];
        changed = changed || one.border != other.border;
        one.border = other.border = std::max(one.border, other.border);
    };
    while (changed) {
        changed = false;
        for (const Portion& portion : net.portions) share(portion.slot, portion.whole);
        for (int i = 0; i < static_cast<int>(found.slots.size()); ++i) {
            if (found.delta_of[index(i)] >= 0) share(i, found.delta_of[index(i)]);
            if (found.made_of[index(i)] >= 0) share(i, found.made_of[index(i)]);
        }
    }
}

// A place for the value, or the δ, of every slot that lies in no other.
void place_slots(const Net& net, Layout& found, std::ptrdiff_t Slot::* begin, const std::vector<int>& same,
                 auto&& place) {
    const auto home = [&](int slot, std::ptrdiff_t& offset) {
        for (const Portion& portion : net.portions) {
            if (portion.slot != slot) continue;
            offset += portion.first * found.slots[index(slot)].plane();
            return portion.whole;
        }
        return same[index(slot)];
    };
    for (int i = 0; i < static_cast<int>(found.slots.size()); ++i) {
        std::ptrdiff_t none = 0;
        if (home(i, none) < 0) found.slots[index(i)].*begin = place(lanes_of(found.slots[index(i)]));
    }
    for (int i = 0; i < static_cast<int>(found.slots.size()); ++i) {
        std::ptrdiff_t offset = 0;
        int root = i;
        for (int next = home(i, offset); next >= 0; next = home(root, offset)) root = next;
        if (root != i) found.slots[index(i)].*begin = found.slots[index(root)].*begin + offset;
    }
}

// Of what a step notes for its way back.
void place_notes(Layout& found, Step& step, auto&& place) {
    const Slot &in = found.slots[index(step.input)], &out = found.slots[index(step.output)];
    if (step.op == Op::kMaxPool || step.op == Op::kResponseNorm) {
        step.scratch = place(static_cast<std::ptrdiff_t>(out.channels) * out.height * out.width);
    }
    if (step.winograd()) {
        step.scratch = place(winograd_notes(step, in, out));
        found.scratch = std::max(found.scratch, winograd_scratch(step.winograd(), in.channels, out.channels));
    }
}

// Those by points come last, where they may also take one place in turn.
void place_packed_weights(Layout& found) {
    std::ptrdiff_t longest = 0;
    for (const bool by_points : {false, true}) {
        if (by_points) found.by_points = found.packed;
        for (Runner::Plan& plan : found.plans) {
            Step& step = plan.step;
            const Slot &in = found.slots[index(step.input)], &out = found.slots[index(step.output)];
            if (step.op != Op::kConv || (step.tile == 3) != by_points) continue;
            if (by_points && longest == 0) found.by_points = found.packed = vectors_of(found.packed) * kLanes;
            step.packed = found.packed;
            const int weights = in.channels / step.groups * out.channels * step.rows.kernel * step.columns.kernel;
            if (step.tile) {
                found.packed += winograd_packed(step.tile, in, out, step.needs_dx);
            } else if (!is_pointwise(step, in, out)) {
                found.packed += (step.needs_dx ? 2 : 1) * weights;
            }
            if (by_points) {
                longest = std::max(longest, point_weights_in_turn(in, out, step.needs_dx));
            }
        }
    }
    found.in_turn = found.by_points + longest;
}

}  // namespace

Layout Net::layout(std::ptrdiff_t gap) const {
    Layout found{slots, plans, {}, {}, {}, {}, {}, gap};
    connect(*this, found);
    for (Runner::Plan& plan : found.plans) {
        Step& step = plan.step;
        if (step.op != Op::kConv) continue;
        const int kernel = tile_kernel(step, slots[index(step.output)]);
        step.weights_tile = tiled == Tiled::kNone || tiled == Tiled::kMaps ? 0 : kernel;
        step.tile = tiled == Tiled::kAll || tiled == Tiled::kMaps ? kernel : 0;
        widen(step, found.slots[index(step.input)], found.slots[index(step.output)]);
    }
    normalize_under_way(*this, found);
    share_borders(*this, found);
    const auto place = [&](std::ptrdiff_t size) {
        found.gaps.push_back(found.arena);
        const std::ptrdiff_t at = found.arena + gap;
        found.arena = at + size;
        return at;
    };
    place_slots(*this, found, &Slot::value, found.made_of, place);
    for (std::size_t i = 0; i < slots.size(); ++i) {
        if (found.made_of[i] >= 0) found.slots[i].value = -1;
    }
    place_slots(*this, found, &Slot::delta, found.delta_of, place);
    for (Slot& slot : found.slots) slot.reused = reused;
    for (Runner::Plan& plan : found.plans) place_notes(found, plan.step, place);
    place_packed_weights(found);
    place(0);
    return found;
}

Program Net::program(const Layout& layout) const {
    Program program{};
    program.output = here;
    program.loss = loss;
    program.arena = layout.arena;
    program.parameters = parameters;
    program.packed = layout.packed;
    program.scratch = layout.scratch;
    program.norms = norms;
    program.state = state;
    program.wide = wide;
    program.by_points = layout.by_points;
    program.in_turn = layout.in_turn;
    return program;
}

Planned::Planned(const Net& net, std::ptrdiff_t gap) : layout(net.layout(gap)), program(net.program(layout)) {
    for (Runner::Plan& plan : layout.plans) {
        plan.step.scale = plan.scale.data();
        steps.push_back(plan.step);
    }
    program.slots = layout.slots.data();
    program.steps = steps.data();
    program.step_count = static_cast<int>(steps.size());
    stretches = plan_gradients(steps, program);
    program.stretches = stretches.data();
    program.stretch_count = static_cast<int>(stretches.size());
}

}  // namespace pellucid
