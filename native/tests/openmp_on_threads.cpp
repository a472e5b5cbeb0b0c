// OpenMP's parallel regions and barriers on std::thread, in place of GCC's libgomp, for ThreadSanitizer alone. libgomp
// is not built with it: its barriers would be invisible, and every step after one would look like a race. Suppressing
// those reports would hide the very faults to be found, a barrier that is missing or in the wrong place. Here the
// compiler's own calls meet a barrier that ThreadSanitizer sees. A construct that is not below does not link.
#include <omp.h>

#include <barrier>
#include <thread>
#include <vector>

namespace {

struct Team {
    explicit Team(int threads) : size(threads), barrier(threads) {}
    int size;
    std::barrier<> barrier;
};

thread_local Team* team = nullptr;  // null outside a parallel region
thread_local int number = 0;

void take_part(Team& joined, int as, void (*region)(void*), void* data) {
    Team* const team_before = team;
    const int number_before = number;
    team = &joined;
    number = as;
    region(data);
    team = team_before;
    number = number_before;
}

}  // namespace

extern "C" {

void GOMP_parallel(void (*region)(void*), void* data, unsigned threads, unsigned) {
    Team joined(team ? 1 : static_cast<int>(threads));  // a region inside a region gets one thread, as in libgomp
    std::vector<std::thread> others;
    for (int i = 1; i < joined.size; ++i) {
        others.emplace_back([&joined, i, region, data] { take_part(joined, i, region, data); });
    }
    take_part(joined, 0, region, data);
    for (std::thread& other : others) other.join();
}

void GOMP_barrier() {
    if (team) team->barrier.arrive_and_wait();
}

int omp_get_thread_num() noexcept { return number; }
int omp_get_num_threads() noexcept { return team ? team->size : 1; }

}  // extern "C"
