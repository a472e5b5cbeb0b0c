#include "naive.hpp"

#include <algorithm>
#include <cmath>

namespace pellucid {
namespace {

using Values = std::vector<double>;

std::size_t at(const Slot& slot, int c, int u, int v) {
    return static_cast<std::size_t>((c * slot.height + u) * slot.width + v);
}

// visit(channel, output row l, output column m, j, k, input row u, input column v) for every tap inside the map.
void for_each_tap(const Step& step, const Slot& in, const Slot& out, auto&& visit) {
    for (int c = 0; c < out.channels; ++c) {
        for (int l = 0; l < out.height; ++l) {
            for (int m = 0; m < out.width; ++m) {
                for (int j = 0; j < step.rows.kernel; ++j) {
                    for (int k = 0; k < step.columns.kernel; ++k) {
                        const int u = step.rows.stride * l + step.rows.dilation * j - step.rows.before;
                        const int v = step.columns.stride * m + step.columns.dilation * k - step.columns.before;
                        if (u >= 0 && u < in.height && v >= 0 && v < in.width) visit(c, l, m, j, k, u, v);
                    }
                }
            }
        }
    }
}

// visit(y, weight, x) for every product of a convolution: y += weight·x, dx += weight·dy, dweight += x·dy.
void for_each_product(const Step& step, const Slot& in, const Slot& out, auto&& visit) {
    const int inputs = in.channels / step.groups, filters = out.channels / step.groups;
    for_each_tap(step, in, out, [&](int f, int l, int m, int j, int k, int u, int v) {
        const int row = step.flip ? step.rows.kernel - 1 - j : j;
        const int column = step.flip ? step.columns.kernel - 1 - k : k;
        for (int c = 0; c < inputs; ++c) {
            const int weight = ((f * inputs + c) * step.rows.kernel + row) * step.columns.kernel + column;
            visit(at(out, f, l, m), static_cast<std::size_t>(step.weight + weight),
                  at(in, f / filters * inputs + c, u, v));
        }
    });
}

// Where each output pixel's maximum sits: the first NaN, or else the first of the largest.
std::vector<std::size_t> winners(const Step& step, const Slot& in, const Slot& out, const Values& x) {
    constexpr std::size_t kNone = ~std::size_t{0};
    std::vector<std::size_t> found(at(out, out.channels, 0, 0), kNone);
    for_each_tap(step, in, out, [&](int c, int l, int m, int, int, int u, int v) {
        std::size_t& best = found[at(out, c, l, m)];
        const std::size_t here = at(in, c, u, v);
        if (best == kNone || (!std::isnan(x[best]) && (std::isnan(x[here]) || x[here] > x[best]))) best = here;
    });
    return found;
}

Values forward(const Runner::Plan& plan, const Slot& in, const Slot& out, const Values& x, const Data& data) {
    const Step& step = plan.step;
    Values y(at(out, out.channels, 0, 0));
    switch (step.op) {
        case Op::kConv:
            for (std::size_t i = 0; i < y.size() && step.bias >= 0; ++i) {
                const std::size_t f = i / static_cast<std::size_t>(out.height * out.width);
                y[i] = data.params[static_cast<std::size_t>(step.bias) + f];
            }
            for_each_product(step, in, out, [&](std::size_t to, std::size_t weight, std::size_t from) {
                y[to] += data.params[weight] * x[from];
            });
            break;
        case Op::kMaxPool: {
            const std::vector<std::size_t> winner = winners(step, in, out, x);
            for (std::size_t i = 0; i < y.size(); ++i) y[i] = x[winner[i]];
            break;
        }
        case Op::kAvgPool:
            for_each_tap(step, in, out, [&](int c, int l, int m, int, int, int u, int v) {
                y[at(out, c, l, m)] += x[at(in, c, u, v)] * plan.scale[static_cast<std::size_t>(l * out.width + m)];
            });
            break;
        case Op::kFlatten:
            for (int c = 0; c < in.channels; ++c) {
                for (int u = 0; u < in.height; ++u) {
                    for (int v = 0; v < in.width; ++v) {
                        const int place = step.column_major ? v * in.height + u : u * in.width + v;
                        y[static_cast<std::size_t>(c * in.height * in.width + place)] = x[at(in, c, u, v)];
                    }
                }
            }
            break;
        case Op::kActivation:
            y = x;
            break;
    }
    return y;
}

// δ of the input from δ of the output; adds the parameters' gradients.
Values backward(const Runner::Plan& plan, const Slot& in, const Slot& out, const Values& x, const Values& dy,
                const Data& data, Values& gradients) {
    const Step& step = plan.step;
    Values dx(x.size());
    switch (step.op) {
        case Op::kConv:
            for (std::size_t i = 0; i < dy.size() && step.bias >= 0; ++i) {
                const std::size_t f = i / static_cast<std::size_t>(out.height * out.width);
                gradients[static_cast<std::size_t>(step.bias) + f] += dy[i];
            }
            for_each_product(step, in, out, [&](std::size_t to, std::size_t weight, std::size_t from) {
                dx[from] += data.params[weight] * dy[to];
                gradients[weight] += x[from] * dy[to];
            });
            break;
        case Op::kMaxPool: {
            const std::vector<std::size_t> winner = winners(step, in, out, x);
            for (std::size_t i = 0; i < dy.size(); ++i) dx[winner[i]] += dy[i];
            break;
        }
        case Op::kAvgPool:
            for_each_tap(step, in, out, [&](int c, int l, int m, int, int, int u, int v) {
                dx[at(in, c, u, v)] += dy[at(out, c, l, m)] * plan.scale[static_cast<std::size_t>(l * out.width + m)];
            });
            break;
        case Op::kFlatten:
            for (int c = 0; c < in.channels; ++c) {
                for (int u = 0; u < in.height; ++u) {
                    for (int v = 0; v < in.width; ++v) {
                        const int place = step.column_major ? v * in.height + u : u * in.width + v;
                        dx[at(in, c, u, v)] = dy[static_cast<std::size_t>(c * in.height * in.width + place)];
                    }
                }
            }
            break;
        case Op::kActivation:
            dx = dy;
            break;
    }
    return dx;
}

// Returns ℓ and fills δ = ∂ℓ/∂a.
// ln(1 + eˣ) without overflow: a network that is drawn may well be sure of itself.
double softplus(double x) { return std::fmax(x, 0.0) + std::log1p(std::exp(-std::fabs(x))); }

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

Naive run_naively(const Net& net, const Data& data) {
    const std::size_t steps = net.plans.size();
    Naive found;
    found.value.resize(steps + 1);
    found.delta.resize(steps + 1);
    found.gradients.resize(static_cast<std::size_t>(net.parameters));
    for (std::size_t t = 0; t < data.rows.size(); ++t) {
        const std::size_t row = static_cast<std::size_t>(data.rows[t]);
        std::vector<Values> value{input_of(data, row, at(net.slots[0], net.slots[0].channels, 0, 0))}, before{{}};
        for (std::size_t i = 0; i < steps; ++i) {
            const Step& step = net.plans[i].step;
            before.push_back(forward(net.plans[i], net.slots[i], net.slots[i + 1], value[i], data));
            value.push_back(before.back());
            for (double& y : value.back()) y = apply(step.activation, step.alpha, y);
        }
        const std::size_t classes = value.back().size();
        std::vector<Values> delta(steps + 1);
        found.loss += data.weight[t] * loss_of(net.loss, value.back(), &data.target[row * classes], delta.back());
        for (double& d : delta.back()) d *= data.weight[t];
        for (std::size_t i = steps; i-- > 0;) {
            const Step& step = net.plans[i].step;
            for (std::size_t k = 0; k < delta[i + 1].size(); ++k) {
                delta[i + 1][k] *= derivative(step.activation, step.alpha, before[i + 1][k]);
            }
            delta[i] =
                backward(net.plans[i], net.slots[i], net.slots[i + 1], value[i], delta[i + 1], data, found.gradients);
        }
        found.outputs.insert(found.outputs.end(), value.back().begin(), value.back().end());
        for (std::size_t i = 0; i <= steps; ++i) {
            found.value[i].push_back(value[i]);
            found.delta[i].push_back(delta[i]);
        }
    }
    return found;
}

}  // namespace pellucid
