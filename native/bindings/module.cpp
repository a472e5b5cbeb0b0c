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
#include "check.hpp"
#include "measure.hpp"
#include "runner.hpp"

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

std::vector<pellucid::Slot> slots(const nb::list& rows) {
    std::vector<pellucid::Slot> found;
    for (const nb::handle row : rows) {
        const auto v = nb::cast<std::vector<std::ptrdiff_t>>(row);
        require(v.size() == 7, "a slot is (channels, height, width, border, value, delta, reused)");
        for (std::size_t i = 0; i < 4; ++i) require(pellucid::countable(v[i]), "a slot's size is out of range");
        found.push_back({static_cast<int>(v[0]), static_cast<int>(v[1]), static_cast<int>(v[2]), static_cast<int>(v[3]),
                         v[4], v[5], v[6] != 0});
    }
    return found;
}

Runner::Layout layout(const nb::tuple& given) {
    require(given.size() == 3, "a layout is (slots, scratch, arena)");
    return {slots(nb::cast<nb::list>(given[0])), nb::cast<std::vector<std::ptrdiff_t>>(given[1]),
            nb::cast<std::ptrdiff_t>(given[2])};
}

void make(Runner* self, const nb::list& steps, const nb::tuple& training, const nb::tuple& prediction, int input,
          int output, int loss, std::ptrdiff_t parameters, std::ptrdiff_t packed, std::ptrdiff_t scratch,
          const std::string& isa, std::ptrdiff_t norms, std::ptrdiff_t state, bool wide, std::ptrdiff_t by_points,
          std::ptrdiff_t in_turn) {
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
    sizes.by_points = by_points;
    sizes.in_turn = in_turn;
    Runner::Layout to_train = layout(training), to_predict = layout(prediction);
    require(to_train.slots.size() == to_predict.slots.size(), "the layouts have different slots");
    pellucid::check_program(to_train, plans, sizes, true);
    pellucid::check_program(to_predict, plans, sizes, false);
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
    require(count <= static_cast<std::size_t>(pellucid::kMostNumbers), "too many samples for one batch");
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
             "parameters"_a, "packed"_a, "scratch"_a, "isa"_a, "norms"_a = 0, "state"_a = 0, "wide"_a = false,
             "by_points"_a = 0, "in_turn"_a = 0)
        // noconvert: an array of another type is refused; results written to a converted copy would be lost.
        .def("run", &run, "images"_a.noconvert(), "rows"_a.noconvert(), "params"_a.noconvert(), "outputs"_a.noconvert(),
             "threads"_a, "mean"_a.noconvert() = nb::none(), "target"_a.noconvert() = nb::none(),
             "weight"_a.noconvert() = nb::none(), "gradients"_a.noconvert() = nb::none(), "seed"_a = 0, "step"_a = 0,
             "training"_a = false, "activated"_a = false, "state"_a.noconvert() = nb::none(),
             "Run one batch; returns the loss. Fills outputs, and gradients if they are given.")
        .def("time_step", &time_step, "step"_a, "pass_"_a, "params"_a.noconvert(), "repetitions"_a, "threads"_a,
             "Seconds that each thread takes to repeat one pass of a convolution on the block it had last.");
    bind_reading(module);
    bind_training(module);
    module.def("multiply_add_peak", &multiply_add_peak, "isa"_a, "seconds"_a, "threads"_a,
               "Multiply-adds a second of threads that do nothing else: what kernels are held against.");
}
