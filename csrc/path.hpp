// The way of the last walk in a tree.
//
// A backup mostly begins where that walk ended. It then knows all ancestors at once. Otherwise it
// has to wait for each node's parent before it can ask for the next one.
#pragma once

#include <cstdint>

#include "block.hpp"

namespace rstar_fast {

// Ids stay with their nodes until `free_trees`, `reroot` or `prune`. These forget the path.
struct alignas(LINE_BYTES) Path {
    static constexpr std::int32_t MOST_NODES = 14;

    NodeId start = 0;
    // Number of nodes below the start. A path of more than MOST_NODES is not kept.
    std::int32_t length = 0;
    NodeId nodes[MOST_NODES] = {};

    void begin(NodeId node) {
        start = node;
        length = 0;
    }
    void go_to(NodeId node) {
        if (length < MOST_NODES) nodes[length] = node;
        ++length;
    }
    void forget() { length = 0; }
    // Whether the path is kept and ends at this node, below its start.
    bool leads_to(NodeId node) const {
        return length > 0 && length <= MOST_NODES && nodes[length - 1] == node;
    }
};
static_assert(sizeof(Path) == LINE_BYTES);

}  // namespace rstar_fast
