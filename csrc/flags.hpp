// The layout's constants, for the files that are compiled for particular processors.
#pragma once

#include <cstdint>

namespace rstar_fast {

// Nodes of one block of the arena.
inline constexpr std::int32_t BLOCK = 32;

// `state` holds the number of children and flags. A node with any flag is left out of selection.
enum Flag : std::uint16_t {
    TERMINAL = 1 << 13,   // for good: an end of the search, or all children are terminal
    IN_FLIGHT = 1 << 14,  // an unexpanded node that a walk claimed, until it is expanded, released or terminal
    BLOCKED = 1 << 15,    // not all children are terminal, and those that are not are in flight or blocked
};
inline constexpr std::uint16_t FLAGS = TERMINAL | IN_FLIGHT | BLOCKED;
inline constexpr std::int32_t MAX_CHILDREN = TERMINAL - 1;

}  // namespace rstar_fast
