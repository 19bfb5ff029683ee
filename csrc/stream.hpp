// Writes that bypass the caches. New children are many, and nothing reads them until their scores
// have come. Ordinary writes would fetch their cache lines only to overwrite them, and would evict
// lines that walks need. That took a fifth of the time of a simulation.
#pragma once

#include <algorithm>
#include <cstdint>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "block.hpp"

namespace rstar_fast {

#if defined(__SSE2__)

// Streams whole cache lines, 16 bytes at a time: `pieces(i)` gives the elements from i on. The
// elements before and after the whole lines are written as usual: `elements(i)` gives element i.
template <class T, class Pieces, class Elements>
inline void stream(T* first, std::int64_t count, const Pieces& pieces, const Elements& elements) {
    constexpr std::int64_t STEP = 16 / sizeof(T), LINE = LINE_BYTES / sizeof(T);
    const auto beyond =
        static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(first) % LINE_BYTES / sizeof(T));
    std::int64_t i = 0;
    for (const std::int64_t head = std::min(count, (LINE - beyond) % LINE); i < head; ++i)
        first[i] = elements(i);
    for (; i + LINE <= count; i += LINE)
        for (std::int64_t j = i; j < i + LINE; j += STEP)
            _mm_stream_si128(reinterpret_cast<__m128i*>(first + j), pieces(j));
    for (; i < count; ++i) first[i] = elements(i);
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
        first, count,
        [&](std::int64_t i) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i)); },
        [&](std::int64_t i) { return from[i]; });
}

// Makes everything streamed before visible to other threads.
inline void stream_end() { _mm_sfence(); }

#else

template <class T>
inline void stream_fill(T* first, std::int64_t count, T value) {
    std::fill_n(first, count, value);
}

template <class T>
inline void stream_copy(T* first, std::int64_t count, const T* from) {
    std::copy_n(from, count, first);
}

inline void stream_end() {}

#endif

// Writes the fields of `count` new siblings that lie in one block. `values` are their first values,
// or null.
inline void stream_siblings(NodeBlock& block, std::int32_t lane, std::int32_t count, NodeId parent,
                            const double* values) {
    if (values != nullptr)
        stream_copy(block.value_sum + lane, count, values);
    else
        stream_fill(block.value_sum + lane, count, 0.0);
    stream_fill(block.visits + lane, count, values != nullptr ? 1 : 0);
    stream_fill(block.state + lane, count, std::uint16_t{0});
    stream_fill(block.parent + lane, count, parent);
}

}  // namespace rstar_fast
