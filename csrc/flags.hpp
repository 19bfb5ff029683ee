// Constants of the layout. They have a file of their own because some files that need them are
// compiled for particular processors and must include little else.
#pragma once

#include <cstdint>

namespace rstar_fast {

// Number of nodes in one block of the arena.
inline constexpr std::int32_t BLOCK = 32;

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
