// The storage of all nodes of all trees, indexed by a 32-bit node id.
//
//   tree         0                         1                         2
//   num_nodes    6                         0 (a free slot)           3           i32 [max_trees]
//
//   node id    | 0  1  2  3  4  5  .  .  | .  .  .  .  .  .  .  .  | 16 17 18 .  .  .  .  .  |
//                ^  \_____/  \__/                                    ^  \__/
//                root  |      children of 2                         root   children of 16
//                      children of 0
//
// The picture shows 3 trees with nodes_per_tree = 8. Each node has these fields:
//
//   field        type   meaning                                                    bytes
//   value_sum    f64    sum of the values added to the node, in order of arrival   8  \ statistics,
//   visits       i32    number of values added to the node                         4  | 16 bytes
//   first_child  i32    id of the first child; undefined where there are none      4  /
//   parent       i32    id of the parent; NO_NODE at a root                        4
//   state        u16    number of children (0: not expanded) and flags, block.hpp  2
//                                                                                 22 in all
//
// A tree takes ids from the front of its own range, in order. Its ids therefore do not depend on
// other trees. Siblings are made by one expansion: they are contiguous and come after their parent.
// The fields are stored as a struct of arrays, cut into blocks of 32 nodes:
//
//   block      | value_sum x 32 | visits x 32 | state x 32 | first_child x 32 | parent x 32 |
//
// A block has 704 bytes, which are 11 cache lines. What a walk reads of 32 siblings lies side by
// side, in 7 cache lines of one page. Arrays over all nodes put the same data into three pages, and
// simulations took 15 to 30% longer.
//
// Node i has place i + 31. So the children of node 0 fill a block exactly. So do all children of
// any node, where every expansion makes 32 children and nodes_per_tree is a multiple of 32.
//
// All blocks are reserved at once and never move. They cost memory page by page as nodes are first
// made. Arenas of medium size ask for huge pages: without them the translation of addresses takes
// up to a third of a walk. So do large arenas of which a huge page holds several trees. Others do
// not ask, because every tree would then fill at least one huge page. All fields of a node but
// first_child are written when the node is made, so it is enough to set num_nodes to 0 to forget a
// tree.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <memory>
#include <new>

#include "block.hpp"

namespace rstar_fast {

using TreeId = std::int32_t;

// Stands for no node: a root's parent, the first child of a node without children, the end of a
// walk in an exhausted tree.
inline constexpr NodeId NO_NODE = -1;
// The end of a walk that found nothing but nodes in flight.
inline constexpr NodeId BUSY = -2;

inline constexpr std::int64_t MAX_NODES = std::numeric_limits<NodeId>::max();

inline constexpr std::int64_t HUGE_PAGE_BYTES = 2 << 20;

inline constexpr std::size_t STATISTICS_BYTES =
    sizeof(double) + sizeof(std::int32_t) + sizeof(NodeId);
inline constexpr std::size_t NODE_BYTES = STATISTICS_BYTES + sizeof(NodeId) + sizeof(std::uint16_t);
static_assert(STATISTICS_BYTES == 16 && NODE_BYTES == 22 && sizeof(NodeBlock) == BLOCK * NODE_BYTES,
              "the picture above and the saved format rely on these sizes");

// Position of a node in the arena.
struct Place {
    std::uint32_t block;
    std::int32_t lane;
};
constexpr Place place_of(NodeId node) {
    const std::uint32_t place = static_cast<std::uint32_t>(node) + BLOCK - 1;
    return {place / BLOCK, static_cast<std::int32_t>(place % BLOCK)};
}

class Arena {
   public:
    // `limit_bytes` bounds the memory that the nodes may ever take; a small limit rules out huge
    // pages.
    Arena(std::int64_t num_nodes, std::int64_t nodes_per_tree, std::int64_t limit_bytes);

    double& value_sum(NodeId node) { return block(node).value_sum[place_of(node).lane]; }
    std::int32_t& visits(NodeId node) { return block(node).visits[place_of(node).lane]; }
    std::uint16_t& state(NodeId node) { return block(node).state[place_of(node).lane]; }
    NodeId& first_child(NodeId node) { return block(node).first_child[place_of(node).lane]; }
    NodeId& parent(NodeId node) { return block(node).parent[place_of(node).lane]; }
    double value_sum(NodeId node) const { return block(node).value_sum[place_of(node).lane]; }
    std::int32_t visits(NodeId node) const { return block(node).visits[place_of(node).lane]; }
    std::uint16_t state(NodeId node) const { return block(node).state[place_of(node).lane]; }
    NodeId first_child(NodeId node) const { return block(node).first_child[place_of(node).lane]; }
    NodeId parent(NodeId node) const { return block(node).parent[place_of(node).lane]; }

    NodeBlock& block(NodeId node) { return blocks_.get()[place_of(node).block]; }
    const NodeBlock& block(NodeId node) const { return blocks_.get()[place_of(node).block]; }

    // The whole storage as bytes. It begins at a page boundary.
    char* bytes() { return reinterpret_cast<char*>(blocks_.get()); }
    std::int64_t reserved_bytes() const { return reserved_bytes_; }
    std::int64_t page_bytes() const { return page_bytes_; }

   private:
    struct Free {
        void operator()(NodeBlock* blocks) const { std::free(blocks); }
    };
    std::int64_t reserved_bytes_;
    std::int64_t page_bytes_;
    std::unique_ptr<NodeBlock, Free> blocks_;
};

// Splits the `count` nodes from `first` on into parts that lie in one block each, and calls
// work(block, lane, part_count, num_before) for each part, where num_before nodes came before it.
template <class AnyArena, class Work>
inline void for_parts(AnyArena& arena, NodeId first, std::int32_t count, const Work& work) {
    for (std::int32_t done = 0; done < count;) {
        const std::int32_t lane = place_of(first + done).lane;
        const std::int32_t here = std::min(count - done, BLOCK - lane);
        work(arena.block(first + done), lane, here, done);
        done += here;
    }
}

}  // namespace rstar_fast
