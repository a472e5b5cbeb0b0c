#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "lanes.hpp"

namespace pellucid {

// Memory for vectors of 16 samples, in pages of 2 MiB where the system has them: a block's values, and the weights of a
// wide layer, lie in many more pages of 4 KiB than the processor has addresses at hand for. The last page stays small
// unless it is full, so that no more memory is taken.
template <typename T>
struct Pages {
    using value_type = T;

    static constexpr std::size_t kHuge = std::size_t{1} << 21;

    Pages() = default;
    template <typename Other>
    explicit Pages(const Pages<Other>&) {}

    T* allocate(std::size_t count) {
        const std::size_t bytes = count * sizeof(T), align = bytes < kHuge ? sizeof(lanes) : kHuge;
        void* memory = std::aligned_alloc(align, (bytes + align - 1) / align * align);
        if (!memory) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
        madvise(memory, bytes / kHuge * kHuge, MADV_HUGEPAGE);
#endif
        return static_cast<T*>(memory);
    }
    void deallocate(T* memory, std::size_t) { std::free(memory); }

    bool operator==(const Pages&) const = default;
};

}  // namespace pellucid
