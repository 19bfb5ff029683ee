#include <cmath>

#include "errors.hpp"
#include "forest.hpp"

namespace rstar_fast {

void Forest::verify() const {
    std::int32_t in_use = 0;
    for (TreeId tree = 0; tree < max_trees_; ++tree) {
        if (num_nodes_[tree] == 0) continue;
        ++in_use;
        for (const std::string& fault : {tree_fault(tree), claim_fault(tree), replay_fault(tree)})
            if (!fault.empty()) throw InternalError(concat("verify: tree ", tree, ": ", fault));
    }
    if (in_use != num_trees_)
        throw InternalError(
            concat("verify: ", in_use, " trees are in use, num_trees is ", num_trees_));
    for (TreeId tree = 0; tree < lowest_free_; ++tree)
        if (num_nodes_[tree] == 0)
            throw InternalError(concat("verify: slot ", tree,
                                       " is free, the lowest free slot is said to be ",
                                       lowest_free_));
}

std::string Forest::tree_fault(TreeId tree) const {
    const NodeId begin = root_of(tree);
    const NodeId end = begin + num_nodes_[tree];
    if (nodes_.parent(begin) != NO_NODE) return concat("root ", begin, " has a parent");

    std::int64_t num_children = 0;
    for (NodeId node = begin; node < end; ++node) {
        num_children += num_children_of(node);
        const std::int32_t visits = nodes_.visits(node);
        const double value_sum = nodes_.value_sum(node);
        if (visits < 0 || std::isnan(value_sum) || (visits == 0 && value_sum != 0.0))
            return concat("node ", node, " has ", visits, " visits and value sum ", value_sum);
        if (node == begin) continue;
        const NodeId parent = nodes_.parent(node);
        if (parent < begin || parent >= node) return concat("node ", node, " has parent ", parent);
        if (is_widened(tree)) continue;
        const NodeId first = nodes_.first_child(parent);
        if (node < first || node - first >= num_children_of(parent))
            return concat("node ", node, " is not among the children of its parent ", parent);
    }
    // Every node is in its parent's range. If the sizes add up too, the ranges hold nothing else.
    if (num_children != end - begin - 1)
        return concat("its ", end - begin, " nodes have ", num_children, " children");
    return is_widened(tree) ? siblings_fault(tree) : std::string();
}

// All parents are in order, and all counts of children add up to the number of nodes.
std::string Forest::siblings_fault(TreeId tree) const {
    const NodeId begin = root_of(tree);
    const NodeId end = begin + num_nodes_[tree];
    const std::vector<Sibling>& siblings = siblings_[static_cast<std::size_t>(tree)];
    if (std::ssize(siblings) != end - begin)
        return concat("its ", end - begin, " nodes have ", siblings.size(), " places in lists");
    for (NodeId node = begin; node < end; ++node) {
        if (sibling(node).draws < 1)
            return concat("node ", node, " has ", sibling(node).draws, " draws");
        const std::int32_t count = num_children_of(node);
        NodeId child = nodes_.first_child(node), before = node;
        for (std::int32_t i = 0; i < count; ++i) {
            if (child <= before || child >= end || nodes_.parent(child) != node)
                return concat("node ", child, " is in the list of the children of node ", node);
            before = child;
            child = sibling(child).next;
        }
        if (count > 0 && child != NO_NODE)
            return concat("the list of the ", count, " children of node ", node, " goes on");
    }
    return {};
}

std::string Forest::claim_fault(TreeId tree) const {
    const NodeId begin = root_of(tree);
    for (NodeId node = begin; node < begin + num_nodes_[tree]; ++node) {
        const std::uint16_t flags = nodes_.state(node) & FLAGS;
        if ((flags & IN_FLIGHT) && flags != IN_FLIGHT)
            return concat("node ", node, " is in flight and has other flags");
        if (!(flags & BLOCKED)) continue;
        bool waits = false;
        NodeId ready = NO_NODE;
        for_children(node, [&](NodeId child, std::int32_t) {
            if ((nodes_.state(child) & FLAGS) == 0) ready = child;
            waits |= (nodes_.state(child) & (IN_FLIGHT | BLOCKED)) != 0;
        });
        if (ready != NO_NODE)
            return concat("node ", node, " is blocked and its child ", ready, " can be selected");
        if (!waits || (flags & TERMINAL))
            return concat("node ", node, " is blocked and no child is in flight or blocked");
    }
    return {};
}

std::string Forest::replay_fault(TreeId tree) const {
    if (!keeps_values()) return {};
    const NodeId begin = root_of(tree);
    const auto size = static_cast<std::size_t>(num_nodes_[tree]);
    std::vector<double> value_sums(size);
    std::vector<std::int32_t> visits(size);
    for (const Given& given : given_[static_cast<std::size_t>(tree)]) {
        if (given.upward > 1 || given.node < begin || given.node - begin >= num_nodes_[tree])
            return concat("a kept value belongs to node ", given.node,
                          ", which the tree does not have");
        for (NodeId node = given.node; node != NO_NODE;
             node = given.upward ? nodes_.parent(node) : NO_NODE) {
            value_sums[static_cast<std::size_t>(node - begin)] += given.value;
            ++visits[static_cast<std::size_t>(node - begin)];
        }
    }
    for (std::size_t i = 0; i < size; ++i) {
        const NodeId node = begin + static_cast<NodeId>(i);
        if (visits[i] != nodes_.visits(node) || value_sums[i] != nodes_.value_sum(node))
            return concat("node ", node, " has ", nodes_.visits(node), " visits and value sum ",
                          nodes_.value_sum(node), "; its kept values make ", visits[i], " and ",
                          value_sums[i]);
    }
    return {};
}

}  // namespace rstar_fast
