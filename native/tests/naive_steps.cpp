#include "naive_steps.hpp"

#include <algorithm>
#include <cmath>

namespace pellucid {
namespace {

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

// Philox4x32-10: word `entry` mod 4 of the counter (entry / 4, sample, layer, step).
std::uint32_t random_word(const Data& data, std::size_t entry, std::size_t sample, std::uint64_t layer) {
    std::uint64_t counter[4] = {entry / 4, sample, layer, data.step & 0xFFFFFFFF};
    std::uint64_t low = data.seed & 0xFFFFFFFF, high = data.seed >> 32;
    for (int round = 0; round < 10; ++round) {
        const std::uint64_t p = 0xD2511F53 * counter[0], q = 0xCD9E8D57 * counter[2];
        counter[0] = (q >> 32) ^ counter[1] ^ low;
        counter[1] = q & 0xFFFFFFFF;
        counter[2] = (p >> 32) ^ counter[3] ^ high;
        counter[3] = p & 0xFFFFFFFF;
        low = (low + 0x9E3779B9) & 0xFFFFFFFF;
        high = (high + 0xBB67AE85) & 0xFFFFFFFF;
    }
    return static_cast<std::uint32_t>(counter[entry % 4]);
}

Values dropped(const Step& step, const Values& x, const Data& data, std::size_t sample) {
    Values y(x.size());
    for (std::size_t i = 0; i < y.size(); ++i) {
        const std::uint64_t layer = static_cast<std::uint64_t>(step.position);
        const bool kept = random_word(data, i, sample, layer) >= std::round(step.p * 4294967296.0);
        y[i] = kept ? x[i] / (1.0 - step.p) : 0.0;
    }
    return y;
}

// visit(entry, the entry of the same pixel in another channel) over the channels from `below` under to `above` over.
void for_each_neighbour(const Slot& slot, int below, int above, auto&& visit) {
    const int pixels = slot.height * slot.width;
    for (int c = 0; c < slot.channels; ++c) {
        for (int i = std::max(c - below, 0); i <= std::min(c + above, slot.channels - 1); ++i) {
            for (int pixel = 0; pixel < pixels; ++pixel) {
                visit(static_cast<std::size_t>(c * pixels + pixel), static_cast<std::size_t>(i * pixels + pixel));
            }
        }
    }
}

// s = k + share·Σ x² over the neighbourhood of every entry.
Values neighbourhood(const Step& step, const Slot& slot, const Values& x) {
    Values s(x.size(), step.k);
    for_each_neighbour(slot, step.size / 2, (step.size - 1) / 2,
                       [&](std::size_t at, std::size_t other) { s[at] += step.share * x[other] * x[other]; });
    return s;
}

Values softmax(const Slot& slot, const Values& x) {
    Values sum(x.size()), y(x.size());
    for_each_neighbour(slot, slot.channels, slot.channels,
                       [&](std::size_t at, std::size_t other) { sum[at] += std::exp(x[other]); });
    for (std::size_t i = 0; i < y.size(); ++i) y[i] = std::exp(x[i]) / sum[i];
    return y;
}

Values p_norm(const Step& step, const Slot& in, const Slot& out, const Values& x) {
    Values y(at(out, out.channels, 0, 0));
    for_each_tap(step, in, out, [&](int c, int l, int m, int, int, int u, int v) {
        y[at(out, c, l, m)] += std::pow(std::fabs(x[at(in, c, u, v)]), step.p);
    });
    for (double& value : y) value = std::pow(value, 1.0 / step.p);
    return y;
}

}  // namespace

std::size_t at(const Slot& slot, int c, int u, int v) {
    return static_cast<std::size_t>((c * slot.height + u) * slot.width + v);
}

Values augmented(const Data& data, const Slot& in, const Values& x, std::size_t row) {
    const Augmentation& settings = data.augmentation;
    const auto number = [&](std::size_t word, int count) {
        return static_cast<int>(std::floor(random_word(data, word, row, 0xFFFFFFFF) / 4294967296.0 * count));
    };
    const int a = number(0, 2 * settings.padding + 1) - settings.padding;
    const int b = number(1, 2 * settings.padding + 1) - settings.padding;
    const bool flipped = settings.flip && number(2, 2) == 0;
    const int top = number(4, in.height) - settings.cutout / 2, left = number(5, in.width) - settings.cutout / 2;
    Values y(x.size());
    for (int c = 0; c < in.channels; ++c) {
        for (int u = 0; u < in.height; ++u) {
            for (int v = 0; v < in.width; ++v) {
                const int i = u + a, j = (flipped ? in.width - 1 - v : v) + b;
                const bool inside = i >= 0 && i < in.height && j >= 0 && j < in.width;
                const bool cut = u >= top && u < top + settings.cutout && v >= left && v < left + settings.cutout;
                if (inside && !cut) y[at(in, c, u, v)] = x[at(in, c, i, j)];
            }
        }
    }
    return y;
}

Values forward(const Runner::Plan& plan, const Slot& in, const Slot& out, const Values& x, const Data& data,
               std::size_t sample, bool training) {
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
        case Op::kPadChannels:
            std::copy(x.begin(), x.end(), y.begin());
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
        case Op::kAdd:
            y = x;
            break;
        case Op::kDropout:
            y = training ? dropped(step, x, data, sample) : x;
            break;
        case Op::kLPPool:
            y = p_norm(step, in, out, x);
            break;
        case Op::kSoftmax:
            y = softmax(in, x);
            break;
        case Op::kResponseNorm: {
            const Values s = neighbourhood(step, in, x);
            for (std::size_t i = 0; i < y.size(); ++i) y[i] = x[i] * std::pow(s[i], -step.beta);
            break;
        }
        case Op::kBatchNorm:
            break;
    }
    return y;
}

Values backward(const Runner::Plan& plan, const Slot& in, const Slot& out, const Values& x, const Values& dy,
                const Data& data, std::size_t sample, Values& gradients) {
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
        case Op::kPadChannels:  // its input lies in its output, and finds its δ there
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
        case Op::kAdd:
            dx = dy;
            break;
        case Op::kDropout:
            dx = dropped(step, dy, data, sample);
            break;
        case Op::kLPPool: {
            const Values y = p_norm(step, in, out, x);
            for_each_tap(step, in, out, [&](int c, int l, int m, int, int, int u, int v) {
                const double pixel = x[at(in, c, u, v)], norm = y[at(out, c, l, m)];
                if (pixel == 0.0) return;
                dx[at(in, c, u, v)] +=
                    dy[at(out, c, l, m)] * std::copysign(1.0, pixel) * std::pow(std::fabs(pixel) / norm, step.p - 1.0);
            });
            break;
        }
        case Op::kSoftmax: {  // ∂y_k/∂x_c = y_k([k = c] − y_c)
            const Values y = softmax(in, x);
            for_each_neighbour(in, in.channels, in.channels, [&](std::size_t c, std::size_t k) {
                dx[c] += dy[k] * y[k] * ((k == c ? 1.0 : 0.0) - y[c]);
            });
            break;
        }
        case Op::kResponseNorm: {  // ∂y_i/∂x_c = [i = c] s_i^(−β) − 2·share·β·x_i·x_c·s_i^(−β−1)
            const Values s = neighbourhood(step, in, x);
            for (std::size_t i = 0; i < dx.size(); ++i) dx[i] = dy[i] * std::pow(s[i], -step.beta);
            for_each_neighbour(in, step.size / 2, (step.size - 1) / 2, [&](std::size_t i, std::size_t c) {
                dx[c] -= dy[i] * 2.0 * step.share * step.beta * x[i] * x[c] * std::pow(s[i], -step.beta - 1.0);
            });
            break;
        }
        case Op::kBatchNorm:
            break;
    }
    return dx;
}

}  // namespace pellucid
