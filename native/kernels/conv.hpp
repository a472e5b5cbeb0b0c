// Convolution layers, and linear layers as convolutions of 1×1 maps: forward, dx and the parameters' gradients, each
// cut into register tiles.
#pragma once

#include "activation.hpp"
#include "correlate.hpp"
#include "correlate_weights.hpp"
#include "part.hpp"
#include "program.hpp"

#if defined(__AVX512F__)
inline constexpr int kTileFilters = 6, kTilePixels = 4, kTileVector = 12, kTileWeights = 25;
#else
inline constexpr int kTileFilters = 6, kTilePixels = 2, kTileVector = 12, kTileWeights = 12;
#endif
inline constexpr int kMostTaps = 5;  // taps of one weight tile
inline constexpr int kRowsPixels =
    1024;  // of a weight tile, at least, before its lanes are summed: their δ takes half of a cache
inline constexpr int kMostKernel = 64;  // taps along one axis; the planner sends larger kernels elsewhere

using CorrelateTile = void (*)(lanes*, std::ptrdiff_t, int, const lanes*, std::ptrdiff_t, std::ptrdiff_t, int, int,
                               Taps, Taps, const float*, std::ptrdiff_t, const float*, bool);
using WeightsTile = void (*)(float*, std::ptrdiff_t, std::ptrdiff_t, const lanes*, std::ptrdiff_t, std::ptrdiff_t,
                             const lanes*, std::ptrdiff_t, std::ptrdiff_t, int, int, int, bool);

// table[TF − 1][TM − 1]; single pixels may have more filters, to keep enough sums in flight.
template <int TF>
CorrelateTile correlate_tile_for(int pixels) {
    if constexpr (TF <= kTileFilters) {
        switch (pixels) {
            case 2:
                return correlate_tile<TF, 2>;
#if defined(__AVX512F__)
            case 3:
                return correlate_tile<TF, 3>;
            case 4:
                return correlate_tile<TF, 4>;
#endif
            default:
                break;
        }
    }
    return correlate_tile<TF, 1>;
}

inline CorrelateTile find_correlate_tile(int filters, int pixels) {
    switch (filters) {
        case 1:
            return correlate_tile_for<1>(pixels);
        case 2:
            return correlate_tile_for<2>(pixels);
        case 3:
            return correlate_tile_for<3>(pixels);
        case 4:
            return correlate_tile_for<4>(pixels);
        case 5:
            return correlate_tile_for<5>(pixels);
        case 6:
            return correlate_tile_for<6>(pixels);
        case 7:
            return correlate_tile_for<7>(pixels);
        case 8:
            return correlate_tile_for<8>(pixels);
        case 9:
            return correlate_tile_for<9>(pixels);
        case 10:
            return correlate_tile_for<10>(pixels);
        case 11:
            return correlate_tile_for<11>(pixels);
        default:
            return correlate_tile_for<12>(pixels);
    }
}

template <int TK>
WeightsTile find_weights_tile_of(int filters) {
    switch (filters) {
        case 1:
            return correlate_weights_tile<1, TK>;
        case 2:
            return correlate_weights_tile<2, TK>;
        case 3:
            return correlate_weights_tile<3, TK>;
        case 4:
            return correlate_weights_tile<4, TK>;
        case 5:
            return correlate_weights_tile<5, TK>;
        case 6:
            return correlate_weights_tile<6, TK>;
        case 7:
            return correlate_weights_tile<7, TK>;
        default:
            return correlate_weights_tile<8, TK>;
    }
}

inline WeightsTile find_weights_tile(int filters, int taps) {
    switch (taps) {
        case 1:
            return find_weights_tile_of<1>(filters);
        case 2:
            return find_weights_tile_of<2>(filters);
        case 3:
            return find_weights_tile_of<3>(filters);
        case 4:
            return find_weights_tile_of<4>(filters);
        default:
            return find_weights_tile_of<5>(filters);
    }
}

// How many filters one tile of a layer holds: more where every map is a single pixel.
inline int tile_filters(const Slot& maps) { return maps.height * maps.width == 1 ? kTileVector : kTileFilters; }

// The shape of a convolution's weights.
struct Filters {
    int groups, in, out, height, width;  // in and out channels of one group

    Filters(const Program& program, const Step& step)
        : groups(step.groups),
          in(program.slots[step.input].channels / step.groups),
          out(program.slots[step.output].channels / step.groups),
          height(step.rows.kernel),
          width(step.columns.kernel) {}

    int area() const { return height * width; }
    std::ptrdiff_t count() const { return static_cast<std::ptrdiff_t>(groups) * in * out * area(); }

    // Where weight[f, c, j, k] of a group lies among the layer's parameters; a flipped filter is stored turned.
    std::ptrdiff_t at(bool flip, int group, int f, int c, int tap) const {
        const int stored = flip ? area() - 1 - tap : tap;
        return ((static_cast<std::ptrdiff_t>(group) * out + f) * in + c) * area() + stored;
    }
};

// Lay the weights out as the tiles read them: forward [filter tile][c][j][k][f], for dx [channel tile][f][j][k][c].
inline void pack_weights(const Program& program, const Step& step, const float* params, float* packed, Part part) {
    const Filters w(program, step);
    const float* weight = params + step.weight;
    const std::ptrdiff_t filter = static_cast<std::ptrdiff_t>(w.in) * w.area();
    const int by_filter = tile_filters(program.slots[step.output]), tiles = (w.out + by_filter - 1) / by_filter;
    const int area = w.area(), last = area - 1;
    for (const int item : part.of(w.groups * tiles)) {
        const int g = item / tiles, f0 = item % tiles * by_filter, filters = at_most(by_filter, w.out - f0);
        const float* from = weight + (static_cast<std::ptrdiff_t>(g) * w.out + f0) * filter;
        float* to = packed + step.packed + (static_cast<std::ptrdiff_t>(g) * w.out + f0) * filter;
        for (int c = 0; c < w.in; ++c) {
            for (int tap = 0; tap < area; ++tap, to += filters) {
                const float* taken = from + c * area + (step.flip ? last - tap : tap);
                for (int f = 0; f < filters; ++f) to[f] = taken[f * filter];
            }
        }
    }
    if (!step.needs_dx) return;
    const int by_channel = tile_filters(program.slots[step.input]), across = (w.in + by_channel - 1) / by_channel;
    for (const int item : part.of(w.groups * across)) {
        const int g = item / across, c0 = item % across * by_channel, channels = at_most(by_channel, w.in - c0);
        const float* from = weight + static_cast<std::ptrdiff_t>(g) * w.out * filter + c0 * area;
        float* to = packed + step.packed + w.count() + (static_cast<std::ptrdiff_t>(g) * w.in + c0) * w.out * area;
        for (int f = 0; f < w.out; ++f) {
            for (int tap = 0; tap < area; ++tap, to += channels) {
                const float* taken = from + f * filter + (step.flip ? last - tap : tap);
                for (int c = 0; c < channels; ++c) to[c] = taken[c * area];
            }
        }
    }
}

// The activation of the tile's row follows at once, while it is in the cache.
template <typename Activate>
void conv_forward(const Program& program, const Step& step, lanes* arena, const float* packed, const float* params,
                  Part part, Activate activate_row) {
    const Slot &in = program.slots[step.input], &out = program.slots[step.output];
    const Filters w(program, step);
    const int by_filter = tile_filters(out), tiles = (w.out + by_filter - 1) / by_filter;
    Tap columns[kMostKernel], rows[kMostKernel];
    for (int k = 0; k < w.width; ++k) columns[k] = {k, step.columns.dilation * k};
    for (const int item : part.of(out.height * w.groups * tiles)) {
        const int l = item / (w.groups * tiles), g = item / tiles % w.groups, f0 = item % tiles * by_filter;
        const int filters = at_most(by_filter, w.out - f0);
        int found = 0;
        for (int j = 0; j < w.height; ++j) {
            const int u = step.rows.stride * l + step.rows.dilation * j - step.rows.before;
            if (u >= 0 && u < in.height) rows[found++] = {j * w.width, u};
        }
        const float* weight = packed + step.packed + (static_cast<std::ptrdiff_t>(g) * w.out + f0) * w.in * w.area();
        const float* start = step.bias < 0 ? nullptr : params + step.bias + g * w.out + f0;
        const lanes* x = arena + in.value + g * w.in * in.plane() + in.border - step.columns.before;
        lanes* y = arena + out.value + (g * w.out + f0) * out.plane() + l * out.pitch() + out.border;
        for (int m = 0; m < out.width; m += kTilePixels) {
            const int pixels = at_most(kTilePixels, out.width - m);
            find_correlate_tile(filters, pixels)(y + m, out.plane(), 1, x + step.columns.stride * m, in.plane(),
                                                 in.pitch(), step.columns.stride, w.in, {rows, found},
                                                 {columns, w.width}, weight,
                                                 static_cast<std::ptrdiff_t>(w.area()) * filters, start, false);
        }
        for (int f = 0; f < filters; ++f) activate_row(y + f * out.plane(), out.width);
    }
}

// Along one axis, the (tap, output) pairs that input u takes part in: S·l + D·j − P = u. Those whose `count` outputs
// l, l + 1, … all lie outside are left out; the others may read up to count − 1 pixels of the zero border.
inline int taps_of_input(const Axis& axis, int outputs, int u, int count, int weight_step, Tap* taps) {
    int found = 0;
    for (int j = 0; j < axis.kernel; ++j) {
        const int reach = u + axis.before - axis.dilation * j;
        if (reach % axis.stride) continue;
        const int l = reach / axis.stride;
        if (l + count - 1 >= 0 && l < outputs) taps[found++] = {j * weight_step, l};
    }
    return found;
}

// dx[c, u, v] = Σ_f Σ over the taps that meet (u, v). Pixels v, v + S, v + 2S, … have the same taps and form the tiles.
inline void conv_dx(const Program& program, const Step& step, lanes* arena, const float* packed, Part part) {
    const Slot &in = program.slots[step.input], &out = program.slots[step.output];
    const Filters w(program, step);
    const int by_channel = tile_filters(in), tiles = (w.in + by_channel - 1) / by_channel, stride = step.columns.stride;
    Tap columns[kMostKernel], rows[kMostKernel];
    for (const int item : part.of(in.height * w.groups * tiles)) {
        const int u = item / (w.groups * tiles), g = item / tiles % w.groups, c0 = item % tiles * by_channel;
        const int channels = at_most(by_channel, w.in - c0);
        const int found = taps_of_input(step.rows, out.height, u, 1, w.width, rows);
        const float* weight =
            packed + step.packed + w.count() + (static_cast<std::ptrdiff_t>(g) * w.in + c0) * w.out * w.area();
        const std::ptrdiff_t filter = static_cast<std::ptrdiff_t>(w.area()) * channels;
        const lanes* dy = arena + out.delta + g * w.out * out.plane() + out.border;
        lanes* dx = arena + in.delta + (g * w.in + c0) * in.plane() + u * in.pitch() + in.border;
        for (int phase = 0; phase < at_most(stride, in.width); ++phase) {
            const int width = (in.width - phase + stride - 1) / stride;
            for (int i = 0; i < width; i += kTilePixels) {
                const int pixels = at_most(kTilePixels, width - i), v = phase + i * stride;
                const int across = taps_of_input(step.columns, out.width, v, pixels, 1, columns);
                find_correlate_tile(channels, pixels)(dx + v, in.plane(), stride, dy, out.plane(), out.pitch(), 1,
                                                      w.out, {rows, found}, {columns, across}, weight, filter, nullptr,
                                                      step.adds);
            }
        }
    }
}

// Row l of channel c of δ through the activation; with a `pool` behind, from the pool's δ.
inline void activate_row_backward(const Program& program, const Step& step, const Step* pool, lanes* arena, int c,
                                  int l) {
    const Slot& out = program.slots[step.output];
    const std::ptrdiff_t row = c * out.plane() + l * out.pitch() + out.border;
    const lanes* y = arena + out.value + row;
    lanes* delta = arena + out.delta + row;
    if (!pool) return activate_backward(step.activation, step.alpha, y, delta, out.width);
    const Slot& pooled = program.slots[pool->output];
    const lanes* dy = arena + pooled.delta + c * pooled.plane() + l / 2 * pooled.pitch() + pooled.border;
    const float* scale = pool->scale + l / 2 * pooled.width;
    const auto share = [=](int i) {
        return pieces(dy, 0)[i / (2 * kParts) * kParts + i % kParts] * scale[i / (2 * kParts)];
    };
    activate_backward(step.activation, step.alpha, y, share, delta, out.width);
}

// δ through the activation, and its sum, the bias's gradient. Of a row, four sums take turns: one would wait for
// itself. `pool`: see average_behind.
inline void activate_and_sum_delta(const Program& program, const Step& step, lanes* arena, float* gradients, Part part,
                                   bool add, const Step* pool = nullptr) {
    constexpr int kSums = 4;
    const Slot& out = program.slots[step.output];
    for (const int f : part.of(out.channels)) {
        lanes total;
        for (int part_of_lanes = 0; part_of_lanes < kParts; ++part_of_lanes) {
            piece sums[kSums]{};
            for (int l = 0; l < out.height; ++l) {
                if (part_of_lanes == 0) activate_row_backward(program, step, pool, arena, f, l);
                if (step.bias < 0) continue;
                const std::ptrdiff_t row = f * out.plane() + l * out.pitch() + out.border;
                const piece* dy = pieces(arena + out.delta + row, part_of_lanes);
                int m = 0;
                for (; m + kSums <= out.width; m += kSums) {
                    for (int i = 0; i < kSums; ++i) sums[i] += dy[(m + i) * kParts];
                }
                for (; m < out.width; ++m) sums[0] += dy[m * kParts];
            }
            *pieces(&total, part_of_lanes) = (sums[0] + sums[1]) + (sums[2] + sums[3]);
        }
        if (step.bias < 0) continue;
        float& to = gradients[step.bias + f];
        to = add ? to + sum_lanes(total) : sum_lanes(total);
    }
}

// How a layer's weight gradient is cut: tiles of filters × neighbouring taps, over a few rows of outputs at a time,
// whose δ stays in the cache while all channels and taps pass over it.
struct WeightCuts {
    int by_filter, by_tap, tiles, by_row;

    WeightCuts(const Filters& w, const Slot& out) {
        const int pieces_of_row = (w.width + kMostTaps - 1) / kMostTaps;
        by_tap = (w.width + pieces_of_row - 1) / pieces_of_row;  // pieces, and tiles, of even size
        const int most = at_most(8, kTileWeights / by_tap);
        tiles = (w.out + most - 1) / most;
        by_filter = (w.out + tiles - 1) / tiles;
        by_row = (kRowsPixels + out.width - 1) / out.width;
    }
};

// The taps of one filter row on one channel, over the rows of outputs in [from, to).
inline void weight_gradient_row(const Program& program, const Step& step, const lanes* arena, float* dweight,
                                const WeightCuts& cuts, int g, int f0, int c, int j, int from, int to, bool add) {
    const Slot &in = program.slots[step.input], &out = program.slots[step.output];
    const Filters w(program, step);
    const int filters = at_most(cuts.by_filter, w.out - f0), reach = step.rows.dilation * j - step.rows.before;
    int top = from, bottom = to;
    while (top < bottom && step.rows.stride * top + reach < 0) ++top;
    while (bottom > top && step.rows.stride * (bottom - 1) + reach >= in.height) --bottom;
    const lanes* dy = arena + out.delta + (g * w.out + f0) * out.plane() + top * out.pitch() + out.border;
    const lanes* x = arena + in.value + (g * w.in + c) * in.plane() + (step.rows.stride * top + reach) * in.pitch() +
                     in.border - step.columns.before;
    const std::ptrdiff_t filter_step = static_cast<std::ptrdiff_t>(w.in) * w.area();
    for (int k = 0; k < w.width; k += cuts.by_tap) {
        const int taps = at_most(cuts.by_tap, w.width - k);
        find_weights_tile(filters, taps)(dweight + w.at(step.flip, g, f0, c, j * w.width + k), filter_step,
                                         step.flip ? -1 : 1, dy, out.plane(), out.pitch(),
                                         x + step.columns.dilation * k, step.rows.stride * in.pitch(),
                                         step.columns.dilation, step.columns.stride, bottom - top, out.width, add);
    }
}

inline void conv_weight_gradient(const Program& program, const Step& step, const lanes* arena, float* gradients,
                                 Part part, bool add) {
    const Slot& out = program.slots[step.output];
    const Filters w(program, step);
    const WeightCuts cuts(w, out);
    float* dweight = gradients + step.weight;
    const Range own = part.of(w.groups * cuts.tiles * w.in);
    for (int first = own.from; first < own.to;) {
        const int g = first / (cuts.tiles * w.in), f0 = first / w.in % cuts.tiles * cuts.by_filter;
        const int c0 = first % w.in, channels = at_most(own.to - first, w.in - c0);
        for (int l = 0; l < out.height; l += cuts.by_row) {
            const int end = at_most(l + cuts.by_row, out.height);
            for (int c = c0; c < c0 + channels; ++c) {
                for (int j = 0; j < w.height; ++j) {
                    weight_gradient_row(program, step, arena, dweight, cuts, g, f0, c, j, l, end, add || l > 0);
                }
            }
        }
        first += channels;
    }
}
