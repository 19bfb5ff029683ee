// For any processor.
#include <algorithm>
#include <cmath>
#include <limits>

#include "simd.hpp"
#include "stream.hpp"

namespace rstar_fast {

namespace {

void shortlist(const Siblings* families, std::size_t count, std::uint32_t* listed) {
    for (std::size_t k = 0; k < count; ++k) {
        const Siblings& siblings = families[k];
        listed[k] = 0;
        for (std::int32_t i = 0; i < siblings.count; ++i)
            listed[k] |= static_cast<std::uint32_t>((siblings.state[i] & FLAGS) == 0) << i;
    }
}

void make_block(NodeBlock& block, NodeId parent, const double* values) {
    stream_siblings(block, 0, BLOCK, parent, values);
}

bool all_finite(const double* values, std::size_t count) {
    bool finite = true;
    for (std::size_t i = 0; i < count; ++i)
        finite &= std::abs(values[i]) <= std::numeric_limits<double>::max();
    return finite;
}

}  // namespace

const Simd SIMD_SCALAR{"scalar", shortlist, make_block, all_finite, attend_scalar};

}  // namespace rstar_fast
