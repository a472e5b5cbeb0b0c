#include "naive.hpp"

#include <algorithm>
#include <cmath>

#include "naive_batch_norm.hpp"
#include "naive_steps.hpp"

namespace pellucid {
namespace {

// ln(1 + eˣ) without overflow: a network that is drawn may well be sure of itself.
double softplus(double x) { return std::fmax(x, 0.0) + std::log1p(std::exp(-std::fabs(x))); }

// Returns ℓ and fills δ = ∂ℓ/∂a.
double loss_of(Loss kind, const Values& a, const float* y, Values& delta) {
    const double largest = *std::max_element(a.begin(), a.end());
    double loss = 0.0, sum = 0.0;
    for (const double x : a) sum += std::exp(x - largest);
    delta.resize(a.size());
    for (std::size_t k = 0; k < a.size(); ++k) {
        switch (kind) {
            case Loss::kCrossEntropy:
                loss += y[k] * (largest + std::log(sum) - a[k]);
                delta[k] = std::exp(a[k] - largest) / sum - y[k];
                break;
            case Loss::kLogLoss:
                loss += y[k] * softplus(-a[k]) + (1.0 - y[k]) * softplus(a[k]);
                delta[k] = 1.0 / (1.0 + std::exp(-a[k])) - y[k];
                break;
            case Loss::kSquaredError:
                loss += 0.5 * (a[k] - y[k]) * (a[k] - y[k]);
                delta[k] = a[k] - y[k];
                break;
        }
    }
    return loss;
}

Values input_of(const Data& data, std::size_t row, std::size_t size) {
    Values x(size);
    for (std::size_t i = 0; i < size; ++i) {
        x[i] = data.bytes.empty() ? data.images[row * size + i] : data.bytes[row * size + i] / 255.0;
        if (!data.mean.empty()) x[i] -= data.mean[i];
    }
    return x;
}

std::size_t index(int slot) { return static_cast<std::size_t>(slot); }

void add_to(Values& sum, const Values& x) {
    for (std::size_t i = 0; i < x.size(); ++i) sum[i] += x[i];
}

// Where the first entry of a portion is found in the whole.
std::ptrdiff_t offset(const Net& net, const Portion& portion) {
    return static_cast<std::ptrdiff_t>(at(net.slots[index(portion.whole)], portion.first, 0, 0));
}

// Returns what the step's output is before its activation.
Samples step_forward(const Net& net, const Runner::Plan& plan, const Data& data, bool training, Naive& found) {
    const Step& step = plan.step;
    const Slot &in = net.slots[index(step.input)], &out = net.slots[index(step.output)];
    const Samples& x = found.value[index(step.input)];
    Samples y;
    if (step.op == Op::kBatchNorm) {
        y = normalize(step, in, x, data, training, found.state);
    } else {
        for (std::size_t t = 0; t < x.size(); ++t) y.push_back(forward(plan, in, out, x[t], data, t, training));
    }
    for (std::size_t t = 0; t < x.size() && step.addend >= 0; ++t) add_to(y[t], found.value[index(step.addend)][t]);
    found.value[index(step.output)] = y;
    for (Values& sample : found.value[index(step.output)]) {
        for (double& each : sample) each = apply(step.activation, step.alpha, each);
    }
    for (const Portion& portion : net.portions) {
        if (portion.slot != step.output) continue;
        for (std::size_t t = 0; t < x.size(); ++t) {
            const Values& part = found.value[index(portion.slot)][t];
            std::copy(part.begin(), part.end(), found.value[index(portion.whole)][t].begin() + offset(net, portion));
        }
    }
    return y;
}

// Takes δ from a step's output to its inputs.
void step_backward(const Net& net, const Runner::Plan& plan, const Data& data, const Samples& before, Naive& found) {
    const Step& step = plan.step;
    const Slot &in = net.slots[index(step.input)], &out = net.slots[index(step.output)];
    const Samples& x = found.value[index(step.input)];
    Samples& dy = found.delta[index(step.output)];
    for (const Portion& portion : net.portions) {
        if (portion.slot != step.output) continue;
        for (std::size_t t = 0; t < dy.size(); ++t) {
            const auto begin = found.delta[index(portion.whole)][t].begin() + offset(net, portion);
            dy[t].assign(begin, begin + static_cast<std::ptrdiff_t>(dy[t].size()));
        }
    }
    for (std::size_t t = 0; t < dy.size(); ++t) {
        for (std::size_t k = 0; k < dy[t].size(); ++k)
            dy[t][k] *= derivative(step.activation, step.alpha, before[t][k]);
    }
    Samples dx;
    if (step.op == Op::kBatchNorm) {
        dx = normalize_backward(step, in, x, dy, data, found.gradients);
    } else {
        for (std::size_t t = 0; t < dy.size(); ++t) {
            dx.push_back(backward(plan, in, out, x[t], dy[t], data, t, found.gradients));
        }
    }
    for (std::size_t t = 0; t < dy.size(); ++t) {
        add_to(found.delta[index(step.input)][t], dx[t]);
        if (step.addend >= 0) add_to(found.delta[index(step.addend)][t], dy[t]);
    }
}

}  // namespace

double apply(Activation kind, double alpha, double x) {
    switch (kind) {
        case Activation::kNone:
            return x;
        case Activation::kReLU:
            return x < 0.0 ? 0.0 : x;
        case Activation::kLeakyReLU:
            return x > 0.0 ? x : alpha * x;
        case Activation::kELU:
            return x < 0.0 ? alpha * std::expm1(x) : x;
        case Activation::kSigmoid:
            return 1.0 / (1.0 + std::exp(-x));
        case Activation::kTanh:
            return std::tanh(x);
    }
    return NAN;
}

double derivative(Activation kind, double alpha, double x) {
    switch (kind) {
        case Activation::kNone:
            return 1.0;
        case Activation::kReLU:
            return x > 0.0 ? 1.0 : 0.0;
        case Activation::kLeakyReLU:
            return x > 0.0 ? 1.0 : alpha;
        case Activation::kELU:
            return x < 0.0 ? alpha * std::exp(x) : 1.0;
        case Activation::kSigmoid:
            return std::exp(-std::fabs(x)) / std::pow(1.0 + std::exp(-std::fabs(x)), 2.0);
        case Activation::kTanh:
            return 1.0 / (std::cosh(x) * std::cosh(x));
    }
    return NAN;
}

Naive run_naively(const Net& net, const Data& data, bool training) {
    Naive found;
    for (const Slot& slot : net.slots) {
        found.value.push_back(Samples(data.rows.size(), Values(at(slot, slot.channels, 0, 0))));
    }
    found.delta = found.value;
    found.gradients.resize(static_cast<std::size_t>(net.parameters));
    found.state.assign(data.state.begin(), data.state.end());
    for (std::size_t t = 0; t < data.rows.size(); ++t) {
        const std::size_t row = static_cast<std::size_t>(data.rows[t]);
        const Values x = input_of(data, row, found.value[0][t].size());
        found.value[0][t] = augmented(data, net.slots[0], x, row);
    }
    std::vector<Samples> before;
    for (const Runner::Plan& plan : net.plans) before.push_back(step_forward(net, plan, data, training, found));
    for (std::size_t t = 0; t < data.rows.size(); ++t) {
        const Values& a = found.value[index(net.here)][t];
        Values& delta = found.delta[index(net.here)][t];
        const float* y = &data.target[static_cast<std::size_t>(data.rows[t]) * a.size()];
        found.loss += data.weight[t] * loss_of(net.loss, a, y, delta);
        for (double& d : delta) d *= data.weight[t];
        found.outputs.insert(found.outputs.end(), a.begin(), a.end());
    }
    for (std::size_t i = net.plans.size(); training && i-- > 0;)
        step_backward(net, net.plans[i], data, before[i], found);
    return found;
}

}  // namespace pellucid
