// Losses with their output activation: δ = weight·(p − y), ℓ summed in double precision. A few numbers per sample, so
// the scalar library functions serve.
#pragma once

#include "program.hpp"

// Fills δ of the output slot for one block and returns Σ weight·ℓ over its samples.
inline double loss_and_delta(const Program& program, const Batch& batch, int first, lanes* arena) {
    const Slot& out = program.slots[program.output];
    const int classes = out.channels;
    const lanes* a = arena + out.value;
    lanes* delta = arena + out.delta;
    double total = 0.0;
    for (int k = 0; k < classes; ++k) delta[k] = lanes{};
    for (int t = 0; t < kLanes && first + t < batch.count; ++t) {
        const float* y = batch.target + batch.rows[first + t] * classes;
        const float weight = batch.weight[first + t];
        double loss = 0.0;
        switch (program.loss) {
            case Loss::kCrossEntropy: {
                float most = a[0][t];
                for (int k = 1; k < classes; ++k) most = a[k][t] > most || a[k][t] != a[k][t] ? a[k][t] : most;
                double sum = 0.0;
                for (int k = 0; k < classes; ++k) sum += std::exp(static_cast<double>(a[k][t]) - most);
                const double log_sum = std::log(sum);
                for (int k = 0; k < classes; ++k) {
                    const double log_p = static_cast<double>(a[k][t]) - most - log_sum;
                    if (y[k] != 0.0f) loss -= y[k] * log_p;
                    delta[k][t] = weight * static_cast<float>(std::exp(log_p) - y[k]);
                }
                break;
            }
            case Loss::kLogLoss:
                for (int k = 0; k < classes; ++k) {
                    const double x = a[k][t], e = std::exp(-std::fabs(x));
                    loss += (x > 0.0 ? x : 0.0) - x * y[k] + std::log1p(e);
                    if (x != x) loss = x;
                    delta[k][t] = weight * static_cast<float>((x >= 0.0 ? 1.0 : e) / (1.0 + e) - y[k]);
                }
                break;
            case Loss::kSquaredError:
                for (int k = 0; k < classes; ++k) {
                    const double difference = static_cast<double>(a[k][t]) - y[k];
                    loss += 0.5 * difference * difference;
                    delta[k][t] = weight * static_cast<float>(difference);
                }
                break;
        }
        total += weight * loss;
    }
    return total;
}
