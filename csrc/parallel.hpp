// The threads of one call.
#pragma once

#include <algorithm>
#include <cstdint>
#include <system_error>
#include <thread>
#include <vector>

namespace rstar_fast {

// Number of threads that pay for a batch of this size. To start a thread takes about 20 us, and an
// entry takes about 50 ns.
inline std::size_t worthwhile_threads(std::size_t num_entries, std::int32_t most) {
    return std::clamp<std::size_t>(num_entries / 1024, 1, static_cast<std::size_t>(most));
}

// Calls work(0) to work(num_parts - 1), each on a thread of its own where the system grants one. No
// thread outlives the call, so the process may fork at any time between calls.
template <class Work>
void in_parallel(std::size_t num_parts, const Work& work) {
    std::vector<std::thread> threads;
    threads.reserve(num_parts);
    std::size_t started = 1;
    try {
        for (; started < num_parts; ++started)
            threads.emplace_back([&work, started] { work(started); });
    } catch (const std::system_error&) {
        for (std::size_t part = started; part < num_parts; ++part) work(part);
    }
    work(0);
    for (std::thread& thread : threads) thread.join();
}

}  // namespace rstar_fast
