// Batch normalization, with one statistic for a map or one for every pixel of it:
//
//     y  = γ·x̂ + β (+ addend)        x̂ = (x − mean)/√(var + ε)
//     dx = γ/√(var + ε)·(dy − Σdy/m − x̂·Σ(dy·x̂)/m)
//
// The sums run over all samples of the batch. Each block notes its own; when all have, they are put together in the
// order of the blocks, and the blocks go on. A variance is taken around its block's mean (Chan, Golub & LeVeque 1983,
// "Algorithms for computing the sample variance"), because E[x²] − E[x]² would lose a small one beside a large mean.
#pragma once

#include "activation.hpp"
#include "add.hpp"
#include "norm_before.hpp"
#include "piece.hpp"
#include "sum_lanes.hpp"

// Of a block with fewer than 16 samples, the lanes that count: 1, the others 0.
inline lanes counted_lanes(const Batch& batch, int first) {
    lanes counted{};
    for (int t = 0; t < kLanes && first + t < batch.count; ++t) counted[t] = 1.0f;
    return counted;
}

inline int samples_of_block(const Batch& batch, int block) { return at_most(kLanes, batch.count - block * kLanes); }

// The statistic of the first pixel of a row; that of the next one is `step.per_pixel` further.
inline std::ptrdiff_t statistic_of_row(const Slot& slot, const Step& step, int row) {
    return step.per_pixel ? std::ptrdiff_t{row} * slot.width : row / slot.height;
}

inline double sum_in_double(lanes v) {
    double sum = 0.0;
    for (int t = 0; t < kLanes; ++t) sum += v[t];
    return sum;
}

// Σ f(pixel) and Σ g(pixel) over rows of `width` vectors, lane by lane, a row at a time so that sums stay small.
// `begin(u)` comes before the terms of row u.
template <typename Begin, typename Terms>
inline void sum_rows(int rows, int width, lanes* first, lanes* second, Begin begin, Terms terms) {
    *first = *second = lanes{};
    for (int u = 0; u < rows; ++u) {
        begin(u);
        for (int part = 0; part < kParts; ++part) {
            piece row_first{}, row_second{};
            for (int v = 0; v < width; ++v) terms(part, u, v, row_first, row_second);
            *pieces(first, part) += row_first;
            *pieces(second, part) += row_second;
        }
    }
}

// Mean and Σ(x − mean)² of a rectangle of one map.
inline Moments measure(const lanes* x, int pitch, int rows, int width, lanes counted, int samples) {
    const double m = static_cast<double>(samples) * rows * width;
    const auto as_it_is = [](int) {};
    lanes sum, squares;
    sum_rows(rows, width, &sum, &squares, as_it_is,
             [&](int part, int u, int v, piece& first, piece&) { first += *pieces(x + u * pitch + v, part); });
    const float near = static_cast<float>(sum_in_double(sum * counted) / m);
    sum_rows(rows, width, &sum, &squares, as_it_is, [&](int part, int u, int v, piece& first, piece& second) {
        const piece deviation = *pieces(x + u * pitch + v, part) - near;
        first += deviation;
        second += deviation * deviation;
    });
    const double rest = sum_in_double(sum * counted), about = sum_in_double(squares * counted);
    return {static_cast<float>(near + rest / m), static_cast<float>(about - rest * rest / m)};
}

// Up to 16 pixels, of all maps one after the other, whose statistics are taken together.
struct SixteenPixels {
    int first, count;

    SixteenPixels(const Slot& slot, int number)
        : first(number * kLanes), count(at_most(kLanes, slot.channels * slot.height * slot.width - first)) {}

    static int groups(const Slot& slot) { return vectors_of(slot.channels * slot.height * slot.width); }

    // visit(i, row, column, length) for the runs of them that lie side by side, from pixel i of these on.
    template <typename Visit>
    void each_run(const Slot& slot, Visit visit) const {
        for (int i = 0, length; i < count; i += length) {
            const int row = (first + i) / slot.width, column = (first + i) % slot.width;
            length = at_most(count - i, slot.width - column);
            visit(i, row, column, length);
        }
    }
};

// The same for 16 pixels with a statistic each: sums over the lanes of 16 vectors at a time, and deviations from the
// first sample: that is near enough, being one of the sixteen.
inline void measure_pixels(const Slot& in, const lanes* arena, SixteenPixels pixels, lanes counted, int samples,
                           Moments* moments) {
    const float share = 1.0f / static_cast<float>(samples);
    lanes deviations[kLanes]{}, squares[kLanes]{}, near{};
    pixels.each_run(in, [&](int i, int row, int column, int length) {
        const lanes* x = arena + in.value + std::ptrdiff_t{row} * in.pitch() + in.border + column;
        for (int v = 0; v < length; ++v) {
            near[i + v] = x[v][0];
            deviations[i + v] = (x[v] - x[v][0]) * counted;
            squares[i + v] = deviations[i + v] * deviations[i + v];
        }
    });
    const lanes rest = sum_lanes_of_16(deviations), about = sum_lanes_of_16(squares);
    const lanes first = near + rest * share, second = about - rest * rest * share;
    for (int i = 0; i < pixels.count; ++i) moments[pixels.first + i] = {first[i], second[i]};
}

inline void measure_block(const Program& program, const Step& step, const Batch& batch, int first, const lanes* arena,
                          Moments* moments, Part part) {
    const Slot& in = program.slots[step.input];
    const int samples = at_most(kLanes, batch.count - first);
    const lanes counted = counted_lanes(batch, first);
    moments += step.norm;
    if (step.per_pixel) {
        for (const int number : part.of(SixteenPixels::groups(in))) {
            measure_pixels(in, arena, {in, number}, counted, samples, moments);
        }
        return;
    }
    for (const int c : part.of(in.channels)) {
        const lanes* x = arena + in.value + c * in.plane() + in.border;
        moments[c] = measure(x, in.pitch(), in.height, in.width, counted, samples);
    }
}

inline float inverse_root(double variance, double eps) { return static_cast<float>(1.0 / std::sqrt(variance + eps)); }

inline constexpr int kStatistics = 64;  // taken together, so that the compiler makes vectors of them

// The statistics of the batch, and what the running ones become; a sample's variance is unbiased with m/(m − 1).
inline void combine_moments(const Program& program, const Step& step, const Batch& batch, const Moments* moments,
                            Norm* norms, Part part) {
    const Slot& in = program.slots[step.input];
    const int count = static_cast<int>(statistics(in, step));
    const double pixels = step.per_pixel ? 1.0 : static_cast<double>(in.height) * in.width;
    float *mean = batch.state + step.state, *variance = mean + count;
    const double batches = variance[count], rate = step.momentum < 0.0 ? 1.0 / (batches + 1.0) : step.momentum;
    const Range mine = part.of(count);
    for (int from = mine.from; from < mine.to; from += kStatistics) {
        const int some = at_most(kStatistics, mine.to - from);
        double m = 0.0, first[kStatistics]{}, second[kStatistics]{};
        for (int block = 0; block * kLanes < batch.count; ++block) {
            const Moments* one = moments + block * program.norms + step.norm + from;
            const double more = samples_of_block(batch, block) * pixels, share = more / (m + more), weight = m * share;
            for (int i = 0; i < some; ++i) {
                const double apart = double{one[i].first} - first[i];
                first[i] += apart * share;
                second[i] += one[i].second + apart * apart * weight;
            }
            m += more;
        }
        const double share = 1.0 / m, unbiased = rate / (m - 1.0), kept = 1.0 - rate;
        for (int i = 0; i < some; ++i) {
            norms[step.norm + from + i] = {static_cast<float>(first[i]), inverse_root(second[i] * share, step.eps),
                                           0.0f, 0.0f};
            mean[from + i] = static_cast<float>(kept * mean[from + i] + rate * first[i]);
            variance[from + i] = static_cast<float>(kept * variance[from + i] + unbiased * second[i]);
        }
    }
}

// While predicting, the running statistics are the statistics.
inline void recall_norms(const Program& program, const Step& step, const Batch& batch, Norm* norms, Part part) {
    const int count = static_cast<int>(statistics(program.slots[step.input], step));
    const float *mean = batch.state + step.state, *variance = mean + count;
    for (const int i : part.of(count)) {
        norms[step.norm + i] = {mean[i], inverse_root(variance[i], step.eps), 0.0f, 0.0f};
    }
}

// pixel(v, statistic, γ, β) for a row; one statistic for all of it stays in registers.
template <typename Pixel>
void each_pixel(const Slot& slot, const Step& step, const float* params, const Norm* norms, int row, Pixel pixel) {
    const std::ptrdiff_t i = statistic_of_row(slot, step, row);
    const float *gamma = params + step.weight + i, *beta = params + step.bias + i;
    norms += step.norm + i;
    if (step.per_pixel) {
        for (int v = 0; v < slot.width; ++v) pixel(v, norms[v], gamma[v], beta[v]);
        return;
    }
    const Norm norm = *norms;
    const float g = *gamma, b = *beta;
    for (int v = 0; v < slot.width; ++v) pixel(v, norm, g, b);
}

inline void normalize(const Program& program, const Step& step, const Batch& batch, const Norm* norms, lanes* arena,
                      Part part) {
    const Slot &in = program.slots[step.input], &out = program.slots[step.output];
    if (out.value < 0) return;  // see norm_before.hpp
    const Slot* addend = step.addend < 0 ? nullptr : program.slots + step.addend;
    for (const int row : part.of(out.channels * out.height)) {
        const lanes* x = row_of(in, arena, in.value, row);
        lanes* y = row_of(out, arena, out.value, row);
        if (out.reused) clear_border_of_row(out, arena + out.value, row);
        each_pixel(in, step, batch.params, norms, row, [&](int v, const Norm& norm, float gamma, float beta) {
            y[v] = (x[v] - norm.mean) * (norm.inverse * gamma) + beta;
        });
        if (addend) {
            const lanes* a = row_of(*addend, arena, addend->value, row);
            for (int v = 0; v < out.width; ++v) y[v] += a[v];
        }
        activate(step.activation, step.alpha, y, out.width);
    }
}

// δ of 16 pixels with a statistic each through the activation, and their Σδ and Σδ·x̂.
inline void measure_pixels_of_delta(const Step& step, const Slot& in, const Slot& out, const Norm* norms, lanes* arena,
                                    SixteenPixels pixels, Moments* moments) {
    lanes deltas[kLanes]{}, products[kLanes]{};
    pixels.each_run(out, [&](int i, int row, int column, int length) {
        const lanes* x = row_of(in, arena, in.value, row) + column;
        lanes* dy = row_of(out, arena, out.delta, row) + column;
        activate_backward(step.activation, step.alpha, row_of(out, arena, out.value, row) + column, dy, length);
        for (int v = 0; v < length; ++v) {
            deltas[i + v] = dy[v];
            products[i + v] = dy[v] * (x[v] - norms[pixels.first + i + v].mean);
        }
    });
    const lanes sums = sum_lanes_of_16(deltas), sums_of_products = sum_lanes_of_16(products);
    for (int i = 0; i < pixels.count; ++i) {
        moments[pixels.first + i] = {sums[i], sums_of_products[i] * norms[pixels.first + i].inverse};
    }
}

// δ through the activation, and a block's Σδ and Σδ·x̂.
inline void measure_delta(const Program& program, const Step& step, const float* params, const Norm* norms,
                          lanes* arena, Moments* moments, Part part) {
    const Slot &in = program.slots[step.input], &out = program.slots[step.output];
    const Normalizer normalizer{&step, params, norms};
    norms += step.norm;
    moments += step.norm;
    const auto sum = [&](int c) {
        const lanes* x = row_of(in, arena, in.value, c * out.height);
        lanes* dy = row_of(out, arena, out.delta, c * out.height);
        const float mean = norms[c].mean;
        const auto activated = [&](int u) {
            if (out.value < 0) return normalizer.activate_back(c, x + u * in.pitch(), dy + u * out.pitch(), out.width);
            const lanes* y = row_of(out, arena, out.value, c * out.height + u);
            activate_backward(step.activation, step.alpha, y, dy + u * out.pitch(), out.width);
        };
        lanes sums, products;
        sum_rows(out.height, out.width, &sums, &products, activated,
                 [&](int part_of_lanes, int u, int v, piece& first, piece& second) {
                     const piece delta = *pieces(dy + u * out.pitch() + v, part_of_lanes);
                     first += delta;
                     second += delta * (*pieces(x + u * in.pitch() + v, part_of_lanes) - mean);
                 });
        moments[c] = {static_cast<float>(sum_in_double(sums)),
                      static_cast<float>(sum_in_double(products) * norms[c].inverse)};
    };
    if (!step.per_pixel) {
        for (const int c : part.of(out.channels)) sum(c);
        return;
    }
    for (const int number : part.of(SixteenPixels::groups(out))) {
        measure_pixels_of_delta(step, in, out, norms, arena, {out, number}, moments);
    }
}

// The gradients of γ and β are the two sums themselves.
inline void combine_delta(const Program& program, const Step& step, const Batch& batch, const Moments* moments,
                          Norm* norms, Part part) {
    const Slot& in = program.slots[step.input];
    const int count = static_cast<int>(statistics(in, step));
    float *dbeta = batch.gradients + step.bias, *dgamma = batch.gradients + step.weight;
    const double share = 1.0 / (batch.count * (step.per_pixel ? 1.0 : static_cast<double>(in.height) * in.width));
    const Range mine = part.of(count);
    for (int from = mine.from; from < mine.to; from += kStatistics) {
        const int some = at_most(kStatistics, mine.to - from);
        double first[kStatistics]{}, second[kStatistics]{};
        for (int block = 0; block * kLanes < batch.count; ++block) {
            const Moments* one = moments + block * program.norms + step.norm + from;
            for (int i = 0; i < some; ++i) {
                first[i] += one[i].first;
                second[i] += one[i].second;
            }
        }
        for (int i = 0; i < some; ++i) {
            norms[step.norm + from + i].delta = static_cast<float>(first[i] * share);
            norms[step.norm + from + i].product = static_cast<float>(second[i] * share);
            dbeta[from + i] = static_cast<float>(first[i]);
            dgamma[from + i] = static_cast<float>(second[i]);
        }
    }
}

inline void normalize_backward(const Program& program, const Step& step, const Batch& batch, int first,
                               const Norm* norms, lanes* arena, Part part) {
    const Slot &in = program.slots[step.input], &out = program.slots[step.output];
    const lanes counted = counted_lanes(batch, first);
    for (const int row : part.of(out.channels * out.height)) {
        addend_backward(program, step, arena, row);
        if (!step.needs_dx) continue;
        const lanes *x = row_of(in, arena, in.value, row), *dy = row_of(out, arena, out.delta, row);
        lanes* dx = row_of(in, arena, in.delta, row);
        if (in.reused && !step.adds && in.delta != out.delta) clear_border_of_row(in, arena + in.delta, row);
        each_pixel(in, step, batch.params, norms, row, [&](int v, const Norm& norm, float gamma, float) {
            const lanes rest = dy[v] - norm.delta - (x[v] - norm.mean) * (norm.inverse * norm.product);
            const lanes mine = rest * (norm.inverse * gamma) * counted;
            dx[v] = step.adds ? dx[v] + mine : mine;
        });
    }
}
