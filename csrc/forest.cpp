#include "forest.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "errors.hpp"
#include "parallel.hpp"
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
      nodes_(checked_capacity(max_trees, nodes_per_tree), memory_limit_bytes),
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

NodeId Forest::reserve_children(std::span<const NodeId> nodes, std::size_t index, TreeId tree,
                                std::int32_t count) {
    const NodeId node = nodes[index];
    if (count < 1 || count > MAX_CHILDREN)
        throw ForestError(concat("expand: counts must be in 1..", MAX_CHILDREN, ", got ", count,
                                 " at index ", index));
    if (num_children_of(node) > 0) {
        const auto earlier = nodes.first(index);
        if (std::find(earlier.begin(), earlier.end(), node) != earlier.end())
            throw ForestError(concat("expand: node ", node, " is named twice"));
        throw ForestError(
            concat("expand: node ", node, " has ", num_children_of(node), " children already"));
    }
    if (nodes_.state(node) & TERMINAL)
        throw ForestError(concat("expand: node ", node, " is terminal"));
    if (count > nodes_per_tree_ - num_nodes_[tree])
        throw CapacityError(concat("expand: tree ", tree, " has capacity ", nodes_per_tree_, ", ",
                                   num_nodes_[tree], " nodes in use, got ", count,
                                   " more for node ", node));

    const NodeId first = root_of(tree) + num_nodes_[tree];
    nodes_.first_child(node) = first;
    nodes_.state(node) |= static_cast<std::uint16_t>(count);
    num_nodes_[tree] += count;
    if (is_widened(tree)) siblings_bytes_ += count * std::int64_t{sizeof(Sibling)};
    return first;
}

void Forest::release_children(NodeId node) {
    const TreeId tree = tree_of(node);
    num_nodes_[tree] -= num_children_of(node);
    if (is_widened(tree)) siblings_bytes_ -= num_children_of(node) * std::int64_t{sizeof(Sibling)};
    nodes_.state(node) &= FLAGS;
}

void Forest::make_children(NodeId parent, NodeId first, std::int32_t count, const double* values,
                           const Simd& simd) {
    for_parts(nodes_, first, count,
              [&](NodeBlock& block, std::int32_t lane, std::int32_t here, std::int32_t done) {
                  const double* from = values != nullptr ? values + done : nullptr;
                  if (here == BLOCK)
                      simd.make_block(block, parent, from);
                  else
                      stream_siblings(block, lane, here, parent, from);
              });
}

void Forest::expand(std::span<const NodeId> nodes, std::span<const std::int32_t> counts,
                    std::optional<std::span<const double>> values,
                    std::span<NodeId> first_children) {
    if (nodes.size() != counts.size())
        throw ForestError(
            concat("expand: ", nodes.size(), " nodes but ", counts.size(), " counts"));
    if (values) check_finite("expand", *values);
    // Before any tree grows: a node that this call makes is not one that it may expand.
    const std::span<const TreeId> trees = trees_of("expand", nodes);

    // A reservation changes only the parent's own entry and the size of its tree. A refused batch
    // is therefore undone by releasing what was reserved. To reserve first also finds nodes that
    // are named twice, and trees that several nodes of the batch would overfill together.
    std::size_t reserved = 0;
    try {
        std::size_t num_children = 0;
        for (; reserved < nodes.size(); ++reserved) {
            first_children[reserved] =
                reserve_children(nodes, reserved, trees[reserved], counts[reserved]);
            num_children += static_cast<std::size_t>(counts[reserved]);
        }
        if (values && values->size() != num_children)
            throw ForestError(
                concat("expand: ", num_children, " children but ", values->size(), " values"));
        charge("expand", trees);
    } catch (const ForestError&) {
        while (reserved > 0) release_children(nodes[--reserved]);
        throw;
    }
    const Simd& simd = current_simd();
    const std::size_t num_parts = worthwhile_threads(nodes.size(), threads_);
    in_parallel(num_parts, [&](std::size_t part) {
        const std::size_t begin = nodes.size() * part / num_parts,
                          end = nodes.size() * (part + 1) / num_parts;
        const double* next =
            values ? values->data() +
                         std::accumulate(counts.data(), counts.data() + begin, std::int64_t{0})
                   : nullptr;
        for (std::size_t i = begin; i < end; ++i) {
            make_children(nodes[i], first_children[i], counts[i], next, simd);
            if (next != nullptr) next += counts[i];
        }
        stream_end();
    });
    for (const NodeId node : nodes) end_claim(node);
    for (std::size_t i = 0; !siblings_.empty() && i < nodes.size(); ++i)
        if (is_widened(trees[i])) link_children(first_children[i], counts[i]);
    if (values && keeps_values()) keep_children_values(first_children, counts, *values);
}

void Forest::keep_children_values(std::span<const NodeId> first_children,
                                  std::span<const std::int32_t> counts,
                                  std::span<const double> values) {
    std::size_t next = 0;
    for (std::size_t i = 0; i < counts.size(); ++i)
        for (std::int32_t child = 0; child < counts[i]; ++child)
            keep_value(first_children[i] + child, values[next++], false);
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

std::span<const TreeId> Forest::trees_of(const char* call, std::span<const NodeId> nodes) {
    batch_trees_.resize(nodes.size());
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        const NodeId node = nodes[i];
        if (static_cast<std::uint32_t>(node) >= static_cast<std::uint32_t>(capacity()))
            refuse_node(call, i, node);
        const TreeId tree = tree_of(node);
        if (node - root_of(tree) >= num_nodes_[tree]) refuse_node(call, i, node);
        batch_trees_[i] = tree;
    }
    return batch_trees_;
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
