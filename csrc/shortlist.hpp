// Which siblings may have the highest UCT, found in float with approximate roots; uct.cpp settles it with the exact formula.
// So every processor picks the same child, bit for bit. Only declarations here: the files that include this are compiled for
// particular processors, and an inline function's copy from one of them might be linked into the rest.
#pragma once

#include <cstdint>

#include "flags.hpp"

namespace rstar_fast {

// Up to BLOCK siblings, as they lie in the arena.
struct Siblings {
    const double* value_sum;
    const std::int32_t* visits;
    const std::uint16_t* state;
    std::int32_t count;
};

// Bit i is set if sibling i has no FLAGS and may have the highest UCT of those without: a set bit too many costs time and
// changes nothing. `explore` is c * sqrt(ln N_parent), finite or infinite, rounded to float.
using Shortlist = std::uint32_t (*)(const Siblings& siblings, float explore);

// Bound on the rounding of a shortlist: with approximations q of Q and e of the second term, each within a factor of
// 1 +- slack, the exact UCT lies in q + e +- slack * (|q| + e), and a sibling whose upper end is below another's lower end is
// out. UNDERFLOW covers results too small for float; a NaN compares as "may be the highest".
inline constexpr float UNDERFLOW_SLACK = 1e-30F;

std::uint32_t shortlist_scalar(const Siblings& siblings, float explore);
std::uint32_t shortlist_avx2(const Siblings& siblings, float explore);
std::uint32_t shortlist_avx512(const Siblings& siblings, float explore);

}  // namespace rstar_fast
