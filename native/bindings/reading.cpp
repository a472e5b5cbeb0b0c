// Rows of a file, one behind the other. In Python every row would take the lock that the training needs, too.
#include <fcntl.h>
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "bindings/bindings.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using Rows = nb::ndarray<const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Room = nb::ndarray<std::uint8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

// Bytes that could be read, fewer than `size` at the end of the file; −1 and errno if it failed.
ssize_t read_whole(int file, std::uint8_t* to, std::size_t size, std::int64_t position) {
    std::size_t done = 0;
    while (done < size) {
        const ssize_t count = pread(file, to + done, size - done, position + static_cast<std::int64_t>(done));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return -1;
        if (count == 0) break;
        done += static_cast<std::size_t>(count);
    }
    return static_cast<ssize_t>(done);
}

void require_rows_of(const Rows& rows, const Room& room) {
    if (room.shape(0) != rows.shape(0)) throw std::invalid_argument("the room is not that of as many rows");
}

void require_threads(int threads) {
    if (threads < 1) throw std::invalid_argument("threads must be at least 1");
}

// How many rows came before the first that did not come whole, and the system's error or 0.
struct Outcome {
    std::size_t whole = 0;
    int error = 0;
};

Outcome read_some(int file, std::int64_t start, const Rows& rows, const Room& room, std::size_t first,
                  std::size_t last) {
    const std::size_t size = room.shape(1), begin = first;
    while (first < last) {
        std::size_t end = first + 1;
        while (end < last && rows(end) == rows(end - 1) + 1) ++end;
        const ssize_t got = read_whole(file, room.data() + first * size, (end - first) * size,
                                       start + rows(first) * static_cast<std::int64_t>(size));
        if (got < 0) return {first - begin, errno};
        if (got < static_cast<ssize_t>((end - first) * size)) return {first - begin, 0};
        first = end;
    }
    return {last - begin, 0};
}

nb::tuple read_rows(int file, std::int64_t start, const Rows& rows, const Room& room, int threads) {
    require_rows_of(rows, room);
    require_threads(threads);
    const std::size_t count = rows.shape(0), parts = static_cast<std::size_t>(threads);
    const auto begin = [&](std::size_t part) { return count * part / parts; };
    std::vector<Outcome> outcomes(parts);
    {
        const nb::gil_scoped_release released;
#if defined(_OPENMP)
#pragma omp parallel for num_threads(threads) if (threads > 1)
#endif
        for (int part = 0; part < threads; ++part) {
            const auto number = static_cast<std::size_t>(part);
            outcomes[number] = read_some(file, start, rows, room, begin(number), begin(number + 1));
        }
    }
    for (std::size_t part = 0; part < parts; ++part) {
        const Outcome& outcome = outcomes[part];
        const std::size_t whole = begin(part) + outcome.whole;
        if (whole < begin(part + 1)) return nb::make_tuple(whole, outcome.error);
    }
    return nb::make_tuple(count, 0);
}

// Let the disk have all questions at once: it answers four times as many in the same time.
void announce_rows([[maybe_unused]] int file, [[maybe_unused]] std::int64_t start, [[maybe_unused]] const Rows& rows,
                   [[maybe_unused]] std::int64_t size, int threads) {
    require_threads(threads);
#if defined(POSIX_FADV_WILLNEED)
    const auto count = static_cast<std::int64_t>(rows.shape(0));
    const nb::gil_scoped_release released;
#if defined(_OPENMP)
#pragma omp parallel for num_threads(threads) if (threads > 1)
#endif
    for (std::int64_t i = 0; i < count; ++i) {
        posix_fadvise(file, start + rows(static_cast<std::size_t>(i)) * size, size, POSIX_FADV_WILLNEED);
    }
#endif
}

}  // namespace

void bind_reading(nb::module_& module) {
    module.def("read_rows", &read_rows, "file"_a, "start"_a, "rows"_a.noconvert(), "room"_a.noconvert(),
               "threads"_a = 1,
               "Read rows of a file, as long as those of `room`, which begin at byte `start`; neighbours in one go, "
               "every thread its share. Returns how many came before the first that did not come whole, and the "
               "system's error or 0.");
    module.def("announce_rows", &announce_rows, "file"_a, "start"_a, "rows"_a.noconvert(), "size"_a, "threads"_a = 1,
               "Say which rows of a file, of `size` bytes, are read soon: the disk may begin with them.");
}
