// Trees of token runs as one sequence in depth-first order, and which blocks of it see which.
//
//   node           0 ---- 1 ---- 3        Every node is a run of tokens. Here node 0 has three,
//                    `--- 2               node 1 two, node 2 one and node 3 two.
//
//   packed        | 0  0  0 | 1  1 | 3  3 | 2 |
//   index           0  1  2   3  4   5  6   7
//   position        0  1  2   3  4   5  6   3     number of tokens before this one on its path
//   end             8  8  8   7  7   7  7   8     end of the subtree that begins at the token
//
// A query q sees a key k iff k <= q < end[k]. The lowest and the highest `end` in a block of keys
// tell whether a block of queries sees none of it, all of it, or perhaps a part. So no mask of
// queries x keys is ever made.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace rstar_fast {

// The parent of a root.
inline constexpr std::int32_t NO_PARENT = -1;
// The score index of a node that has no token on its path.
inline constexpr std::int32_t NO_TOKEN = -1;

struct Pack {
    // One entry per node, in the order given.
    // Packed index of the node's first token.
    std::vector<std::int32_t> begin;
    // Packed index of the last token on the node's path: its own, else its nearest ancestor's.
    std::vector<std::int32_t> score_index;
    // One entry per packed token, as in the picture.
    std::vector<std::int32_t> tokens;
    std::vector<std::int32_t> position;
    std::vector<std::int32_t> end;
};

// Nodes come after their parents. Siblings are packed in the order given. `tokens` holds the runs
// of all nodes, one after the other.
Pack pack(std::span<const std::int32_t> parents, std::span<const std::int32_t> num_tokens,
          std::span<const std::int32_t> tokens);

// For each row (a block of queries) the columns (blocks of keys) that it sees. Those in
// blocks[offsets[row], split[row]) are seen in full, those in blocks[split[row], offsets[row + 1])
// in part. Both lists ascend. A partial block may turn out to be empty.
struct BlockLists {
    std::int32_t num_columns = 0;
    std::vector<std::int32_t> offsets;
    std::vector<std::int32_t> split;
    std::vector<std::int32_t> blocks;

    std::int32_t num_rows() const { return static_cast<std::int32_t>(split.size()); }
    // Returns the same pairs, listed by column.
    BlockLists transpose() const;
};

// `queries` are packed indices in ascending order. With a window, a query sees a key only if its
// position is less than `window` beyond that of the key.
BlockLists visible_blocks(std::span<const std::int32_t> end, std::span<const std::int32_t> position,
                          std::span<const std::int32_t> queries, std::int64_t block_queries,
                          std::int64_t block_keys, std::optional<std::int64_t> window);

}  // namespace rstar_fast
