// Children that are drawn one by one, when walks ask for them.
//
// A node takes the next free id of its tree, so siblings that were made at different times do not
// stand together. The nodes of such a tree, which is called widened, have these fields besides
// those of arena.hpp:
//
//   field    type   meaning                                                             bytes
//   next     i32    id of the next sibling, which is higher; NO_NODE at the last one    4
//   draws    i32    number of draws that gave the node, 1 or more                       4
//
// A tree that only `expand` grows has none of them: its siblings are contiguous.
#pragma once

#include <cmath>
#include <cstdint>

#include "arena.hpp"

namespace rstar_fast {

struct Sibling {
    NodeId next;
    std::int32_t draws;
};
static_assert(sizeof(Sibling) == 8);

// When a walk asks for one more draw at the node that it has come to (progressive widening: Coulom,
// Computing Elo Ratings of Move Patterns in the Game of Go, 2007).
struct Widening {
    // 0: never, and a walk ends at a node without children.
    double factor = 0.0;
    double exponent = 0.5;
    std::int32_t max_draws = MAX_CHILDREN;

    // `draws` is the sum over the node's children. Equal to draws < ceil(factor * (visits + 1)^e).
    bool is_due(std::int32_t draws, std::int32_t visits) const {
        return draws < max_draws && draws < factor * std::pow(visits + 1.0, exponent);
    }
};

}  // namespace rstar_fast
