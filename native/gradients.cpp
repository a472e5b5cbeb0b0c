#include "gradients.hpp"

#include <algorithm>

namespace pellucid {

std::vector<Stretch> plan_gradients(std::vector<Step>& steps, Program& program) {
    std::vector<Stretch> whole;
    const auto append = [&](std::ptrdiff_t from, std::ptrdiff_t count) { whole.push_back({from, from + count, 0}); };
    program.kept = 0;
    for (Step& step : steps) {
        step.kept = -1;
        const Slot &in = program.slots[step.input], &out = program.slots[step.output];
        if (step.op == Op::kBatchNorm) {
            append(step.weight, statistics(in, step));
            append(step.bias, statistics(in, step));
        } else if (is_linear(step, in, out)) {
            step.kept = program.kept;
            program.kept += kept_lanes(in.channels, out.channels);
            append(step.weight, std::ptrdiff_t{in.channels} * out.channels);
        }
    }
    std::sort(whole.begin(), whole.end(), [](const Stretch& a, const Stretch& b) { return a.from < b.from; });
    std::vector<Stretch> found;
    std::ptrdiff_t from = 0, place = 0;
    const auto end_at = [&](std::ptrdiff_t to) {
        if (to > from) found.push_back({from, to, place});
        place += to - from;
    };
    for (const Stretch& weights : whole) {
        end_at(weights.from);
        from = weights.to;
    }
    end_at(program.parameters);
    program.of_block = place;
    for (Step& step : steps) {
        const std::ptrdiff_t first = step.kept >= 0 ? step.bias : step.weight;
        step.skipped = 0;
        for (const Stretch& stretch : found) {
            if (stretch.from <= first && first < stretch.to) step.skipped = stretch.from - stretch.place;
        }
    }
    return found;
}

}  // namespace pellucid
