// What is written once for each instruction set.
//
// This header holds only declarations, for the reason that block.hpp gives.
#pragma once

#include <cstddef>
#include <cstdint>

#include "attend.hpp"
#include "block.hpp"

namespace rstar_fast {

// At most BLOCK siblings, as they lie in the arena.
struct Siblings {
    const double* value_sum;
    const std::int32_t* visits;
    const std::uint16_t* state;
    std::int32_t count;
    // c * sqrt(ln N_parent) rounded to float; it may be infinite.
    float explore;
};

struct Simd {
    const char* name;

    // Finds, in each of `count` families, the siblings that may have the highest UCT, in float and
    // with approximate roots. uct.cpp then decides among these with the exact formula, so every
    // processor picks the same child, bit for bit. Bit i of listed[k] is set if sibling i of family
    // k has no FLAGS and may have the highest UCT among those without. A superfluous bit costs time
    // and does not change the choice. Many families in one call take less time than one by one: the
    // processor works on several at once.
    void (*shortlist)(const Siblings* families, std::size_t count, std::uint32_t* listed);

    // Makes a block of new siblings, by writes that bypass the caches (stream.hpp). `values` are
    // their first values, or null.
    void (*make_block)(NodeBlock& block, NodeId parent, const double* values);

    bool (*all_finite)(const double* values, std::size_t count);

    // Attention (attend.hpp). Its last bits differ between instruction sets.
    Attend attend;
};

// How a shortlist allows for rounding: let q approximate Q and e approximate the second term of
// UCT, each within a factor of 1 +- slack. Then the exact UCT lies in q + e +- slack * (|q| + e). A
// sibling is left out if its upper end is below another's lower end. UNDERFLOW_SLACK covers results
// too small for float. A NaN compares as "may be the highest".
inline constexpr float UNDERFLOW_SLACK = 1e-30F;

extern const Simd SIMD_SCALAR;
extern const Simd SIMD_AVX2;
extern const Simd SIMD_AVX512;
extern const Simd SIMD_NEON;

}  // namespace rstar_fast
