// For any processor.
#include <algorithm>
#include <cmath>
#include <limits>

#include "simd.hpp"
#include "stream.hpp"

namespace rstar_fast {

namespace {

std::uint32_t shortlist(const Siblings& siblings, float) {
    std::uint32_t live = 0;
    for (std::int32_t i = 0; i < siblings.count; ++i)
        live |= static_cast<std::uint32_t>((siblings.state[i] & FLAGS) == 0) << i;
    return live;
}

std::uint32_t shortlist_block(const NodeBlock& block, float explore) {
    return shortlist({block.value_sum, block.visits, block.state, BLOCK}, explore);
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

const Simd SIMD_SCALAR{"scalar", shortlist, shortlist_block, make_block, all_finite, attend_scalar};

}  // namespace rstar_fast
