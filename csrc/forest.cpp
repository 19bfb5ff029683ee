#include "forest.hpp"

#include <algorithm>

#include "errors.hpp"
#include "stream.hpp"
#include "uct.hpp"

namespace rstar_fast {

namespace {

std::int32_t checked_size(const char* name, std::int64_t size) {
    if (size < 1 || size > MAX_NODES)
        throw ForestError(concat("Forest: ", name, " must be in 1..", MAX_NODES, ", got ", size));
    return static_cast<std::int32_t>(size);
}

std::int64_t checked_capacity(std::int64_t max_trees, std::int64_t nodes_per_tree) {
    if (max_trees * nodes_per_tree > MAX_NODES)
        throw ForestError(concat("Forest: at most ", MAX_NODES, " nodes in all, got ", max_trees,
                                 " trees of ", nodes_per_tree));
    return max_trees * nodes_per_tree;
}

std::int64_t checked_limit(std::int64_t limit_bytes) {
    if (limit_bytes < 1)
        throw ForestError(
            concat("Forest: memory_limit_bytes must be at least 1, got ", limit_bytes));
    return limit_bytes;
}

}  // namespace

Forest::Forest(std::int64_t max_trees, std::int64_t nodes_per_tree, std::int64_t memory_limit_bytes,
               bool keep_values)
    : max_trees_(checked_size("max_trees", max_trees)),
      nodes_per_tree_(checked_size("nodes_per_tree", nodes_per_tree)),
      inverse_nodes_per_tree_(
          ((std::uint64_t{1} << 63) - 1) / static_cast<std::uint64_t>(nodes_per_tree) + 1),
      memory_limit_bytes_(checked_limit(memory_limit_bytes)),
      nodes_(checked_capacity(max_trees, nodes_per_tree), nodes_per_tree, memory_limit_bytes),
      num_nodes_(static_cast<std::size_t>(max_trees)),
      most_nodes_(static_cast<std::size_t>(max_trees)),
      given_(keep_values ? static_cast<std::size_t>(max_trees) : 0) {}

void Forest::set_threads(std::int64_t threads) {
    if (threads < 1 || threads > 1024)
        throw ForestError(concat("Forest: threads must be in 1..1024, got ", threads));
    threads_ = static_cast<std::int32_t>(threads);
}

std::vector<TreeId> Forest::new_trees(std::int64_t count) {
    if (count < 1) throw ForestError(concat("new_trees: count must be at least 1, got ", count));
    if (count > max_trees_ - num_trees_)
        throw CapacityError(concat("new_trees: capacity ", max_trees_, " trees, ", num_trees_,
                                   " in use, got ", count, " more"));

    std::vector<TreeId> trees;
    trees.reserve(static_cast<std::size_t>(count));
    for (TreeId slot = lowest_free_; std::ssize(trees) < count; ++slot)
        if (num_nodes_[slot] == 0) trees.push_back(slot);
    const auto num_slots = static_cast<std::size_t>(trees.back()) + 1;
    if (paths_.size() < num_slots) paths_.resize(num_slots);
    for (const TreeId tree : trees) num_nodes_[tree] = 1;
    try {
        charge("new_trees", trees);
    } catch (const CapacityError&) {
        for (const TreeId tree : trees) num_nodes_[tree] = 0;
        throw;
    }
    for (const TreeId tree : trees)
        make_children(NO_NODE, root_of(tree), 1, nullptr, current_simd());
    stream_end();
    num_trees_ += static_cast<std::int32_t>(count);
    lowest_free_ = trees.back() + 1;
    return trees;
}

void Forest::free_trees(std::span<const TreeId> trees) {
    for (const TreeId tree : trees) checked_tree("free_trees", tree);
    std::vector<TreeId> sorted(trees.begin(), trees.end());
    std::sort(sorted.begin(), sorted.end());
    const auto repeat = std::adjacent_find(sorted.begin(), sorted.end());
    if (repeat != sorted.end())
        throw ForestError(concat("free_trees: tree ", *repeat, " is named twice"));

    for (const TreeId tree : sorted) {
        if (is_widened(tree)) end_widening(tree);
        num_nodes_[tree] = 0;
        paths_[static_cast<std::size_t>(tree)].forget();
        if (keeps_values()) given_[static_cast<std::size_t>(tree)] = {};
    }
    num_trees_ -= static_cast<std::int32_t>(sorted.size());
    if (!sorted.empty()) lowest_free_ = std::min(lowest_free_, sorted.front());
}

TreeId Forest::checked_tree(const char* call, std::int64_t tree) const {
    if (tree < 0 || tree >= max_trees_)
        throw ForestError(concat(call, ": tree ", tree, " is not in 0..", max_trees_ - 1));
    if (num_nodes_[tree] == 0) throw ForestError(concat(call, ": tree ", tree, " is not in use"));
    return static_cast<TreeId>(tree);
}

void Forest::check_nodes(const char* call, std::span<const NodeId> nodes) const {
    for (std::size_t i = 0; i < nodes.size(); ++i)
        if (!in_use(nodes[i])) refuse_node(call, i, nodes[i]);
}

void Forest::trees_of(const char* call, std::span<const NodeId> nodes,
                      std::vector<TreeId>& trees) const {
    trees.resize(nodes.size());
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        const NodeId node = nodes[i];
        if (static_cast<std::uint32_t>(node) >= static_cast<std::uint32_t>(capacity()))
            refuse_node(call, i, node);
        const TreeId tree = tree_of(node);
        if (node - root_of(tree) >= num_nodes_[tree]) refuse_node(call, i, node);
        trees[i] = tree;
    }
}

void Forest::refuse_node(const char* call, std::size_t index, NodeId node) const {
    if (node < 0 || node >= capacity())
        throw ForestError(
            concat(call, ": node ", node, " at index ", index, " is not in 0..", capacity() - 1));
    const TreeId tree = tree_of(node);
    if (num_nodes_[tree] == 0)
        throw ForestError(concat(call, ": node ", node, " at index ", index, " is of tree ", tree,
                                 ", which is not in use"));
    throw ForestError(concat(call, ": node ", node, " at index ", index, " is not in use, tree ",
                             tree, " has nodes ", root_of(tree), "..",
                             root_of(tree) + num_nodes_[tree] - 1));
}

}  // namespace rstar_fast
