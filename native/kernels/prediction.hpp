// The loss's activation of one sample's outputs: what a prediction is.
#pragma once

#include "activation.hpp"
#include "program.hpp"
#include "sum_lanes.hpp"

// Numbers k, k + 1, … of a row; −∞ beyond its end, whose power of e is 0.
inline lanes load_outputs(const float* row, int k, int classes) {
    lanes a = lanes{} - __builtin_inff();
    for (int i = 0; i < kLanes && k + i < classes; ++i) a[i] = row[k + i];
    return a;
}

inline void store_outputs(lanes p, float* row, int k, int classes) {
    for (int i = 0; i < kLanes && k + i < classes; ++i) row[k + i] = p[i];
}

// p = e^(a − max a)/Σ e^(a − max a); NaN if one of a row is.
inline void softmax_of_row(float* row, int classes) {
    float most = row[0];
    for (int k = 1; k < classes; ++k) most = row[k] > most ? row[k] : most;
    lanes sums = lanes{};
    for (int k = 0; k < classes; k += kLanes) {
        const lanes e = exp_negative<lanes>(load_outputs(row, k, classes) - most);
        sums += e;
        store_outputs(e, row, k, classes);
    }
    const float sum = sum_lanes(sums);
    for (int k = 0; k < classes; ++k) row[k] /= sum;
}

inline void predict_row(Loss loss, float* row, int classes) {
    switch (loss) {
        case Loss::kCrossEntropy:
            return softmax_of_row(row, classes);
        case Loss::kLogLoss:
            for (int k = 0; k < classes; k += kLanes) {
                store_outputs(sigmoid_lanes<lanes>(load_outputs(row, k, classes)), row, k, classes);
            }
            return;
        case Loss::kSquaredError:
            return;
    }
}
