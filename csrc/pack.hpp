// A forest of token runs as one sequence in depth-first order, and which blocks of it see which.
//
//   node           0 ---- 1 ---- 3        every node is a run of tokens: here 0 has three, 1 two, 2 one, 3 two
//                    `--- 2
//
//   packed        | 0  0  0 | 1  1 | 3  3 | 2 |
//   index           0  1  2   3  4   5  6   7
//   position        0  1  2   3  4   5  6   3     tokens in front of this one on its path
//   end             8  8  8   7  7   7  7   8     end of the subtree the token opens: the token is seen by [its index, end)
//
// A query q sees a key k iff k <= q < end[k]. Two of a key block's numbers, the lowest and the highest `end` in it, say whether a
// block of queries sees none of it, all of it, or must look closer; so nothing of the size of a mask is ever made.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace rstar_fast {

// A root's parent; the score index of a root without tokens.
inline constexpr std::int32_t NO_PARENT = -1;
inline constexpr std::int32_t NO_TOKEN = -1;

struct Pack {
    // By node, in the order given.
    std::vector<std::int32_t> begin;        // packed index of its first token
    std::vector<std::int32_t> score_index;  // packed index of the last token on its path: its own, else the nearest ancestor's
    // By packed index.
    std::vector<std::int32_t> tokens;
    std::vector<std::int32_t> position;
    std::vector<std::int32_t> end;
};

// Nodes come after their parents; siblings are packed in the order given. `tokens` holds the nodes' tokens one after the other.
Pack pack(std::span<const std::int32_t> parents, std::span<const std::int32_t> num_tokens, std::span<const std::int32_t> tokens);

// For each row (a block of queries), the columns (blocks of keys) it sees: blocks[offsets[row], split[row]) in full,
// blocks[split[row], offsets[row + 1]) in part; both ascending. A partial block may turn out to be empty.
struct BlockLists {
    std::int32_t num_columns = 0;
    std::vector<std::int32_t> offsets;
    std::vector<std::int32_t> split;
    std::vector<std::int32_t> blocks;

    std::int32_t num_rows() const { return static_cast<std::int32_t>(split.size()); }
    // The same pairs by column.
    BlockLists transpose() const;
};

// `queries` are packed indices, ascending. With a window a key is also seen only from fewer than `window` positions ahead.
BlockLists visible_blocks(std::span<const std::int32_t> end, std::span<const std::int32_t> position,
                          std::span<const std::int32_t> queries, std::int64_t block_queries, std::int64_t block_keys,
                          std::optional<std::int64_t> window);

}  // namespace rstar_fast
