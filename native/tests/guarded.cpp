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
            if (slot.reused) continue;
            for (const std::ptrdiff_t begin : {slot.value, slot.delta}) {
                if (begin < 0) continue;
                for_each_border(slot, begin, [](float& lane) { lane = 0.0f; });
            }
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

    bool border_is_zero(const Slot& slot, std::ptrdiff_t begin) {
        bool zero = true;
        for_each_border(slot, begin, [&](float lane) { zero = zero && lane == 0.0f; });
        return zero;
    }

    // Appends one sample's pixels: channel, row, column.
    void append_sample(const Slot& slot, std::ptrdiff_t begin, std::size_t t, std::vector<float>& found) const {
        for (int row = 0; row < slot.channels * slot.height; ++row) {
            for (int v = 0; v < slot.width; ++v) {
                found.push_back(memory_[(begin + row * slot.pitch() + slot.border + v) * kLanes + static_cast<int>(t)]);
            }
        }
    }

  private:
    void for_each_border(const Slot& slot, std::ptrdiff_t begin, auto&& visit) {
        for (int row = 0; row < slot.channels * slot.height; ++row) {
            for (int v = 0; v < slot.pitch(); ++v) {
                if (v >= slot.border && v < slot.border + slot.width) continue;
                for (int t = 0; t < kLanes; ++t) visit(memory_[(begin + row * slot.pitch() + v) * kLanes + t]);
            }
        }
    }

    std::size_t bytes_;
    float* memory_;
};

// So many numbers, aligned as vectors and full of NaN, and behind them memory that nothing may touch.
class Guarded {
  public:
    explicit Guarded(std::ptrdiff_t count)
        : bytes_((static_cast<std::size_t>(vectors_of(count)) + kGap) * sizeof(lanes)),
          memory_(static_cast<float*>(std::aligned_alloc(alignof(lanes), bytes_))) {
        const std::size_t used = static_cast<std::size_t>(count) * sizeof(float);
        std::memset(memory_, 0xFF, used);
        ASAN_POISON_MEMORY_REGION(memory_ + count, bytes_ - used);
    }
    Guarded(const Guarded&) = delete;
    Guarded& operator=(const Guarded&) = delete;
    ~Guarded() {
        ASAN_UNPOISON_MEMORY_REGION(memory_, bytes_);
        std::free(memory_);
    }

    float* memory() { return memory_; }

  private:
    std::size_t bytes_;
    float* memory_;
};

// What a thread has for itself: zeros that must stay zero, and NaN.
class Scratch : public Guarded {
  public:
    explicit Scratch(std::ptrdiff_t size) : Guarded(size * kLanes), zeros_(size > 0 ? kZeros * kLanes : 0) {
        std::memset(memory(), 0, zeros_ * sizeof(float));
    }

    bool zeros_are_zero() {
        const std::span zeros(memory(), zeros_);
        return std::all_of(zeros.begin(), zeros.end(), [](float zero) { return zero == 0.0f; });
    }

  private:
    std::size_t zeros_;
};

// What the last blocks left in their arenas, against the oracle; the first arena is that of block `first_block`.
void check_slots(const std::string& here, const Layout& layout, std::span<const std::unique_ptr<Arena>> arenas,
                 std::size_t first_block, const Naive& naive, double tolerance) {
    const auto compare = [&](const Slot& slot, std::ptrdiff_t begin, const Samples& expected,
                             const std::string& which) {
        std::vector<float> got;
        Values want;
        for (std::size_t t = first_block * kLanes; t < expected.size(); ++t) {
            arenas[t / kLanes - first_block]->append_sample(slot, begin, t % kLanes, got);
            want.insert(want.end(), expected[t].begin(), expected[t].end());
        }
        check_close(got, want, tolerance, which);
    };
    for (std::size_t i = 0; i < layout.slots.size(); ++i) {
        const Slot& slot = layout.slots[i];
        const std::string which = here + ", slot " + std::to_string(i);
        const bool kept = slot.value >= 0;
        if (kept) compare(slot, slot.value, naive.value[i], which + ", value");
        if (layout.delta_stays[i]) compare(slot, slot.delta, naive.delta[i], which + ", δ");
        for (const std::unique_ptr<Arena>& arena : arenas) {
            if (kept) check(arena->border_is_zero(slot, slot.value), which + ", border");
            const bool cleared = layout.learns[i] || !slot.reused;
            if (cleared) check(arena->border_is_zero(slot, slot.delta), which + ", border of δ");
        }
    }
}

}  // namespace

void check_against_naive(const std::string& what, const Net& net, const Data& data, const Engine& engine,
                         double tolerance, Task task) {
    const Planned planned(net, kGap);
    const Layout& layout = planned.layout;
    const Program& program = planned.program;
    const bool learns = task == Task::kLearn;
    const std::size_t blocks = (data.rows.size() + kLanes - 1) / kLanes, kept = learns && net.norms > 0 ? blocks : 1;
    std::vector<std::unique_ptr<Arena>> arenas;
    std::vector<void*> places;
    for (std::size_t i = 0; i < kept; ++i) {
        arenas.push_back(std::make_unique<Arena>(layout));
        places.push_back(arenas.back()->memory());
    }
    Scratch scratch(layout.scratch);
    void* const scratches[] = {scratch.memory()};
    Guarded packed(layout.packed);
    std::vector<float> gradients(blocks * static_cast<std::size_t>(program.of_block), NAN);
    Guarded of_linear(static_cast<std::ptrdiff_t>(blocks) * program.kept * kLanes);
    std::vector<double> losses(blocks, NAN);
    std::vector<Moments> moments(blocks * static_cast<std::size_t>(net.norms), {NAN, NAN});
    std::vector<Norm> norms(static_cast<std::size_t>(net.norms), {NAN, NAN, NAN, NAN});
    Result result;
    Batch batch = make_batch(net, data, 1, task, result);
    engine.run(program,
               {places.data(), scratches, packed.memory(), gradients.data(), losses.data(), nullptr, moments.data(),
                norms.data(), reinterpret_cast<lanes*>(of_linear.memory())},
               batch);

    const Naive naive = run_naively(net, data, learns);
    const std::string here = what + ", " + engine.name;
    check_close(result.outputs, naive.outputs, tolerance, here + ", outputs");
    check_close(result.state, naive.state, tolerance, here + ", running statistics");
    const float loss = static_cast<float>(batch.loss);
    check_close({&loss, 1}, {&naive.loss, 1}, std::fmax(tolerance, 1e-7), here + ", loss");
    check(scratch.zeros_are_zero(), here + ", zeros of the scratch");
    if (!learns) return;
    check_close(result.gradients, naive.gradients, tolerance, here + ", gradients");
    check_slots(here, layout, arenas, blocks - kept, naive, tolerance);
}

void check_against_naive(const std::string& what, const Net& net, const Data& data, double tolerance, Task task) {
    for (const Engine* engine : engines()) check_against_naive(what, net, data, *engine, tolerance, task);
}

}  // namespace pellucid
