// Rows of a file, one behind the other. In Python every row would take the lock that the training needs, too.
#include <fcntl.h>
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <stdexcept>

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

// Let the disk have all questions at once: it answers four times as many in the same time.
void announce([[maybe_unused]] int file, [[maybe_unused]] std::int64_t start, [[maybe_unused]] const Rows& rows,
              [[maybe_unused]] std::size_t size) {
#if defined(POSIX_FADV_WILLNEED)
    const auto bytes = static_cast<off_t>(size);
    for (std::size_t i = 0; i < rows.shape(0); ++i) {
        posix_fadvise(file, start + rows(i) * bytes, bytes, POSIX_FADV_WILLNEED);
    }
#endif
}

nb::tuple read_rows(int file, std::int64_t start, const Rows& rows, const Room& room) {
    if (room.shape(0) != rows.shape(0)) throw std::invalid_argument("the room is not that of as many rows");
    const std::size_t count = rows.shape(0), size = room.shape(1);
    std::size_t first = 0;
    int error = 0;
    {
        const nb::gil_scoped_release released;
        announce(file, start, rows, size);
        while (first < count) {
            std::size_t end = first + 1;
            while (end < count && rows(end) == rows(end - 1) + 1) ++end;
            const ssize_t got = read_whole(file, room.data() + first * size, (end - first) * size,
                                           start + rows(first) * static_cast<std::int64_t>(size));
            if (got < 0) error = errno;
            if (got < static_cast<ssize_t>((end - first) * size)) break;
            first = end;
        }
    }
    return nb::make_tuple(first, error);
}

}  // namespace

void bind_reading(nb::module_& module) {
    module.def("read_rows", &read_rows, "file"_a, "start"_a, "rows"_a.noconvert(), "room"_a.noconvert(),
               "Read rows of a file, as long as those of `room`, which begin at byte `start`; neighbours in one go. "
               "Returns how many came before the first that did not come whole, and the system's error or 0.");
}
