#include "forest.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "errors.hpp"
#include "uct.hpp"

namespace rstar_fast {

namespace {

std::int32_t checked_size(const char* name, std::int64_t size) {
    if (size < 1 || size > MAX_NODES) throw ForestError(concat("Forest: ", name, " must be in 1..", MAX_NODES, ", got ", size));
    return static_cast<std::int32_t>(size);
}

std::size_t checked_capacity(std::int64_t max_trees, std::int64_t nodes_per_tree) {
    if (max_trees * nodes_per_tree > MAX_NODES)
        throw ForestError(concat("Forest: at most ", MAX_NODES, " nodes in all, got ", max_trees, " trees of ", nodes_per_tree));
    return static_cast<std::size_t>(max_trees * nodes_per_tree);
}

}  // namespace

Forest::Forest(std::int64_t max_trees, std::int64_t nodes_per_tree)
    : max_trees_(checked_size("max_trees", max_trees)),
      nodes_per_tree_(checked_size("nodes_per_tree", nodes_per_tree)),
      nodes_(checked_capacity(max_trees, nodes_per_tree)),
      num_nodes_(static_cast<std::size_t>(max_trees)) {}

std::vector<TreeId> Forest::new_trees(std::int64_t count) {
    if (count < 1) throw ForestError(concat("new_trees: count must be at least 1, got ", count));
    if (count > max_trees_ - num_trees_)
        throw CapacityError(concat("new_trees: capacity ", max_trees_, " trees, ", num_trees_, " in use, got ", count, " more"));

    std::vector<TreeId> trees;
    trees.reserve(static_cast<std::size_t>(count));
    for (; num_trees_ < max_trees_ && std::ssize(trees) < count; ++lowest_free_) {
        if (num_nodes_[lowest_free_] > 0) continue;
        num_nodes_[lowest_free_] = 1;
        nodes_.parent[root_of(lowest_free_)] = NO_NODE;
        ++num_trees_;
        trees.push_back(lowest_free_);
    }
    return trees;
}

void Forest::free_trees(std::span<const TreeId> trees) {
    for (const TreeId tree : trees) checked_tree("free_trees", tree);
    std::vector<TreeId> sorted(trees.begin(), trees.end());
    std::sort(sorted.begin(), sorted.end());
    const auto repeat = std::adjacent_find(sorted.begin(), sorted.end());
    if (repeat != sorted.end()) throw ForestError(concat("free_trees: tree ", *repeat, " is named twice"));

    for (const TreeId tree : sorted) {
        const NodeId begin = root_of(tree);
        const auto used = static_cast<std::size_t>(num_nodes_[tree]);
        NodeArrays::for_each(nodes_, [&](auto& array) { std::memset(&array[begin], 0, used * sizeof(array[begin])); });
        num_nodes_[tree] = 0;
        --num_trees_;
        lowest_free_ = std::min(lowest_free_, tree);
    }
}

NodeId Forest::reserve_children(std::span<const NodeId> nodes, std::size_t index, std::int32_t count) {
    const NodeId node = nodes[index];
    if (!in_use(node)) refuse_node("expand", index, node);
    if (count < 1 || count > MAX_CHILDREN)
        throw ForestError(concat("expand: counts must be in 1..", MAX_CHILDREN, ", got ", count, " at index ", index));
    if (nodes_.num_children[node] > 0) {
        const auto earlier = nodes.first(index);
        if (std::find(earlier.begin(), earlier.end(), node) != earlier.end())
            throw ForestError(concat("expand: node ", node, " is named twice"));
        throw ForestError(concat("expand: node ", node, " has ", nodes_.num_children[node], " children already"));
    }
    if (is_terminal(node)) throw ForestError(concat("expand: node ", node, " is terminal"));
    const TreeId tree = tree_of(node);
    if (count > nodes_per_tree_ - num_nodes_[tree])
        throw CapacityError(concat("expand: tree ", tree, " has capacity ", nodes_per_tree_, ", ", num_nodes_[tree],
                                   " nodes in use, got ", count, " more for node ", node));

    const NodeId first = root_of(tree) + num_nodes_[tree];
    nodes_.first_child[node] = first;
    nodes_.num_children[node] = static_cast<std::uint16_t>(count);
    num_nodes_[tree] += count;
    return first;
}

void Forest::release_children(NodeId node) {
    num_nodes_[tree_of(node)] -= nodes_.num_children[node];
    nodes_.first_child[node] = 0;
    nodes_.num_children[node] = 0;
}

void Forest::expand(std::span<const NodeId> nodes, std::span<const std::int32_t> counts, std::span<NodeId> first_children) {
    if (nodes.size() != counts.size()) throw ForestError(concat("expand: ", nodes.size(), " nodes but ", counts.size(), " counts"));

    // A reservation changes only the parent's own entry and the tree's size, so a refused batch is undone by taking back
    // what was reserved; that also finds repeated nodes and a tree filled by several nodes of the batch together.
    std::size_t reserved = 0;
    try {
        for (; reserved < nodes.size(); ++reserved) first_children[reserved] = reserve_children(nodes, reserved, counts[reserved]);
    } catch (const ForestError&) {
        while (reserved > 0) release_children(nodes[--reserved]);
        throw;
    }
    for (std::size_t i = 0; i < nodes.size(); ++i) std::fill_n(&nodes_.parent[first_children[i]], counts[i], nodes[i]);
}

void Forest::set_terminal(std::span<const NodeId> nodes) {
    check_nodes("set_terminal", nodes);
    for (const NodeId node : nodes) nodes_.flags[node] |= TERMINAL;
}

template <class To, class T>
std::vector<To> Forest::copy_tree(const char* call, std::int64_t tree, const ZeroedArray<T>& array) const {
    const TreeId checked = checked_tree(call, tree);
    const T* begin = &array[root_of(checked)];
    return std::vector<To>(begin, begin + num_nodes_[checked]);
}

std::vector<std::int32_t> Forest::visits(std::int64_t tree) const { return copy_tree<std::int32_t>("visits", tree, nodes_.visits); }

std::vector<double> Forest::value_sums(std::int64_t tree) const { return copy_tree<double>("value_sums", tree, nodes_.value_sum); }

std::vector<NodeId> Forest::parents(std::int64_t tree) const { return copy_tree<NodeId>("parents", tree, nodes_.parent); }

std::vector<std::int32_t> Forest::num_children(std::int64_t tree) const {
    return copy_tree<std::int32_t>("num_children", tree, nodes_.num_children);
}

std::vector<double> Forest::q(std::int64_t tree) const {
    std::vector<double> q = copy_tree<double>("q", tree, nodes_.value_sum);
    const std::int32_t* visits = &nodes_.visits[root(tree)];
    for (std::size_t i = 0; i < q.size(); ++i) q[i] = mean_value(q[i], visits[i]);
    return q;
}

std::vector<NodeId> Forest::first_children(std::int64_t tree) const {
    std::vector<NodeId> first = copy_tree<NodeId>("first_children", tree, nodes_.first_child);
    const std::uint16_t* num_children = &nodes_.num_children[root(tree)];
    for (std::size_t i = 0; i < first.size(); ++i)
        if (num_children[i] == 0) first[i] = NO_NODE;
    return first;
}

std::vector<std::uint8_t> Forest::terminal(std::int64_t tree) const {
    std::vector<std::uint8_t> terminal = copy_tree<std::uint8_t>("terminal", tree, nodes_.flags);
    for (std::uint8_t& flags : terminal) flags &= TERMINAL;
    return terminal;
}

TreeId Forest::checked_tree(const char* call, std::int64_t tree) const {
    if (tree < 0 || tree >= max_trees_) throw ForestError(concat(call, ": tree ", tree, " is not in 0..", max_trees_ - 1));
    if (num_nodes_[tree] == 0) throw ForestError(concat(call, ": tree ", tree, " is not in use"));
    return static_cast<TreeId>(tree);
}

void Forest::check_nodes(const char* call, std::span<const NodeId> nodes) const {
    for (std::size_t i = 0; i < nodes.size(); ++i)
        if (!in_use(nodes[i])) refuse_node(call, i, nodes[i]);
}

void Forest::refuse_node(const char* call, std::size_t index, NodeId node) const {
    if (node < 0 || node >= capacity())
        throw ForestError(concat(call, ": node ", node, " at index ", index, " is not in 0..", capacity() - 1));
    const TreeId tree = tree_of(node);
    if (num_nodes_[tree] == 0)
        throw ForestError(concat(call, ": node ", node, " at index ", index, " is of tree ", tree, ", which is not in use"));
    throw ForestError(concat(call, ": node ", node, " at index ", index, " is not in use, tree ", tree, " has nodes ",
                             root_of(tree), "..", root_of(tree) + num_nodes_[tree] - 1));
}

std::string Forest::tree_fault(TreeId tree) const {
    const NodeId begin = root_of(tree);
    const NodeId end = begin + num_nodes_[tree];
    if (nodes_.parent[begin] != NO_NODE) return concat("root ", begin, " has a parent");

    std::int64_t num_children = 0;
    for (NodeId node = begin; node < end; ++node) {
        num_children += nodes_.num_children[node];
        const std::int32_t visits = nodes_.visits[node];
        const double value_sum = nodes_.value_sum[node];
        if (visits < 0 || std::isnan(value_sum) || (visits == 0 && value_sum != 0.0))
            return concat("node ", node, " has ", visits, " visits and value sum ", value_sum);
        if (nodes_.flags[node] & ~KNOWN_FLAGS) return concat("node ", node, " has unknown flags");
        if (node == begin) continue;
        const NodeId parent = nodes_.parent[node];
        if (parent < begin || parent >= node) return concat("node ", node, " has parent ", parent);
        const NodeId first = nodes_.first_child[parent];
        if (node < first || node - first >= nodes_.num_children[parent])
            return concat("node ", node, " is not among the children of its parent ", parent);
    }
    // Every node is in its parent's range, so the ranges hold nothing else if their sizes add up.
    if (num_children != end - begin - 1) return concat(num_children, " children of ", end - begin, " nodes");
    return {};
}

}  // namespace rstar_fast
