// Convolutions of one tap, and linear layers as those of maps of one pixel: matrix products, with the weights read
// where they lie.
//
//     y[f, p] = b[f] + Σ_c w[f, c] x[c, p]     dx[c, p] = Σ_f w[f, c] dy[f, p]     dw[f, c] = Σ_p Σ_t dy[f, p] x[c, p]
//
// A few pixels of all channels become a panel, some channels at a time, and all rows of the weights pass over it while
// it is in the cache. For dw the samples of x are turned out of the lanes, 16 channels to a vector.
#pragma once

#include "part.hpp"
#include "products.hpp"
#include "program.hpp"
#include "turn.hpp"

inline constexpr int kPanel = 1024;                     // vectors of a panel, 64 KiB
inline constexpr int kLongRow = 4096;                   // weights of a row that one pass over maps of one pixel takes
inline constexpr int kTurnedRows = 64;                  // rows of the weights, where they are turned
inline constexpr int kTurnedPixels = 16;                // that the weight gradient turns at a time
inline constexpr int kWide = kProductVectors * kLanes;  // channels of its tiles
inline constexpr int kTurned = kTurnedPixels * kWide;   // vectors of the panel that holds them
inline constexpr int kItemsForEach = 4;                 // for each thread, that are worth handing out

// Pixels of some maps, one for each output: they lie `pitch` and `step` apart.
struct Grid {
    lanes* first;
    std::ptrdiff_t plane;
    int pitch, step;

    Grid(const Slot& slot, lanes* maps, int row_step, int step)
        : first(maps + slot.border), plane(slot.plane()), pitch(row_step * slot.pitch()), step(step) {}
};

// out = start + w · x at every pixel: `rows` maps from `depth` maps.
template <typename Finish>
struct Product {
    Grid x, out;
    Factors w;
    int rows, depth, width, pixels;
    Start start;
    Finish finish;  // of a row's finished pixels

    bool lone() const { return pixels == 1 && x.plane == 1; }  // then x is a panel as it lies

    // Rows of a tile over one pixel: fewer where each is read from a line of its own, which may all fall together in
    // the cache.
    int tile_rows() const { return pixels > 1 ? kProductRows : w.turned ? kProductLone : kProductStreams; }

    void run(Part part) const {
        const int by_row = tile_rows(), tiles = (rows + by_row - 1) / by_row;
        const int groups = (pixels + kProductVectors - 1) / kProductVectors;
        const bool by_groups = groups >= kItemsForEach * part.count;
        const Part whole{0, 1};
        const Range own = (by_groups ? whole : part).of(tiles);
        for (const int group : (by_groups ? part : whole).of(groups)) {
            const int first = group * kProductVectors, count = at_most(kProductVectors, pixels - first);
            multiply(first, count, own.from * by_row, at_most(own.to * by_row, rows));
        }
    }

    // Some neighbouring pixels of the rows [from, to), some channels after the others.
    void multiply(int first, int count, int from, int to) const {
        int in_at[kProductVectors], out_at[kProductVectors];
        for (int m = 0; m < count; ++m) {
            const int l = (first + m) / width, column = (first + m) % width;
            in_at[m] = l * x.pitch + column * x.step;
            out_at[m] = l * out.pitch + column * out.step;
        }
        alignas(64) lanes panel[kPanel];
        const int by_row = tile_rows();
        const int block = !lone() ? kPanel / kProductVectors : w.turned ? kTurnedRows : kLongRow;
        const int across = lone() ? kLongRow / by_row * by_row : rows;
        for (int r0 = from; r0 < to; r0 += across) {
            for (int k0 = 0; k0 < depth; k0 += block) {
                const int deep = at_most(block, depth - k0), end = at_most(r0 + across, to);
                if (!lone()) fill(panel, k0, deep, in_at, count);
                const lanes* vectors = lone() ? x.first + k0 : panel;
                for (int r = r0; r < end; r += by_row) {
                    tile(vectors, r, at_most(by_row, end - r), k0, deep, out_at, count);
                }
            }
        }
    }

    // The pixels beside these come next.
    void fill(lanes* panel, int k0, int deep, const int* at, int count) const {
        for (int k = 0; k < deep; ++k) {
            const lanes* map = x.first + (k0 + k) * x.plane;
            for (int m = 0; m < count; ++m) {
                __builtin_prefetch(map + at[m] + count * x.step);
                panel[k * count + m] = map[at[m]];
            }
        }
    }

    void tile(const lanes* panel, int r, int size, int k0, int deep, const int* at, int count) const {
        lanes* to = out.first + r * out.plane;
        const Start here{start.rows ? start.rows + r : nullptr, start.go_on || k0 > 0};
        const auto find = w.turned ? find_product_tile<true> : find_product_tile<false>;
        find(size, count)(to, out.plane, at, w.at(r, k0), w.stride, panel, deep, here);
        if (k0 + deep < depth) return;
        const bool side_by_side = at[count - 1] - at[0] == count - 1;
        for (int i = 0; i < size; ++i) {
            lanes* row = to + i * out.plane;
            if (side_by_side) {
                finish(row + at[0], count);
            } else {
                for (int m = 0; m < count; ++m) finish(row + at[m], 1);
            }
        }
    }
};

template <typename Activate>
void pointwise_forward(const Program& program, const Step& step, lanes* arena, const float* params, Part part,
                       Activate activate) {
    const Slot &in = program.slots[step.input], &out = program.slots[step.output];
    const Product<Activate> product{Grid(in, arena + in.value, step.rows.stride, step.columns.stride),
                                    Grid(out, arena + out.value, 1, 1),
                                    {params + step.weight, in.channels, false},
                                    out.channels,
                                    in.channels,
                                    out.width,
                                    out.height * out.width,
                                    {step.bias < 0 ? nullptr : params + step.bias, false},
                                    activate};
    product.run(part);
}

// What no output reads has no share in J.
inline void clear_unread(const Slot& in, const Slot& out, const Step& step, lanes* dx) {
    for (int u = 0; u < in.height; ++u) {
        const bool read = u % step.rows.stride == 0 && u / step.rows.stride < out.height;
        for (int v = 0; v < in.width; ++v) {
            if (read && v % step.columns.stride == 0 && v / step.columns.stride < out.width) continue;
            dx[u * in.pitch() + v] = lanes{};
        }
    }
}

inline void pointwise_dx(const Program& program, const Step& step, lanes* arena, const float* params, Part part) {
    const Slot &in = program.slots[step.input], &out = program.slots[step.output];
    const bool all_read = in.height == out.height && in.width == out.width;
    if (!step.adds && !all_read) {
        for (const int c : part.of(in.channels)) {
            clear_unread(in, out, step, arena + in.delta + c * in.plane() + in.border);
        }
    }
    const auto finished = [](lanes*, int) {};
    const Product<decltype(finished)> product{Grid(out, arena + out.delta, 1, 1),
                                              Grid(in, arena + in.delta, step.rows.stride, step.columns.stride),
                                              {params + step.weight, in.channels, true},
                                              in.channels,
                                              out.channels,
                                              out.width,
                                              out.height * out.width,
                                              {nullptr, step.adds},
                                              finished};
    product.run(part);
}

// Channels from c0 on, at most `count` of them, of `lines` rows of outputs from l and `length` columns from m.
inline void turn_pixels(const Grid& x, int c0, int count, int l, int lines, int m, int length, lanes* panel) {
    for (int line = 0; line < lines; ++line) {
        for (int p = 0; p < length; ++p, panel += kLanes * kProductVectors) {
            const lanes* pixel = x.first + c0 * x.plane + (l + line) * x.pitch + (m + p) * x.step;
            for (int v = 0; v * kLanes < count; ++v) {
                turn(pixel + v * kLanes * x.plane, x.plane, at_most(kLanes, count - v * kLanes), panel + v,
                     kProductVectors);
            }
        }
    }
}

// What the tiles of a weight gradient share. Sums of a few pixels are added to what lies there, so that they stay
// short.
struct WeightGradient {
    Grid x;
    const float* dy;
    float* dw;
    std::ptrdiff_t plane, pitch;  // of dy, in numbers
    int channels, filters;
    Range tiles;  // of filters, this thread's

    // Channels from c0 on over some lines of pixels. A panel has 16 lines for every pixel, one a sample.
    void add(const lanes* panel, int c0, int tile, const float* delta, int lines, int length, bool adds) const {
        const int f = tile * kProductRows, count = at_most(kWide, channels - c0);
        find_gradient_tile(at_most(kProductRows, filters - f), vectors_of(count))(
            dw + static_cast<std::ptrdiff_t>(f) * channels + c0, channels, count, adds, delta + f * plane, plane, pitch,
            lines, length * kLanes, panel);
    }

    void of_maps(int c0, int height, int width, bool adds) const {
        alignas(64) lanes panel[kTurned];
        const int across = at_most(kTurnedPixels, width), down = kTurnedPixels / across;
        for (int l = 0; l < height; l += down) {
            for (int m = 0; m < width; m += across) {
                const int lines = at_most(down, height - l), length = at_most(across, width - m);
                turn_pixels(x, c0, at_most(kWide, channels - c0), l, lines, m, length, panel);
                for (const int tile : tiles) {
                    add(panel, c0, tile, dy + l * pitch + m * kLanes, lines, length, adds || l > 0 || m > 0);
                }
            }
        }
    }
};

inline int row_tiles(const Slot& out) { return (out.channels + kProductRows - 1) / kProductRows; }

inline void pointwise_weight_gradient(const Program& program, const Step& step, lanes* arena, float* gradients,
                                      Part part, bool adds) {
    const Slot &in = program.slots[step.input], &out = program.slots[step.output];
    const int blocks = (in.channels + kWide - 1) / kWide;
    const bool by_blocks = blocks >= kItemsForEach * part.count;
    const Part whole{0, 1};
    const WeightGradient gradient{Grid(in, arena + in.value, step.rows.stride, step.columns.stride),
                                  reinterpret_cast<const float*>(arena + out.delta + out.border),
                                  gradients + step.weight,
                                  out.plane() * kLanes,
                                  static_cast<std::ptrdiff_t>(out.pitch()) * kLanes,
                                  in.channels,
                                  out.channels,
                                  (by_blocks ? whole : part).of(row_tiles(out))};
    for (const int block : (by_blocks ? part : whole).of(blocks)) {
        gradient.of_maps(block * kWide, out.height, out.width, adds);
    }
}
