#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "bindings/bindings.hpp"
#include "measure.hpp"
#include "runner.hpp"
#include "winograd_sizes.hpp"

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using pellucid::Runner;
using Floats = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
using Output = nb::ndarray<float, nb::c_contig, nb::device::cpu>;
using Rows = nb::ndarray<const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

void require(bool condition, const char* message) {
    if (!condition) throw std::invalid_argument(message);
}

const pellucid::Engine& engine_of(const std::string& isa) {
    const pellucid::Engine* engine = pellucid::find_engine(isa.c_str());
    require(engine != nullptr, "this processor or build does not have that instruction set");
    return *engine;
}

pellucid::Axis axis(const nb::handle& numbers) {
    const auto v = nb::cast<std::vector<int>>(numbers);
    require(v.size() == 4, "an axis is (kernel, stride, dilation, before)");
    return {v[0], v[1], v[2], v[3]};
}

Runner::Plan plan(const nb::dict& d) {
    Runner::Plan plan{};
    pellucid::Step& step = plan.step;
    step.op = static_cast<pellucid::Op>(nb::cast<int>(d["op"]));
    step.input = nb::cast<int>(d["input"]);
    step.output = nb::cast<int>(d["output"]);
    step.rows = axis(d["rows"]);
    step.columns = axis(d["columns"]);
    step.groups = nb::cast<int>(d["groups"]);
    step.flip = nb::cast<bool>(d["flip"]);
    step.weight = nb::cast<std::ptrdiff_t>(d["weight"]);
    step.bias = nb::cast<std::ptrdiff_t>(d["bias"]);
    step.activation = static_cast<pellucid::Activation>(nb::cast<int>(d["activation"]));
    step.alpha = nb::cast<float>(d["alpha"]);
    step.column_major = nb::cast<bool>(d["column_major"]);
    step.needs_dx = nb::cast<bool>(d["needs_dx"]);
    step.adds = nb::cast<bool>(d["adds"]);
    step.packed = nb::cast<std::ptrdiff_t>(d["packed"]);
    step.tile = nb::cast<int>(d["tile"]);
    step.weights_tile = nb::cast<int>(d["weights_tile"]);
    step.p = nb::cast<double>(d["p"]);
    step.position = nb::cast<int>(d["position"]);
    step.size = nb::cast<int>(d["size"]);
    step.k = nb::cast<float>(d["k"]);
    step.share = nb::cast<float>(d["share"]);
    step.beta = nb::cast<double>(d["beta"]);
    step.addend = nb::cast<int>(d["addend"]);
    step.addend_back = static_cast<pellucid::Addend>(nb::cast<int>(d["addend_back"]));
    step.per_pixel = nb::cast<bool>(d["per_pixel"]);
    step.norm = nb::cast<std::ptrdiff_t>(d["norm"]);
    step.state = nb::cast<std::ptrdiff_t>(d["state"]);
    step.eps = nb::cast<double>(d["eps"]);
    step.momentum = nb::cast<double>(d["momentum"]);
    plan.scale = nb::cast<std::vector<float>>(d["scale"]);
    return plan;
}

constexpr std::ptrdiff_t kMostNumbers = 1 << 30;                // of anything that the kernels count in an int
constexpr std::ptrdiff_t kMostInAll = std::ptrdiff_t{1} << 35;  // floats or lanes of a network: bytes fit a size_t

bool countable(std::ptrdiff_t number) { return number >= 0 && number <= kMostNumbers; }

std::vector<pellucid::Slot> slots(const nb::list& rows) {
    std::vector<pellucid::Slot> found;
    for (const nb::handle row : rows) {
        const auto v = nb::cast<std::vector<std::ptrdiff_t>>(row);
        require(v.size() == 7, "a slot is (channels, height, width, border, value, delta, reused)");
        for (std::size_t i = 0; i < 4; ++i) require(countable(v[i]), "a slot's size is out of range");
        found.push_back({static_cast<int>(v[0]), static_cast<int>(v[1]), static_cast<int>(v[2]), static_cast<int>(v[3]),
                         v[4], v[5], v[6] != 0});
    }
    return found;
}

bool fits(std::ptrdiff_t from, std::ptrdiff_t count, std::ptrdiff_t room) {
    return from >= 0 && count >= 0 && from <= room - count;
}

bool same_shape(const pellucid::Slot& a, const pellucid::Slot& b) {
    return a.channels == b.channels && a.height == b.height && a.width == b.width;
}

using pellucid::kPoints;
constexpr int kPointsOfTile = kPoints * kPoints;

// A convolution by Winograd's way: its tiles, the borders that the last of them reaches into, and its memory.
void check_tiles(const pellucid::Step& step, const pellucid::Slot& in, const pellucid::Slot& out, std::ptrdiff_t arena,
                 std::ptrdiff_t scratch, bool learns) {
    const int side = step.side();
    require(step.tile == 0 || step.weights_tile == 0 || step.tile == step.weights_tile, "tiles of two sizes");
    if (side == 0) return;
    require(side == 2 || side == 4, "a tile of unknown size");
    for (const pellucid::Axis& axis : {step.rows, step.columns}) {
        require(axis.kernel == kPoints + 1 - side && axis.stride == 1 && axis.dilation == 1,
                "tiles do not fit the window");
    }
    require(step.groups == 1, "tiles of a convolution in groups");
    const std::ptrdiff_t pairs = static_cast<std::ptrdiff_t>(in.channels) * out.channels;
    require(countable(pairs * kPointsOfTile), "a layer has more weights than the kernels can count");
    // By points, a tile ends where the map does.
    const std::ptrdiff_t width = side == pellucid::kSide ? out.width : (out.width + side - 1) / side * side;
    const std::ptrdiff_t last = width - step.columns.before + step.columns.kernel - 2;
    require(in.border >= step.columns.before && last < std::ptrdiff_t{in.width} + in.border &&
                width <= std::ptrdiff_t{out.width} + out.border,
            "a border is narrower than the tiles");
    if (step.tile == pellucid::kSide && step.needs_dx) {
        const std::ptrdiff_t before = step.columns.kernel - 1 - step.columns.before;
        require(out.border >= before && in.width - before + step.columns.kernel - 2 < out.width + out.border,
                "a border is narrower than the tiles of dx");
    }
    require(!learns || fits(step.scratch, pellucid::winograd_notes(side, in, out), arena),
            "a step's notes lie outside the arena");
    require(pellucid::winograd_scratch(side, in.channels, out.channels) <= scratch, "a thread has too little scratch");
}

bool same_place(const pellucid::Slot& a, const pellucid::Slot& b) {
    return same_shape(a, b) && a.border == b.border && a.delta == b.delta;
}

void check_slots(const Runner::Layout& layout) {
    require(layout.arena >= 0 && layout.arena <= kMostInAll, "a network's size is out of range");
    for (const pellucid::Slot& slot : layout.slots) {
        require(slot.channels >= 1 && slot.height >= 1 && slot.width >= 1 && slot.border >= 0, "a slot has no size");
        const std::ptrdiff_t pitch = slot.width + std::ptrdiff_t{2} * slot.border;
        require(countable(slot.height * pitch) && countable(slot.channels * (slot.height * pitch)),
                "a slot is larger than the kernels can count");
        const std::ptrdiff_t size = slot.channels * slot.plane();
        require(fits(slot.value, size, layout.arena) && (slot.delta == -1 || fits(slot.delta, size, layout.arena)),
                "a slot lies outside the arena");
    }
}

void check_convolution(const pellucid::Step& step, const pellucid::Slot& in, const pellucid::Slot& out,
                       const pellucid::Program& sizes, std::ptrdiff_t arena, bool learns) {
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
    if (pellucid::is_pointwise(step, in, out)) both = 0;
    if (step.tile) both = pellucid::winograd_packed(step.tile, in.channels, out.channels, step.needs_dx);
    require(fits(step.packed, both, sizes.packed), "packed weights have no room");
}

void check_norm(const pellucid::Step& step, const pellucid::Slot& in, const pellucid::Program& sizes) {
    const std::ptrdiff_t count = in.channels * (step.per_pixel ? std::ptrdiff_t{in.height} * in.width : 1);
    require(fits(step.weight, count, sizes.parameters) && fits(step.bias, count, sizes.parameters),
            "weights lie outside the parameters");
    require(fits(step.norm, count, sizes.norms), "statistics have no room");
    require(fits(step.state, 2 * count + 1, sizes.state), "running statistics lie outside the state");
    require(step.eps > 0.0 && step.momentum <= 1.0, "a batch norm's settings are out of range");
}

// What a step adds to its output, and the δ that it and its inputs need.
void check_ways(const pellucid::Step& step, const std::vector<pellucid::Slot>& all, bool learns) {
    const auto slot = [&](int number) -> const pellucid::Slot& { return all[static_cast<std::size_t>(number)]; };
    const pellucid::Slot &in = slot(step.input), &out = slot(step.output);
    const bool sums = step.op == pellucid::Op::kAdd || step.op == pellucid::Op::kBatchNorm;
    require(sums || step.addend == -1, "a step adds what it has no way to add");
    require(step.op != pellucid::Op::kAdd || step.addend >= 0, "a sum has one input");
    if (step.addend >= 0) require(same_shape(slot(step.addend), out), "a step adds maps of another shape");
    if (!learns) return;
    const bool back = step.addend >= 0 && step.addend_back != pellucid::Addend::kNone;
    require(!(step.weight >= 0 || step.needs_dx || back) || out.delta >= 0, "a step has no place for its δ");
    require(!step.needs_dx || in.delta >= 0, "a step has no place for its input's δ");
    require(!back || slot(step.addend).delta >= 0, "a step has no place for its input's δ");
    require(!back || step.addend_back != pellucid::Addend::kSame || same_place(slot(step.addend), out),
            "two slots that should share their δ do not");
}

void check_step(const Runner::Plan& plan, const std::vector<pellucid::Slot>& all, const pellucid::Program& sizes,
                std::ptrdiff_t arena, bool learns) {
    using pellucid::Op;
    const pellucid::Step& step = plan.step;
    const pellucid::Slot &in = all[static_cast<std::size_t>(step.input)],
                         &out = all[static_cast<std::size_t>(step.output)];
    const std::ptrdiff_t pixels = static_cast<std::ptrdiff_t>(out.height) * out.width;
    for (const pellucid::Axis& axis : {step.rows, step.columns}) {
        require(axis.kernel >= 1 && axis.stride >= 1 && axis.dilation >= 1, "a window has no size");
        require(countable(axis.kernel) && countable(axis.stride) && countable(axis.dilation) && countable(axis.before),
                "a window's numbers are out of range");
    }
    require(step.op == Op::kConv || step.side() == 0, "tiles of what is no convolution");
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

// The kernels trust a program; what reaches them is looked through here.
void check_program(const Runner::Layout& layout, const std::vector<Runner::Plan>& plans, const pellucid::Program& sizes,
                   bool learns) {
    const int count = static_cast<int>(layout.slots.size());
    const auto known = [count](int slot) { return slot >= 0 && slot < count; };
    for (const std::ptrdiff_t total : {sizes.parameters, sizes.packed, sizes.scratch, sizes.norms, sizes.state}) {
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
        const pellucid::Step& step = plan.step;
        const int op = static_cast<int>(step.op), activation = static_cast<int>(step.activation);
        const int back = static_cast<int>(step.addend_back);
        require(known(step.input) && known(step.output) && (step.addend == -1 || known(step.addend)),
                "a step's slot is out of range");
        require(op >= 0 && op <= 11 && activation >= 0 && activation <= 5 && back >= 0 && back <= 2,
                "a step of unknown kind");
        check_step(plan, layout.slots, sizes, layout.arena, learns);
        check_ways(step, layout.slots, learns);
    }
}

Runner::Layout layout(const nb::tuple& given) {
    require(given.size() == 3, "a layout is (slots, scratch, arena)");
    return {slots(nb::cast<nb::list>(given[0])), nb::cast<std::vector<std::ptrdiff_t>>(given[1]),
            nb::cast<std::ptrdiff_t>(given[2])};
}

void make(Runner* self, const nb::list& steps, const nb::tuple& training, const nb::tuple& prediction, int input,
          int output, int loss, std::ptrdiff_t parameters, std::ptrdiff_t packed, std::ptrdiff_t scratch,
          const std::string& isa, std::ptrdiff_t norms, std::ptrdiff_t state, bool wide) {
    const pellucid::Engine& engine = engine_of(isa);
    std::vector<Runner::Plan> plans;
    for (const nb::handle step : steps) plans.push_back(plan(nb::cast<nb::dict>(step)));
    pellucid::Program sizes{};
    sizes.input = input;
    sizes.output = output;
    sizes.loss = static_cast<pellucid::Loss>(loss);
    sizes.parameters = parameters;
    sizes.packed = packed;
    sizes.scratch = scratch;
    sizes.norms = norms;
    sizes.state = state;
    sizes.wide = wide;
    Runner::Layout to_train = layout(training), to_predict = layout(prediction);
    require(to_train.slots.size() == to_predict.slots.size(), "the layouts have different slots");
    check_program(to_train, plans, sizes, true);
    check_program(to_predict, plans, sizes, false);
    new (self) Runner(std::move(to_train), std::move(to_predict), std::move(plans), sizes, &engine);
}

// NumPy hands out arrays whose numbers straddle the boundaries of their type; C++ must not read them as such.
template <typename... Arrays>
bool all_aligned(const Arrays&... arrays) {
    const auto fits = [](const auto& array) {
        return array.size() == 0 || reinterpret_cast<std::uintptr_t>(array.data()) % array.itemsize() == 0;
    };
    return (fits(arrays) && ...);
}

double run(Runner& self, const nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>& images, const Rows& rows,
           const Floats& params, const Output& outputs, int threads, const std::optional<Floats>& mean,
           const std::optional<Floats>& target, const std::optional<Floats>& weight,
           const std::optional<Output>& gradients, std::uint64_t seed, std::uint64_t step, bool training,
           bool activated, const std::optional<Output>& state) {
    const pellucid::Program& program = self.program();
    const pellucid::Slot &in = program.slots[program.input], &out = program.slots[program.output];
    const std::size_t sample = static_cast<std::size_t>(in.channels) * static_cast<std::size_t>(in.height) *
                               static_cast<std::size_t>(in.width);
    const std::size_t count = rows.shape(0), classes = static_cast<std::size_t>(out.channels);
    const bool bytes = images.dtype() == nb::dtype<std::uint8_t>();
    require(bytes || images.dtype() == nb::dtype<float>(), "images must be uint8 or float32");
    require(images.ndim() > 0 && images.size() == images.shape(0) * sample, "images do not fit the network's input");
    require(params.size() == static_cast<std::size_t>(program.parameters), "wrong number of parameters");
    require(outputs.size() == count * classes, "outputs must be (count, classes)");
    require(threads >= 1 && count >= 1, "threads and count must be at least 1");
    require(count <= static_cast<std::size_t>(kMostNumbers), "too many samples for one batch");
    require(!mean || mean->size() == sample, "the mean does not fit the network's input");
    require(!gradients || (target && weight), "gradients need targets and weights");
    require(!gradients || gradients->size() == params.size(), "gradients must be as many as parameters");
    require(!target || target->size() == images.shape(0) * classes, "targets must be (N, classes)");
    require(!target || (weight && weight->size() == count), "weights must be (count,)");
    require((state ? state->size() : 0) == static_cast<std::size_t>(program.state), "running statistics are missing");
    require(!gradients || training || program.norms == 0, "batch norm has gradients in training only");
    require(all_aligned(images, rows, params, outputs) && (!mean || all_aligned(*mean)) &&
                (!target || all_aligned(*target)) && (!weight || all_aligned(*weight)) &&
                (!gradients || all_aligned(*gradients)) && (!state || all_aligned(*state)),
            "an array is not aligned to its numbers");
    for (std::size_t i = 0; i < count; ++i) {
        require(rows(i) >= 0 && static_cast<std::size_t>(rows(i)) < images.shape(0), "a row number is out of range");
    }
    pellucid::Batch batch{images.data(),
                          bytes,
                          mean ? mean->data() : nullptr,
                          rows.data(),
                          static_cast<int>(count),
                          target ? target->data() : nullptr,
                          weight ? weight->data() : nullptr,
                          params.data(),
                          gradients ? gradients->data() : nullptr,
                          outputs.data(),
                          0.0,
                          threads,
                          seed,
                          step,
                          training,
                          state ? state->data() : nullptr,
                          nullptr,
                          activated};
    const nb::gil_scoped_release released;
    self.run(batch);
    return batch.loss;
}

#if defined(_OPENMP)
constexpr bool kOpenMP = true;
nb::tuple openmp_threads() {
    return nb::make_tuple(omp_get_max_threads(), omp_get_num_procs(), omp_get_thread_limit());
}
#else
constexpr bool kOpenMP = false;
nb::tuple openmp_threads() { return nb::make_tuple(1, 1, 1); }
#endif
double time_step(Runner& self, int step, const std::string& pass, const Floats& params, int repetitions, int threads) {
    require(params.size() == static_cast<std::size_t>(self.program().parameters), "wrong number of parameters");
    require(repetitions >= 1 && threads >= 1, "repetitions and threads must be at least 1");
    require(pass == "forward" || pass == "dx" || pass == "dweight" || pass == "pack",
            "a pass is 'forward', 'dx', 'dweight' or 'pack'");
    const pellucid::Pass which = pass == "forward"   ? pellucid::Pass::kForward
                                 : pass == "dx"      ? pellucid::Pass::kDx
                                 : pass == "dweight" ? pellucid::Pass::kDweight
                                                     : pellucid::Pass::kPack;
    const nb::gil_scoped_release released;
    return self.time_step(step, which, params.data(), repetitions, threads);
}

double multiply_add_peak(const std::string& isa, double seconds, int threads) {
    require(seconds > 0.0 && seconds <= 60.0, "seconds must be more than 0 and at most 60");
    require(threads >= 1, "threads must be at least 1");
    const pellucid::Engine& engine = engine_of(isa);
    const nb::gil_scoped_release released;
    return pellucid::multiply_add_peak(engine, seconds, threads);
}

}  // namespace

NB_MODULE(_native, module) {
    module.doc() = "Pellucid's compiled part.";
    module.attr("__version__") = PELLUCID_VERSION;
    module.def("instruction_set", &pellucid::instruction_set,
               "The widest instruction set of this processor that the engine knows: 'avx512', 'avx2', 'neon' or "
               "'baseline'.");
    module.attr("openmp") = kOpenMP;
    module.def(
        "openmp_threads", &openmp_threads,
        "What OpenMP says here and now: the threads it would use, the processors there are, and the most threads "
        "it may use; all 1 without it.");
    nb::class_<Runner>(module, "Runner", "A network's program with the memory it runs in.")
        .def("__init__", &make, "steps"_a, "training"_a, "prediction"_a, "input"_a, "output"_a, "loss"_a,
             "parameters"_a, "packed"_a, "scratch"_a, "isa"_a, "norms"_a = 0, "state"_a = 0, "wide"_a = false)
        // noconvert: an array of another type is refused; results written to a converted copy would be lost.
        .def("run", &run, "images"_a.noconvert(), "rows"_a.noconvert(), "params"_a.noconvert(), "outputs"_a.noconvert(),
             "threads"_a, "mean"_a.noconvert() = nb::none(), "target"_a.noconvert() = nb::none(),
             "weight"_a.noconvert() = nb::none(), "gradients"_a.noconvert() = nb::none(), "seed"_a = 0, "step"_a = 0,
             "training"_a = false, "activated"_a = false, "state"_a.noconvert() = nb::none(),
             "Run one batch; returns the loss. Fills outputs, and gradients if they are given.")
        .def("time_step", &time_step, "step"_a, "pass_"_a, "params"_a.noconvert(), "repetitions"_a, "threads"_a,
             "Seconds that each thread takes to repeat one pass of a convolution on the block it had last.");
    bind_training(module);
    module.def("multiply_add_peak", &multiply_add_peak, "isa"_a, "seconds"_a, "threads"_a,
               "Multiply-adds a second of threads that do nothing else: what kernels are held against.");
}
