#include "training.hpp"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/vector.h>

#include <cmath>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "bindings/bindings.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using pellucid::Training;
using pellucid::Update;
using Images = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;
using Floats = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
using Doubles = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Matrix = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Flat = nb::ndarray<float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Output = nb::ndarray<float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Rows = nb::ndarray<const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

void require(bool condition, const char* message) {
    if (!condition) throw std::invalid_argument(message);
}

// The arrays stay alive, and in place, as long as the training that reads and writes them.
struct Held {
    Images images;
    std::optional<Floats> mean;
    Matrix target;
    Doubles weight;
    Flat params, gradients;
    std::vector<Flat> slots;
    Output outputs;
    std::optional<Flat> state;
    Training training;
    std::int64_t updates = 0;
};

Update update(const nb::dict& d, const Flat& params, const std::vector<Flat>& slots) {
    const int rule = nb::cast<int>(d["rule"]);
    require(rule >= 0 && rule < pellucid::kRules, "there is no such rule");
    Update found{};
    found.rule = static_cast<pellucid::Rule>(rule);
    require(static_cast<int>(slots.size()) == pellucid::slots_of(found.rule), "the rule remembers other slots");
    for (std::size_t i = 0; i < slots.size(); ++i) {
        require(slots[i].size() == params.size(), "a slot must be as long as the parameters");
        found.slots[i] = slots[i].data();
    }
    found.params = params.data();
    found.first = nb::cast<double>(d["first"]);
    found.second = nb::cast<double>(d["second"]);
    found.eps = nb::cast<double>(d["eps"]);
    found.decay = nb::cast<double>(d["decay"]);
    found.l1 = nb::cast<double>(d["l1"]);
    found.l2 = nb::cast<double>(d["l2"]);
    found.clip_value = nb::cast<double>(d["clip_value"]);
    found.clip_norm = nb::cast<double>(d["clip_norm"]);
    found.max_norm = nb::cast<double>(d["max_norm"]);
    return found;
}

std::vector<pellucid::Weights> weights(const nb::list& rows, std::size_t parameters) {
    const auto all = static_cast<std::ptrdiff_t>(parameters);
    std::vector<pellucid::Weights> found;
    for (const nb::handle row : rows) {
        const auto v = nb::cast<std::vector<std::ptrdiff_t>>(row);
        require(v.size() == 3, "weights are (first, units, incoming)");
        require(v[0] >= 0 && v[1] >= 1 && v[2] >= 1 && v[1] <= all / v[2] && v[0] <= all - v[1] * v[2],
                "weights lie outside the parameters");
        found.push_back({v[0], v[1], v[2]});
    }
    return found;
}

void make(Held* self, const Images& images, const std::optional<Floats>& mean, const Matrix& target,
          const Doubles& weight, bool weighted_mean, const Flat& params, const Flat& gradients,
          const std::vector<Flat>& slots, const Output& outputs, const nb::list& regularized,
          const nb::dict& update_fields, std::uint64_t seed, const std::optional<Flat>& state, int padding, bool flip,
          int cutout) {
    const bool bytes = images.dtype() == nb::dtype<std::uint8_t>();
    require(bytes || images.dtype() == nb::dtype<float>(), "images must be uint8 or float32");
    require(images.ndim() > 0 && target.shape(0) > 0, "there are no images");
    const bool apart = images.shape(0) == 0;  // every step brings its own
    const std::size_t samples = target.shape(0);
    std::size_t sample = 1;
    for (std::size_t i = 1; i < images.ndim(); ++i) sample *= images.shape(i);
    require(!mean || mean->size() == sample, "the mean does not fit the images");
    require((apart || images.shape(0) == samples) && weight.shape(0) == samples, "one target and one weight an image");
    require(outputs.shape(1) == target.shape(1), "outputs and targets differ in their classes");
    require(gradients.size() == params.size(), "gradients must be as many as parameters");
    pellucid::Batch batch{};
    batch.images = apart ? nullptr : images.data();
    batch.bytes = bytes;
    batch.mean = mean ? mean->data() : nullptr;
    batch.target = target.data();
    batch.params = params.data();
    batch.gradients = gradients.data();
    batch.outputs = outputs.data();
    batch.seed = seed;
    batch.state = state ? state->data() : nullptr;
    batch.training = true;
    batch.augmentation = {padding, flip, cutout};
    const Training::Sizes sizes{samples,       sample,           target.shape(1),
                                params.size(), outputs.shape(0), state ? state->size() : 0};
    new (self) Held{images,
                    mean,
                    target,
                    weight,
                    params,
                    gradients,
                    slots,
                    outputs,
                    state,
                    Training(batch, sizes, weight.data(), weighted_mean, update(update_fields, params, slots),
                             weights(regularized, params.size()))};
}

nb::tuple step(Held& self, pellucid::Runner& runner, const Rows& rows, std::size_t place, double rate, double step,
               int threads, std::uint64_t network_step, const std::optional<Images>& images) {
    if (images) {
        require(images->ndim() == self.images.ndim() && images->dtype() == self.images.dtype(),
                "the batch's images are of another kind than the data set's");
        for (std::size_t i = 0; i < images->ndim(); ++i) {
            require(images->shape(i) == (i ? self.images.shape(i) : rows.shape(0)), "one image a row, and of its size");
        }
    }
    const void* own = images ? images->data() : nullptr;
    Training::Outcome outcome{};
    {
        const nb::gil_scoped_release released;
        outcome = self.training.step(runner, rows.data(), rows.shape(0), place, rate, step, threads, network_step, own);
    }
    self.updates += outcome.gradient_finite && std::isfinite(outcome.loss);
    return nb::make_tuple(outcome.loss, outcome.gradient_finite, outcome.params_finite, outcome.previous_kept);
}

}  // namespace

void bind_training(nb::module_& module) {
    nb::class_<Held>(module, "Training", "A data set, an update and the arrays they work on, for the steps of one fit.")
        // noconvert: an array of another type is refused; results written to a converted copy would be lost.
        .def("__init__", &make, "images"_a.noconvert(), "mean"_a.noconvert() = nb::none(), "target"_a.noconvert(),
             "weight"_a.noconvert(), "weighted_mean"_a, "params"_a.noconvert(), "gradients"_a.noconvert(),
             "slots"_a.noconvert(), "outputs"_a.noconvert(), "regularized"_a, "update"_a, "seed"_a = 0,
             "state"_a.noconvert() = nb::none(), "padding"_a = 0, "flip"_a = false, "cutout"_a = 0)
        .def_ro("updates", &Held::updates, "How many steps have changed the parameters.")
        .def("step", &step, "runner"_a, "rows"_a.noconvert(), "place"_a, "rate"_a, "step"_a, "threads"_a,
             "network_step"_a = 0, "images"_a.noconvert() = nb::none(),
             "One step; returns the loss with its penalties, whether gradient and new parameters are finite, and "
             "whether the gradients' array has the parameters before the last update. Unless loss and gradient are "
             "finite, no parameter is changed.");
}
