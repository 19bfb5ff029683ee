// Finds the siblings that may have the highest UCT, in float and with approximate roots. uct.cpp
// then decides among these with the exact formula, so every processor picks the same child, bit for
// bit.
//
// This header holds only declarations. The files that include it are compiled for particular
// processors, and the linker might use their copy of an inline function in the rest of the program.
#pragma once

#include <cstdint>

#include "flags.hpp"

namespace rstar_fast {

// At most BLOCK siblings, as they lie in the arena.
struct Siblings {
    const double* value_sum;
    const std::int32_t* visits;
    const std::uint16_t* state;
    std::int32_t count;
};

// Sets bit i of the result if sibling i has no FLAGS and may have the highest UCT among those
// without. A superfluous bit costs time and does not change the choice. `explore` is c * sqrt(ln
// N_parent) rounded to float; it may be infinite.
using Shortlist = std::uint32_t (*)(const Siblings& siblings, float explore);

// How a shortlist allows for rounding: let q approximate Q and e approximate the second term of
// UCT, each within a factor of 1 +- slack. Then the exact UCT lies in q + e +- slack * (|q| + e). A
// sibling is left out if its upper end is below another's lower end. UNDERFLOW_SLACK covers results
// too small for float. A NaN compares as "may be the highest".
inline constexpr float UNDERFLOW_SLACK = 1e-30F;

std::uint32_t shortlist_scalar(const Siblings& siblings, float explore);
std::uint32_t shortlist_avx2(const Siblings& siblings, float explore);
std::uint32_t shortlist_avx512(const Siblings& siblings, float explore);
std::uint32_t shortlist_neon(const Siblings& siblings, float explore);

}  // namespace rstar_fast
