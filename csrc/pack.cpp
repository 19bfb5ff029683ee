#include "pack.hpp"

#include <algorithm>
#include <limits>

#include "errors.hpp"

namespace rstar_fast {

namespace {

constexpr std::int64_t MAX_TOKENS = std::numeric_limits<std::int32_t>::max();

std::int32_t narrow(std::size_t value) { return static_cast<std::int32_t>(value); }

void check_nodes(std::span<const std::int32_t> parents, std::span<const std::int32_t> num_tokens,
                 std::span<const std::int32_t> tokens) {
    if (parents.size() != num_tokens.size())
        throw PackError(
            concat("pack: ", parents.size(), " parents but ", num_tokens.size(), " num_tokens"));
    std::int64_t total = 0;
    for (std::size_t i = 0; i < parents.size(); ++i) {
        if (parents[i] < NO_PARENT || parents[i] >= static_cast<std::int64_t>(i))
            throw PackError(concat("pack: the parent of node ", i,
                                   " must be -1 or a node before it, got ", parents[i]));
        if (num_tokens[i] < 0)
            throw PackError(concat("pack: num_tokens must not be negative, got ", num_tokens[i],
                                   " at node ", i));
        total += num_tokens[i];
    }
    if (total > MAX_TOKENS)
        throw PackError(concat("pack: at most ", MAX_TOKENS, " tokens can be packed, got ", total));
    if (total != static_cast<std::int64_t>(tokens.size()))
        throw PackError(concat("pack: num_tokens add up to ", total, " but there are ",
                               tokens.size(), " tokens"));
}

// Summary of one block of consecutive queries or keys.
struct Extent {
    // Packed indices of the first and the last token.
    std::int32_t first, last;
    std::int32_t min_end, max_end;
    std::int32_t min_position, max_position;
};

template <class Index>
Extent extent(std::size_t begin, std::size_t stop, std::span<const std::int32_t> end,
              std::span<const std::int32_t> position, Index&& index) {
    constexpr std::int32_t HIGHEST = std::numeric_limits<std::int32_t>::max();
    Extent found{index(begin), index(stop - 1), HIGHEST, 0, HIGHEST, 0};
    for (std::size_t i = begin; i < stop; ++i) {
        const auto at = static_cast<std::size_t>(index(i));
        found.min_end = std::min(found.min_end, end[at]);
        found.max_end = std::max(found.max_end, end[at]);
        found.min_position = std::min(found.min_position, position[at]);
        found.max_position = std::max(found.max_position, position[at]);
    }
    return found;
}

void check_layout(std::span<const std::int32_t> end, std::span<const std::int32_t> position,
                  std::span<const std::int32_t> queries) {
    const char* call = "visible_blocks: ";
    if (end.size() != position.size())
        throw PackError(concat(call, end.size(), " ends but ", position.size(), " positions"));
    std::vector<std::int32_t> open;
    for (std::size_t k = 0; k < end.size(); ++k) {
        while (!open.empty() && open.back() <= narrow(k)) open.pop_back();
        const std::size_t limit = open.empty() ? end.size() : static_cast<std::size_t>(open.back());
        if (end[k] <= narrow(k) || static_cast<std::size_t>(end[k]) > limit)
            throw PackError(concat(call, "the end of token ", k, " must be in ", k + 1, "..", limit,
                                   ", got ", end[k]));
        if (position[k] < 0)
            throw PackError(
                concat(call, "positions must not be negative, got ", position[k], " at token ", k));
        open.push_back(end[k]);
    }
    std::int64_t before = -1;
    for (std::size_t i = 0; i < queries.size(); ++i) {
        if (queries[i] <= before || static_cast<std::size_t>(queries[i]) >= end.size())
            throw PackError(concat(call, "queries must ascend within 0..",
                                   static_cast<std::int64_t>(end.size()) - 1, ", got ", queries[i],
                                   " at index ", i));
        before = queries[i];
    }
}

}  // namespace

Pack pack(std::span<const std::int32_t> parents, std::span<const std::int32_t> num_tokens,
          std::span<const std::int32_t> tokens) {
    check_nodes(parents, num_tokens, tokens);
    const std::size_t num_nodes = parents.size();
    Pack out;
    out.begin.resize(num_nodes), out.score_index.resize(num_nodes);
    out.tokens.resize(tokens.size()), out.position.resize(tokens.size()),
        out.end.resize(tokens.size());

    std::vector<std::int32_t> subtree(num_tokens.begin(), num_tokens.end());
    for (std::size_t i = num_nodes; i-- > 0;)
        if (parents[i] != NO_PARENT) subtree[static_cast<std::size_t>(parents[i])] += subtree[i];

    // For each node, the packed index at which its next child begins, and the number of tokens on
    // its path.
    std::vector<std::int32_t> cursor(num_nodes), depth(num_nodes);
    std::int32_t next_root = 0;
    std::size_t source = 0;
    for (std::size_t i = 0; i < num_nodes; ++i) {
        const bool is_root = parents[i] == NO_PARENT;
        const auto parent = static_cast<std::size_t>(parents[i]);
        std::int32_t& next = is_root ? next_root : cursor[parent];
        const std::int32_t begin = next, above = is_root ? 0 : depth[parent], count = num_tokens[i];
        next += subtree[i];
        out.begin[i] = begin, cursor[i] = begin + count, depth[i] = above + count;
        out.score_index[i] = count > 0 ? begin + count - 1
                             : is_root ? NO_TOKEN
                                       : out.score_index[parent];
        for (std::int32_t t = 0; t < count; ++t, ++source) {
            const auto at = static_cast<std::size_t>(begin + t);
            out.tokens[at] = tokens[source];
            out.position[at] = above + t;
            out.end[at] = begin + subtree[i];
        }
    }
    return out;
}

BlockLists visible_blocks(std::span<const std::int32_t> end, std::span<const std::int32_t> position,
                          std::span<const std::int32_t> queries, std::int64_t block_queries,
                          std::int64_t block_keys, std::optional<std::int64_t> window) {
    if (block_queries < 1 || block_keys < 1)
        throw PackError(concat("visible_blocks: blocks must be at least 1 by 1, got ",
                               block_queries, " by ", block_keys));
    if (window && *window < 1)
        throw PackError(concat("visible_blocks: window must be at least 1, got ", *window));
    check_layout(end, position, queries);

    const auto rows = static_cast<std::size_t>(block_queries),
               columns = static_cast<std::size_t>(block_keys);
    std::vector<Extent> keys;
    for (std::size_t at = 0; at < end.size(); at += columns)
        keys.push_back(extent(at, std::min(at + columns, end.size()), end, position,
                              [](std::size_t i) { return narrow(i); }));

    BlockLists lists{.num_columns = narrow(keys.size()), .offsets = {0}, .split = {}, .blocks = {}};
    std::vector<std::int32_t> open, partial;
    std::size_t next = 0;
    for (std::size_t at = 0; at < queries.size(); at += rows) {
        const Extent row = extent(at, std::min(at + rows, queries.size()), end, position,
                                  [&](std::size_t i) { return queries[i]; });
        // Queries ascend, so no later row sees a block of keys that ends before this row.
        std::erase_if(open, [&](std::int32_t block) {
            return keys[static_cast<std::size_t>(block)].max_end <= row.first;
        });
        for (; next < keys.size() && keys[next].first <= row.last; ++next)
            if (keys[next].max_end > row.first) open.push_back(narrow(next));
        partial.clear();
        for (const std::int32_t block : open) {
            const Extent& key = keys[static_cast<std::size_t>(block)];
            if (window && row.min_position - key.max_position >= *window) continue;
            const bool whole = key.last - key.first + 1 == static_cast<std::int64_t>(columns);
            const bool near = !window || row.max_position - key.min_position < *window;
            const bool full = whole && near && key.last <= row.first && key.min_end > row.last;
            (full ? lists.blocks : partial).push_back(block);
        }
        lists.split.push_back(narrow(lists.blocks.size()));
        lists.blocks.insert(lists.blocks.end(), partial.begin(), partial.end());
        if (lists.blocks.size() > static_cast<std::size_t>(MAX_TOKENS))
            throw PackError(concat("visible_blocks: more than ", MAX_TOKENS,
                                   " visible blocks; take larger blocks"));
        lists.offsets.push_back(narrow(lists.blocks.size()));
    }
    return lists;
}

BlockLists BlockLists::transpose() const {
    const auto columns = static_cast<std::size_t>(num_columns);
    BlockLists out{.num_columns = num_rows(),
                   .offsets = std::vector<std::int32_t>(columns + 1),
                   .split = {},
                   .blocks = {}};
    for (const std::int32_t block : blocks) ++out.offsets[static_cast<std::size_t>(block) + 1];
    for (std::size_t column = 0; column < columns; ++column)
        out.offsets[column + 1] += out.offsets[column];
    out.split.assign(out.offsets.begin(), out.offsets.end() - 1);
    out.blocks.resize(blocks.size());
    // `split` moves along as the full blocks of each column are filled in, and stops at their end.
    // The partial ones are filled in from there.
    const auto fill = [&](std::vector<std::int32_t>& next, const auto& begins, const auto& stops) {
        for (std::size_t row = 0; row < split.size(); ++row)
            for (auto at = static_cast<std::size_t>(begins[row]);
                 at < static_cast<std::size_t>(stops[row]); ++at)
                out.blocks[static_cast<std::size_t>(next[static_cast<std::size_t>(blocks[at])]++)] =
                    narrow(row);
    };
    fill(out.split, offsets, split);
    std::vector<std::int32_t> next = out.split;
    fill(next, split, std::span(offsets).subspan(1));
    return out;
}

}  // namespace rstar_fast
