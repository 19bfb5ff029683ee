// One block of the arena (arena.hpp). It has a file of its own because some files that need it are
// compiled for particular processors. They must include no inline function: the linker might use
// their copy of it in the rest of the program.
#pragma once

#include <cstddef>
#include <cstdint>

namespace rstar_fast {

using NodeId = std::int32_t;

// Number of nodes in one block.
inline constexpr std::int32_t BLOCK = 32;
inline constexpr std::size_t LINE_BYTES = 64;

struct alignas(LINE_BYTES) NodeBlock {
    double value_sum[BLOCK];
    std::int32_t visits[BLOCK];
    std::uint16_t state[BLOCK];
    NodeId first_child[BLOCK];
    NodeId parent[BLOCK];
};

// A node's `state` holds its number of children and these flags. Selection passes over a node that
// has any flag.
enum Flag : std::uint16_t {
    // The node is out of selection for good: it was set terminal, or all its children are terminal.
    TERMINAL = 1 << 13,
    // A walk claimed the node, which has no children. The claim ends when the node is expanded,
    // released or set terminal.
    IN_FLIGHT = 1 << 14,
    // Some children are not terminal, and every one of these is in flight or blocked.
    BLOCKED = 1 << 15,
};
inline constexpr std::uint16_t FLAGS = TERMINAL | IN_FLIGHT | BLOCKED;
inline constexpr std::int32_t MAX_CHILDREN = TERMINAL - 1;

}  // namespace rstar_fast
