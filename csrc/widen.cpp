// Children one by one, and how siblings that are not contiguous are kept. See siblings.hpp.
#include <limits>

#include "errors.hpp"
#include "forest.hpp"
#include "stream.hpp"
#include "uct.hpp"

namespace rstar_fast {

void Forest::append(std::span<const NodeId> nodes, std::span<NodeId> children) {
    const std::span<const TreeId> trees = trees_of("append", nodes);
    std::size_t reserved = 0;
    std::vector<TreeId> begun;
    try {
        for (; reserved < nodes.size(); ++reserved) {
            const TreeId tree = trees[reserved];
            if (!is_widened(tree)) {
                begin_widening(tree);
                begun.push_back(tree);
            }
            children[reserved] = reserve_child(nodes[reserved], reserved);
        }
        charge("append", trees);
    } catch (const ForestError&) {
        while (reserved > 0) {
            const NodeId node = nodes[--reserved];
            --num_nodes_[tree_of(node)];
            --nodes_.state(node);
            siblings_bytes_ -= std::int64_t{sizeof(Sibling)};
        }
        for (const TreeId tree : begun) end_widening(tree);
        throw;
    }
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        make_children(nodes[i], children[i], 1, nullptr, current_simd());
        link_children(children[i], 1);
        link_last(nodes[i], children[i]);
    }
    stream_end();
    for (const NodeId node : nodes) end_claim(node);
}

NodeId Forest::reserve_child(NodeId node, std::size_t index) {
    if (nodes_.state(node) & TERMINAL)
        throw ForestError(concat("append: node ", node, " at index ", index, " is terminal"));
    if (num_children_of(node) == MAX_CHILDREN)
        throw ForestError(concat("append: node ", node, " at index ", index, " has ", MAX_CHILDREN,
                                 " children already"));
    const TreeId tree = tree_of(node);
    if (num_nodes_[tree] == nodes_per_tree_)
        throw CapacityError(concat("append: tree ", tree, " has capacity ", nodes_per_tree_,
                                   ", all in use, got 1 more for node ", node));
    const NodeId child = root_of(tree) + num_nodes_[tree];
    if (num_children_of(node) == 0) nodes_.first_child(node) = child;
    ++nodes_.state(node);
    ++num_nodes_[tree];
    siblings_bytes_ += std::int64_t{sizeof(Sibling)};
    return child;
}

void Forest::redraw(std::span<const NodeId> nodes) {
    const std::span<const TreeId> trees = trees_of("redraw", nodes);
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        const NodeId node = nodes[i];
        if (nodes_.parent(node) == NO_NODE)
            throw ForestError(concat("redraw: node ", node, " at index ", i, " is a root"));
        if (is_widened(tree_of(node)) &&
            sibling(node).draws > std::numeric_limits<std::int32_t>::max() - std::ssize(nodes))
            throw ForestError(concat("redraw: node ", node, " at index ", i, " has ",
                                     sibling(node).draws, " draws already"));
    }
    std::vector<TreeId> begun;
    for (const TreeId tree : trees) {
        if (is_widened(tree)) continue;
        begin_widening(tree);
        begun.push_back(tree);
    }
    try {
        charge("redraw", trees);
    } catch (const ForestError&) {
        for (const TreeId tree : begun) end_widening(tree);
        throw;
    }
    for (const NodeId node : nodes) {
        ++sibling(node).draws;
        const NodeId parent = nodes_.parent(node);
        if (nodes_.state(parent) & IN_FLIGHT) end_claim(parent);
    }
}

// Keeps the siblings of a tree, which are contiguous so far, as lists from now on.
void Forest::begin_widening(TreeId tree) {
    if (siblings_.empty()) siblings_.resize(static_cast<std::size_t>(max_trees_));
    auto& siblings = siblings_[static_cast<std::size_t>(tree)];
    const NodeId begin = root_of(tree);
    siblings.assign(static_cast<std::size_t>(num_nodes_[tree]), {NO_NODE, 1});
    for (NodeId node = begin; node < begin + num_nodes_[tree]; ++node)
        if (const std::int32_t count = num_children_of(node); count > 0)
            link_children(nodes_.first_child(node), count);
    siblings_bytes_ += num_nodes_[tree] * std::int64_t{sizeof(Sibling)};
}

void Forest::end_widening(TreeId tree) {
    siblings_bytes_ -= num_nodes_[tree] * std::int64_t{sizeof(Sibling)};
    siblings_[static_cast<std::size_t>(tree)] = {};
}

// Makes a list of contiguous siblings that one call has made.
void Forest::link_children(NodeId first, std::int32_t count) {
    const TreeId tree = tree_of(first);
    auto& siblings = siblings_[static_cast<std::size_t>(tree)];
    const auto end = static_cast<std::size_t>(first + count - root_of(tree));
    if (siblings.size() < end) siblings.resize(end);
    for (NodeId child = first; child < first + count; ++child)
        sibling(child) = {child + 1 < first + count ? child + 1 : NO_NODE, 1};
}

// Puts a new child behind the other children of its parent.
void Forest::link_last(NodeId node, NodeId child) {
    NodeId last = nodes_.first_child(node);
    if (last == child) return;
    while (sibling(last).next != NO_NODE) last = sibling(last).next;
    sibling(last).next = child;
}

// Follows `compact`, which has moved the nodes and kept their order.
void Forest::compact_siblings(TreeId tree, std::span<const NodeId> new_ids) {
    const NodeId begin = root_of(tree);
    auto& siblings = siblings_[static_cast<std::size_t>(tree)];
    std::vector<NodeId> last(static_cast<std::size_t>(num_nodes_[tree]), NO_NODE);
    for (std::size_t from = 0; from < new_ids.size(); ++from) {
        const NodeId to = new_ids[from];
        if (to == NO_NODE) continue;
        siblings[static_cast<std::size_t>(to - begin)] = {NO_NODE, siblings[from].draws};
        if (to == begin) continue;
        NodeId& before = last[static_cast<std::size_t>(nodes_.parent(to) - begin)];
        if (before != NO_NODE) sibling(before).next = to;
        before = to;
    }
    siblings_bytes_ -= (std::ssize(siblings) - num_nodes_[tree]) * std::int64_t{sizeof(Sibling)};
    siblings.resize(static_cast<std::size_t>(num_nodes_[tree]));
}

}  // namespace rstar_fast
