#pragma once

#include <cstddef>

namespace pellucid {

// An optimizer's equation; the classes in pellucid/optimizers have the formulas. AdamW is kAdam with a decay.
enum class Rule : int { kSGD, kMomentum, kNesterov, kAdaGrad, kRMSProp, kAdaDelta, kAdam, kAdaMax };

inline constexpr int kRules = 8;
inline constexpr int kMostSlots = 2;

// Arrays as long as the parameters that a rule remembers.
constexpr int slots_of(Rule rule) {
    return rule == Rule::kSGD ? 0 : rule == Rule::kAdaDelta || rule == Rule::kAdam || rule == Rule::kAdaMax ? 2 : 1;
}

// One weight array: what penalties and max-norm act on. Each unit's incoming weights lie one behind the other.
struct Weights {
    std::ptrdiff_t first, units, incoming;

    std::ptrdiff_t end() const { return first + units * incoming; }
};

// What comes after a batch's gradient, in the order and with the meaning of Optimizer.apply in Python. Limits that are
// not wanted are infinite.
struct Update {
    Rule rule;
    float* params;
    float* slots[kMostSlots];  // null beyond slots_of(rule)
    double first, second;      // shares that a step keeps: μ, α, ρ or β₁; β₂
    double eps;
    double decay;  // of the weights, not through the loss
    double rate;   // η
    double step;   // t, 1 at the first update
    double l1, l2;
    double clip_value, clip_norm, max_norm;
    const Weights* weights;
    int weight_count;
    // Results. Nothing has been changed unless loss and gradient are finite.
    bool gradient_finite, params_finite;
    bool previous_kept;  // the gradients' array has the parameters before the last update: this one, or one before
};

// Sums over one chunk of the parameters: chunks are the same for any number of threads, and so are the sums.
struct ChunkSums {
    double penalty;  // Σ over its regularized weights
    double squares;  // Σ g², g cut off at clip_value
    bool gradient_finite, params_finite;
};

inline constexpr std::ptrdiff_t kChunk = 1024;

}  // namespace pellucid
