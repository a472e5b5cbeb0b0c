#include "naive_batch_norm.hpp"

#include <cmath>

namespace pellucid {
namespace {

// How the entries of a sample share statistics: one for each run of so many.
struct Statistics {
    std::size_t run, count;
    double values;  // of each statistic, in the whole batch

    Statistics(const Step& step, const Slot& in, const Samples& x)
        : run(step.per_pixel ? 1 : static_cast<std::size_t>(in.height * in.width)),
          count(x[0].size() / run),
          values(static_cast<double>(x.size() * run)) {}

    // Σ term(sample, entry) of every statistic.
    Values sum(const Samples& x, auto&& term) const {
        Values found(count);
        for (std::size_t t = 0; t < x.size(); ++t) {
            for (std::size_t i = 0; i < x[t].size(); ++i) found[i / run] += term(t, i);
        }
        return found;
    }

    Values mean(const Samples& x) const {
        Values found = sum(x, [&](std::size_t t, std::size_t i) { return x[t][i]; });
        for (double& each : found) each /= values;
        return found;
    }

    Values variance(const Samples& x, const Values& mean) const {
        Values found = sum(x, [&](std::size_t t, std::size_t i) { return std::pow(x[t][i] - mean[i / run], 2.0); });
        for (double& each : found) each /= values;
        return found;
    }
};

float parameter(const Data& data, std::ptrdiff_t begin, std::size_t i) {
    return data.params[static_cast<std::size_t>(begin) + i];
}

}  // namespace

Samples normalize(const Step& step, const Slot& in, const Samples& x, const Data& data, bool training, Values& state) {
    const Statistics all(step, in, x);
    double* const running_mean = &state[static_cast<std::size_t>(step.state)];
    double *const running_variance = running_mean + all.count, *const batches = running_variance + all.count;
    Values mean(running_mean, running_variance), variance(running_variance, batches);
    if (training) {
        mean = all.mean(x);
        variance = all.variance(x, mean);
        const double rate = step.momentum < 0.0 ? 1.0 / (*batches + 1.0) : step.momentum;
        for (std::size_t s = 0; s < all.count; ++s) {
            const double unbiased = variance[s] * all.values / (all.values - 1.0);
            running_mean[s] += rate * (mean[s] - running_mean[s]);
            running_variance[s] += rate * (unbiased - running_variance[s]);
        }
        *batches += 1.0;
    }
    Samples y = x;
    for (Values& sample : y) {
        for (std::size_t i = 0; i < sample.size(); ++i) {
            const std::size_t s = i / all.run;
            sample[i] = parameter(data, step.weight, s) * (sample[i] - mean[s]) / std::sqrt(variance[s] + step.eps) +
                        parameter(data, step.bias, s);
        }
    }
    return y;
}

Samples normalize_backward(const Step& step, const Slot& in, const Samples& x, const Samples& dy, const Data& data,
                           Values& gradients) {
    const Statistics all(step, in, x);
    const Values mean = all.mean(x), variance = all.variance(x, mean);
    const auto root = [&](std::size_t s) { return std::sqrt(variance[s] + step.eps); };
    const Values dbeta = all.sum(dy, [&](std::size_t t, std::size_t i) { return dy[t][i]; });
    const Values products =
        all.sum(dy, [&](std::size_t t, std::size_t i) { return dy[t][i] * (x[t][i] - mean[i / all.run]); });
    Values dmean(all.count), dvariance(all.count);
    for (std::size_t s = 0; s < all.count; ++s) {
        const double gamma = parameter(data, step.weight, s);
        gradients[static_cast<std::size_t>(step.weight) + s] += products[s] / root(s);
        gradients[static_cast<std::size_t>(step.bias) + s] += dbeta[s];
        dmean[s] = -gamma * dbeta[s] / root(s);
        dvariance[s] = -0.5 * gamma * products[s] * std::pow(root(s), -3.0);
    }
    Samples dx = dy;
    for (std::size_t t = 0; t < dx.size(); ++t) {
        for (std::size_t i = 0; i < dx[t].size(); ++i) {
            const std::size_t s = i / all.run;
            dx[t][i] = dy[t][i] * parameter(data, step.weight, s) / root(s) +
                       dvariance[s] * 2.0 * (x[t][i] - mean[s]) / all.values + dmean[s] / all.values;
        }
    }
    return dx;
}

}  // namespace pellucid
