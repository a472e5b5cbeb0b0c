#include "training.hpp"

#include <stdexcept>
#include <utility>

namespace pellucid {
namespace {

void require(bool condition, const char* message) {
    if (!condition) throw std::invalid_argument(message);
}

}  // namespace

Training::Training(const Batch& batch, const Sizes& sizes, const double* weight, bool mean, const Update& update,
                   std::vector<Weights> weights)
    : batch_(batch), sizes_(sizes), weight_(weight), mean_(mean), update_(update), weights_(std::move(weights)) {}

Training::Outcome Training::step(Runner& runner, const std::int64_t* rows, std::size_t count, std::size_t place,
                                 double rate, double step, int threads, std::uint64_t network_step,
                                 const void* images) const {
    const Program& program = runner.program();
    const Slot &in = program.slots[program.input], &out = program.slots[program.output];
    require(
        sizes_.parameters == static_cast<std::size_t>(program.parameters) &&
            sizes_.sample == static_cast<std::size_t>(in.channels) * static_cast<std::size_t>(in.height * in.width) &&
            sizes_.classes == static_cast<std::size_t>(out.channels) &&
            sizes_.state == static_cast<std::size_t>(program.state),
        "the runner is that of another network");
    const Augmentation& a = batch_.augmentation;
    require(a.padding >= 0 && (a.padding == 0 || (a.padding < in.height && a.padding < in.width)) && a.cutout >= 0 &&
                a.cutout <= in.height && a.cutout <= in.width,
            "the augmentation does not fit the images");
    require((images == nullptr) == (batch_.images != nullptr), "images come with the data set, or with every step");
    require(threads >= 1 && count >= 1 && step >= 1, "threads, count and step must be at least 1");
    require(place <= sizes_.room && count <= sizes_.room - place, "the outputs have no room for the batch");
    for (std::size_t i = 0; i < count; ++i) {
        require(rows[i] >= 0 && static_cast<std::size_t>(rows[i]) < sizes_.samples, "a row number is out of range");
    }
    const std::vector<float> weight = weigh(rows, count);
    Update update = update_;
    update.weights = weights_.data();
    update.weight_count = static_cast<int>(weights_.size());
    update.rate = rate;
    update.step = step;
    Batch batch = batch_;
    batch.rows = rows;
    if (images) batch.images = images;
    batch.own_images = images != nullptr;
    batch.step = network_step;
    batch.count = static_cast<int>(count);
    batch.weight = weight.data();
    batch.outputs += place * sizes_.classes;
    batch.threads = threads;
    batch.update = &update;
    runner.run(batch);
    return {batch.loss, update.gradient_finite, update.params_finite, update.previous_kept};
}

std::vector<float> Training::weigh(const std::int64_t* rows, std::size_t count) const {
    double sum = 1.0;
    if (mean_) {
        sum = 0.0;
        for (std::size_t i = 0; i < count; ++i) sum += weight_[rows[i]];
    }
    std::vector<float> found(count);
    for (std::size_t i = 0; i < count; ++i) found[i] = static_cast<float>(weight_[rows[i]] / sum);
    return found;
}

}  // namespace pellucid
