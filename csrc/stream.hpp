// Writes past the caches. New children are many, and next read when their scores have come or later: fetching their lines to
// overwrite them, and evicting what walks need to hold them, took half of the time of a simulation.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "arena.hpp"

namespace rstar_fast {

// Elements from `first` to the next cache line, at most `count`.
template <class T>
inline std::int64_t before_line(const T* first, std::int64_t count) {
    const auto beyond = reinterpret_cast<std::uintptr_t>(first) % LINE_BYTES;
    return std::min<std::int64_t>(count, static_cast<std::int64_t>((LINE_BYTES - beyond) % LINE_BYTES / sizeof(T)));
}

// Whole cache lines are streamed, the ends written as usual. `line_of(i)` gives the 16 bytes for the elements from i on.
template <class T, class Piece, class Element>
inline void stream(T* first, std::int64_t count, const Piece& piece_at, const Element& element_at) {
    constexpr std::int64_t STEP = 16 / sizeof(T), LINE = LINE_BYTES / sizeof(T);
    std::int64_t i = 0;
    for (const std::int64_t end = before_line(first, count); i < end; ++i) first[i] = element_at(i);
#if defined(__SSE2__)
    for (; i + LINE <= count; i += LINE)
        for (std::int64_t j = i; j < i + LINE; j += STEP) _mm_stream_si128(reinterpret_cast<__m128i*>(first + j), piece_at(j));
#endif
    for (; i < count; ++i) first[i] = element_at(i);
}

template <class T>
inline void stream_fill(T* first, std::int64_t count, T value) {
    T repeated[16 / sizeof(T)];
    std::fill_n(repeated, 16 / sizeof(T), value);
    const __m128i piece = _mm_loadu_si128(reinterpret_cast<const __m128i*>(repeated));
    stream(first, count, [&](std::int64_t) { return piece; }, [&](std::int64_t) { return value; });
}

template <class T>
inline void stream_copy(T* first, std::int64_t count, const T* from) {
    stream(
        first, count, [&](std::int64_t i) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i)); },
        [&](std::int64_t i) { return from[i]; });
}

inline void stream_end() { _mm_sfence(); }

}  // namespace rstar_fast
