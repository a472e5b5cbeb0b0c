// From the blocks' gradients to the new parameters. All arrays are flat, and handed out in chunks.
//
//     g ← Σ_blocks + ∂penalty/∂θ      g ← clip(g)      θ ← θ − the rule's step      ‖θ_f‖ ≤ max_norm
#pragma once

#include "part.hpp"
#include "program.hpp"

typedef double wide_lanes __attribute__((vector_size(128), aligned(64)));

struct Chunk {
    std::ptrdiff_t from, to;
};

inline std::ptrdiff_t chunks_of(std::ptrdiff_t parameters) { return (parameters + kChunk - 1) / kChunk; }

inline Chunk chunk_at(std::ptrdiff_t index, std::ptrdiff_t parameters) {
    const std::ptrdiff_t from = index * kChunk, to = from + kChunk;
    return {from, to < parameters ? to : parameters};
}

// How many numbers one visit takes, known to the compiler for all but the last of a chunk.
struct AllLanes {
    constexpr operator std::ptrdiff_t() const { return kLanes; }
};

// The last lanes of an array that is no multiple of 16 long are padded with zeros.
template <typename Count>
lanes load(const float* from, Count count) {
    lanes v{};
    if (count >= kLanes) {
        __builtin_memcpy(&v, from, sizeof(v));
    } else {
        for (int i = 0; i < count; ++i) v[i] = from[i];
    }
    return v;
}

template <typename Count>
void store(float* to, lanes v, Count count) {
    if (count >= kLanes) {
        __builtin_memcpy(to, &v, sizeof(v));
    } else {
        for (int i = 0; i < count; ++i) to[i] = v[i];
    }
}

// visit(i, count) for the lanes from i on.
template <typename Visit>
void each_lanes(std::ptrdiff_t from, std::ptrdiff_t to, Visit visit) {
    std::ptrdiff_t i = from;
    for (; i + kLanes <= to; i += kLanes) visit(i, AllLanes{});
    if (i < to) visit(i, to - i);
}

inline lanes root(lanes v) {
    lanes r;
    for (int i = 0; i < kLanes; ++i) r[i] = __builtin_sqrtf(v[i]);
    return r;
}

inline lanes size_of(lanes v) { return v < 0.0f ? -v : v; }

inline lanes clip(lanes g, float limit) { return g < -limit ? lanes{} - limit : g > limit ? lanes{} + limit : g; }

inline wide_lanes widen(lanes v) { return __builtin_convertvector(v, wide_lanes); }

inline double sum_wide(wide_lanes v) {
    double sum = 0.0;
    for (int i = 0; i < kLanes; ++i) sum += v[i];
    return sum;
}

// `zeros` sums up 0·x: NaN as soon as one x is not finite.
inline bool all_finite(lanes zeros) {
    float sum = 0.0f;
    for (int i = 0; i < kLanes; ++i) sum += zeros[i];
    return sum == 0.0f;
}

// Add the blocks' gradients in a tree that depends on nothing but their number; its root is the gradients.
inline void add_blocks(const Program& program, float* sets, int blocks, float* gradients, Chunk chunk) {
    for (int i = 0; i < program.stretch_count; ++i) {
        const Stretch& stretch = program.stretches[i];
        const std::ptrdiff_t from = stretch.from > chunk.from ? stretch.from : chunk.from;
        const std::ptrdiff_t count = (stretch.to < chunk.to ? stretch.to : chunk.to) - from;
        float *of_block = sets + stretch.place + (from - stretch.from), *root = gradients + from;
        for (int distance = 1; distance < blocks; distance *= 2) {
            for (int block = 0; block + distance < blocks; block += 2 * distance) {
                float* left = of_block + block * program.of_block;
                float* sum = 2 * distance < blocks ? left : root;
                const float* right = left + distance * program.of_block;
                for (std::ptrdiff_t j = 0; j < count; ++j) sum[j] = left[j] + right[j];
            }
        }
        for (std::ptrdiff_t j = 0; blocks == 1 && j < count; ++j) root[j] = of_block[j];
    }
}

// J += λ₁ Σ|θ| + ½λ₂ Σθ², g += λ₁ sign θ + λ₂θ.
inline double penalize(const Update& update, float* gradients, Chunk chunk) {
    const float l1 = static_cast<float>(update.l1), l2 = static_cast<float>(update.l2);
    double penalty = 0.0;
    if (update.l1 == 0.0 && update.l2 == 0.0) return penalty;
    for (int w = 0; w < update.weight_count; ++w) {
        const Weights& weights = update.weights[w];
        const std::ptrdiff_t from = weights.first > chunk.from ? weights.first : chunk.from,
                             to = weights.end() < chunk.to ? weights.end() : chunk.to;
        wide_lanes sizes{}, squares{};
        each_lanes(from, to, [&](std::ptrdiff_t i, auto count) {
            const lanes x = load(update.params + i, count);
            const lanes sign = x > 0.0f ? lanes{} + 1.0f : x < 0.0f ? lanes{} - 1.0f : x;
            store(gradients + i, load(gradients + i, count) + (l1 * sign + l2 * x), count);
            const wide_lanes exact = widen(x);
            sizes += exact < 0.0 ? -exact : exact;
            squares += exact * exact;
        });
        penalty += update.l1 * sum_wide(sizes) + 0.5 * update.l2 * sum_wide(squares);
    }
    return penalty;
}

inline void look_through(const Update& update, const float* gradients, Chunk chunk, ChunkSums& sums) {
    const float limit = static_cast<float>(update.clip_value);
    const bool norm_wanted = update.clip_norm < __builtin_inf();
    lanes zeros{};
    wide_lanes squares{};
    each_lanes(chunk.from, chunk.to, [&](std::ptrdiff_t i, auto count) {
        const lanes g = load(gradients + i, count);
        zeros += 0.0f * g;
        if (!norm_wanted) return;
        const wide_lanes exact = widen(clip(g, limit));
        squares += exact * exact;
    });
    sums.gradient_finite = all_finite(zeros);
    sums.params_finite = true;  // unless the update says otherwise
    sums.squares = sum_wide(squares);
}

// The blocks' gradients, added up, with the penalties' and with what the update must know of the whole first.
inline void finish_gradients(const Program& program, const Workspace& space, const Batch& batch, int blocks,
                             Part part) {
    for (const int index : part.of(static_cast<int>(chunks_of(program.parameters)))) {
        const Chunk chunk = chunk_at(index, program.parameters);
        if (!has_gradients_in_place(program, batch)) {
            add_blocks(program, space.gradients, blocks, batch.gradients, chunk);
        }
        if (!batch.update) continue;
        ChunkSums& sums = space.chunks[index];
        sums.penalty = penalize(*batch.update, batch.gradients, chunk);
        look_through(*batch.update, batch.gradients, chunk, sums);
    }
}

// Whether loss and gradient are finite; every thread asks for itself and finds the same.
inline bool is_finite(const Program& program, const Workspace& space, int blocks) {
    double loss = 0.0;
    for (int block = 0; block < blocks; ++block) loss += space.losses[block];
    bool gradient = true;
    for (std::ptrdiff_t i = 0; i < chunks_of(program.parameters); ++i) {
        loss += space.chunks[i].penalty;
        gradient = gradient && space.chunks[i].gradient_finite;
    }
    return gradient && loss - loss == 0.0;
}

// g ← g·min(1, c/(‖g‖ + 10⁻⁶)), the norm over all gradients.
inline float norm_scale(const Program& program, const Workspace& space, const Update& update) {
    double squares = 0.0;
    for (std::ptrdiff_t i = 0; i < chunks_of(program.parameters); ++i) squares += space.chunks[i].squares;
    const double scale = update.clip_norm / (__builtin_sqrt(squares) + 1e-6);
    return static_cast<float>(scale < 1.0 ? scale : 1.0);
}

// rule(θ, g, slots…) for every number of a chunk; returns whether the new θ are finite. The old ones take the
// gradients' place.
template <int kSlots, typename Change>
bool change_each(const Update& update, float* gradients, float scale, Chunk chunk, Change rule) {
    const float limit = static_cast<float>(update.clip_value);
    lanes zeros{};
    each_lanes(chunk.from, chunk.to, [&](std::ptrdiff_t i, auto count) {
        const lanes old = load(update.params + i, count);
        lanes x = old, slots[kMostSlots]{};
        for (int s = 0; s < kSlots; ++s) slots[s] = load(update.slots[s] + i, count);
        rule(x, scale * clip(load(gradients + i, count), limit), slots[0], slots[1]);
        store(update.params + i, x, count);
        store(gradients + i, old, count);
        for (int s = 0; s < kSlots; ++s) store(update.slots[s] + i, slots[s], count);
        zeros += 0.0f * load(update.params + i, count);  // once more, since a padded lane may have become 0/0
    });
    return all_finite(zeros);
}

inline bool change(const Update& update, float* gradients, float scale, Chunk chunk) {
    const float rate = static_cast<float>(update.rate), eps = static_cast<float>(update.eps),
                decay = static_cast<float>(update.decay), keep = static_cast<float>(update.first),
                take = static_cast<float>(1.0 - update.first), keep2 = static_cast<float>(update.second),
                take2 = static_cast<float>(1.0 - update.second);
    switch (update.rule) {
        case Rule::kSGD:
            return change_each<0>(update, gradients, scale, chunk,
                                  [=](lanes& x, lanes g, lanes&, lanes&) { x -= rate * (g + decay * x); });
        case Rule::kMomentum:
            return change_each<1>(update, gradients, scale, chunk, [=](lanes& x, lanes g, lanes& v, lanes&) {
                v = keep * v + (g + decay * x);
                x -= rate * v;
            });
        case Rule::kNesterov:
            return change_each<1>(update, gradients, scale, chunk, [=](lanes& x, lanes g, lanes& v, lanes&) {
                g += decay * x;
                v = keep * v + g;
                x -= rate * (g + keep * v);
            });
        case Rule::kAdaGrad:
            return change_each<1>(update, gradients, scale, chunk, [=](lanes& x, lanes g, lanes& s, lanes&) {
                s += g * g;
                x -= rate * g / (root(s) + eps);
            });
        case Rule::kRMSProp:
            return change_each<1>(update, gradients, scale, chunk, [=](lanes& x, lanes g, lanes& s, lanes&) {
                s = keep * s + take * (g * g);
                x -= rate * g / (root(s) + eps);
            });
        case Rule::kAdaDelta:
            return change_each<2>(update, gradients, scale, chunk, [=](lanes& x, lanes g, lanes& s, lanes& u) {
                s = keep * s + take * (g * g);
                const lanes d = g * root(u + eps) / root(s + eps);
                u = keep * u + take * (d * d);
                x -= rate * d;
            });
        case Rule::kAdam: {
            const float shrink = static_cast<float>(1.0 - update.rate * update.decay);
            // m̂ and v̂: free of the zeros that m and v began with.
            const float m_hat = static_cast<float>(1.0 / (1.0 - __builtin_pow(update.first, update.step)));
            const float v_hat = static_cast<float>(1.0 / (1.0 - __builtin_pow(update.second, update.step)));
            return change_each<2>(update, gradients, scale, chunk, [=](lanes& x, lanes g, lanes& m, lanes& v) {
                m = keep * m + take * g;
                v = keep2 * v + take2 * (g * g);
                x = shrink * x - rate * (m_hat * m) / (root(v_hat * v) + eps);
            });
        }
        case Rule::kAdaMax: {
            const float rate_hat = static_cast<float>(update.rate / (1.0 - __builtin_pow(update.first, update.step)));
            return change_each<2>(update, gradients, scale, chunk, [=](lanes& x, lanes g, lanes& m, lanes& u) {
                m = keep * m + take * g;
                const lanes old = keep2 * u, now = size_of(g) + eps;
                u = old > now ? old : now;
                x -= rate_hat * m / u;
            });
        }
    }
    return false;
}

inline void change_parameters(const Program& program, const Workspace& space, const Batch& batch, Part part) {
    const float scale = norm_scale(program, space, *batch.update);
    for (const int index : part.of(static_cast<int>(chunks_of(program.parameters)))) {
        const Chunk chunk = chunk_at(index, program.parameters);
        space.chunks[index].params_finite = change(*batch.update, batch.gradients, scale, chunk);
    }
}

// w_f ← w_f·min(1, c/‖w_f‖) for every unit f.
inline void limit_norms(const Update& update, Part part) {
    for (int w = 0; w < update.weight_count; ++w) {
        const Weights& weights = update.weights[w];
        for (const int unit : part.of(static_cast<int>(weights.units))) {
            float* x = update.params + weights.first + unit * weights.incoming;
            wide_lanes squares{};
            each_lanes(0, weights.incoming, [&](std::ptrdiff_t i, auto count) {
                const wide_lanes exact = widen(load(x + i, count));
                squares += exact * exact;
            });
            const double norm = __builtin_sqrt(sum_wide(squares));
            if (!(norm > update.max_norm)) continue;
            const double scale = update.max_norm / norm;
            for (std::ptrdiff_t i = 0; i < weights.incoming; ++i) x[i] = static_cast<float>(x[i] * scale);
        }
    }
}
