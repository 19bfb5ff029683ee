// Requests the cache lines of some elements without waiting for them.
#pragma once

#include <cstdint>

#include "arena.hpp"

namespace rstar_fast {

template <class T, class Ask>
inline void for_lines(const T* first, std::int64_t count, const Ask& ask) {
    const auto begin = reinterpret_cast<std::uintptr_t>(first) / LINE_BYTES;
    const auto end =
        (reinterpret_cast<std::uintptr_t>(first + count) + LINE_BYTES - 1) / LINE_BYTES;
    for (auto line = begin; line < end; ++line)
        ask(reinterpret_cast<const void*>(line * LINE_BYTES));
}

template <class T>
inline void prefetch(const T* first, std::int64_t count) {
    for_lines(first, count, [](const void* line) { __builtin_prefetch(line); });
}

template <class T>
inline void prefetch_to_write(const T* first, std::int64_t count) {
    for_lines(first, count, [](const void* line) { __builtin_prefetch(line, 1); });
}

}  // namespace rstar_fast
