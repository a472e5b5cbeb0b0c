#include "guarded.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>

#include "check.hpp"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(from, size) ((void)(from), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(from, size) ((void)(from), (void)(size))
#endif

namespace pellucid {
namespace {

constexpr std::ptrdiff_t kGap = 64;  // lanes; wider than any stray read is likely to be

class Arena {
  public:
    explicit Arena(const Layout& layout)
        : bytes_(static_cast<std::size_t>(layout.arena) * sizeof(lanes)),
          memory_(static_cast<float*>(std::aligned_alloc(alignof(lanes), bytes_))) {
        std::memset(memory_, 0xFF, bytes_);  // every float a NaN
        for (const Slot& slot : layout.slots) {
            for_each_border(slot, [](float& lane) { lane = 0.0f; });
        }
        for (const std::ptrdiff_t gap : layout.gaps) {
            ASAN_POISON_MEMORY_REGION(memory_ + gap * kLanes, static_cast<std::size_t>(layout.gap) * sizeof(lanes));
        }
    }
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;
    ~Arena() {
        ASAN_UNPOISON_MEMORY_REGION(memory_, bytes_);
        std::free(memory_);
    }

    void* memory() { return memory_; }

    bool borders_are_zero(const Slot& slot) {
        bool zero = true;
        for_each_border(slot, [&](float lane) { zero = zero && lane == 0.0f; });
        return zero;
    }

    // One sample's pixels: channel, row, column.
    std::vector<float> sample(const Slot& slot, std::ptrdiff_t begin, int t) const {
        std::vector<float> found;
        for (int row = 0; row < slot.channels * slot.height; ++row) {
            for (int v = 0; v < slot.width; ++v) {
                found.push_back(memory_[(begin + row * slot.pitch() + slot.border + v) * kLanes + t]);
            }
        }
        return found;
    }

  private:
    void for_each_border(const Slot& slot, auto&& visit) {
        for (const std::ptrdiff_t begin : {slot.value, slot.delta}) {
            for (int row = 0; row < slot.channels * slot.height; ++row) {
                for (int v = 0; v < slot.pitch(); ++v) {
                    if (v >= slot.border && v < slot.border + slot.width) continue;
                    for (int t = 0; t < kLanes; ++t) visit(memory_[(begin + row * slot.pitch() + v) * kLanes + t]);
                }
            }
        }
    }

    std::size_t bytes_;
    float* memory_;
};

// What a thread has for itself: zeros that must stay zero, NaN, and lanes that nothing may touch.
class Scratch {
  public:
    explicit Scratch(std::ptrdiff_t size)
        : size_(static_cast<std::size_t>(size) * sizeof(lanes)),
          memory_(static_cast<float*>(std::aligned_alloc(alignof(lanes), size_ + kGap * sizeof(lanes)))) {
        std::memset(memory_, 0xFF, size_);
        if (size > 0) std::memset(memory_, 0, kZeroBytes);
        ASAN_POISON_MEMORY_REGION(memory_ + size * kLanes, kGap * sizeof(lanes));
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    ~Scratch() {
        ASAN_UNPOISON_MEMORY_REGION(memory_, size_ + kGap * sizeof(lanes));
        std::free(memory_);
    }

    void* memory() { return memory_; }

    bool zeros_are_zero() const {
        const std::span zeros(memory_, size_ > 0 ? kZeroBytes / sizeof(float) : 0);
        return std::all_of(zeros.begin(), zeros.end(), [](float zero) { return zero == 0.0f; });
    }

  private:
    static constexpr std::size_t kZeroBytes = kZeros * sizeof(lanes);

    std::size_t size_;
    float* memory_;
};

}  // namespace

void check_against_naive(const std::string& what, const Net& net, const Data& data, const Engine& engine,
                         double tolerance) {
    Layout layout = net.layout(kGap);
    std::vector<Step> steps;
    for (Runner::Plan& plan : layout.plans) {
        plan.step.scale = plan.scale.data();
        steps.push_back(plan.step);
    }
    const int output = static_cast<int>(layout.slots.size()) - 1;
    const Program program{layout.slots.data(),
                          steps.data(),
                          static_cast<int>(steps.size()),
                          0,
                          output,
                          net.loss,
                          layout.arena,
                          net.parameters,
                          layout.packed,
                          layout.scratch};
    const std::size_t blocks = (data.rows.size() + kLanes - 1) / kLanes;
    Arena arena(layout);
    Scratch scratch(layout.scratch);
    void* const arenas[] = {arena.memory()};
    void* const scratches[] = {scratch.memory()};
    std::vector<float> packed(static_cast<std::size_t>(layout.packed), NAN);
    std::vector<float> gradients(blocks * static_cast<std::size_t>(net.parameters), NAN);
    std::vector<double> losses(blocks, NAN);
    Result result;
    Batch batch = make_batch(net, data, 1, Task::kLearn, result);
    engine.run(program, {arenas, scratches, packed.data(), gradients.data(), losses.data(), nullptr}, batch);

    const Naive naive = run_naively(net, data);
    const std::string here = what + ", " + engine.name;
    check_close(result.outputs, naive.outputs, tolerance, here + ", outputs");
    check_close(result.gradients, naive.gradients, tolerance, here + ", gradients");
    const float loss = static_cast<float>(batch.loss);
    check_close({&loss, 1}, {&naive.loss, 1}, std::fmax(tolerance, 1e-7), here + ", loss");
    check(scratch.zeros_are_zero(), here + ", zeros of the scratch");
    const std::size_t first = (blocks - 1) * kLanes;
    for (std::size_t i = 0; i < layout.slots.size(); ++i) {
        const Slot& slot = layout.slots[i];
        const std::string which = here + ", slot " + std::to_string(i);
        const bool has_delta = i == steps.size() || steps[i].needs_dx;
        for (std::size_t t = first; t < data.rows.size(); ++t) {
            const int lane = static_cast<int>(t - first);
            check_close(arena.sample(slot, slot.value, lane), naive.value[i][t], tolerance, which + ", value");
            if (has_delta)
                check_close(arena.sample(slot, slot.delta, lane), naive.delta[i][t], tolerance, which + ", δ");
        }
        check(arena.borders_are_zero(slot), which + ", borders");
    }
}

void check_against_naive(const std::string& what, const Net& net, const Data& data, double tolerance) {
    for (const Engine* engine : engines()) check_against_naive(what, net, data, *engine, tolerance);
}

}  // namespace pellucid
