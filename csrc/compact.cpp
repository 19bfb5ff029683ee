#include <algorithm>

#include "errors.hpp"
#include "forest.hpp"

namespace rstar_fast {

std::vector<NodeId> Forest::reroot(std::int64_t wide_node) {
    // An id out of the range of int32 becomes another id that no node can have.
    const auto node = static_cast<NodeId>(std::clamp<std::int64_t>(wide_node, NO_NODE, MAX_NODES));
    check_nodes("reroot", std::span(&node, 1));
    const TreeId tree = tree_of(node);
    const NodeId begin = root_of(tree);
    std::vector<bool> kept(static_cast<std::size_t>(num_nodes_[tree]));
    kept[static_cast<std::size_t>(node - begin)] = true;
    for (NodeId below = node + 1; below < begin + num_nodes_[tree]; ++below)
        kept[static_cast<std::size_t>(below - begin)] =
            kept[static_cast<std::size_t>(nodes_.parent(below) - begin)];
    return compact("reroot", tree, kept);
}

std::vector<NodeId> Forest::prune(std::span<const NodeId> nodes) {
    if (nodes.empty()) throw ForestError("prune: expected at least one node");
    check_nodes("prune", nodes);
    const TreeId tree = tree_of(nodes[0]);
    const NodeId begin = root_of(tree);
    std::vector<bool> kept(static_cast<std::size_t>(num_nodes_[tree]), true);
    for (const NodeId node : nodes) {
        if (tree_of(node) != tree)
            throw ForestError(concat("prune: node ", node, " is of tree ", tree_of(node), ", node ",
                                     nodes[0], " of tree ", tree));
        if (node == begin)
            throw ForestError(
                concat("prune: node ", node, " is the root; free_trees forgets a whole tree"));
        kept[static_cast<std::size_t>(node - begin)] = false;
    }
    for (NodeId node = begin + 1; node < begin + num_nodes_[tree]; ++node)
        if (!kept[static_cast<std::size_t>(nodes_.parent(node) - begin)])
            kept[static_cast<std::size_t>(node - begin)] = false;
    return compact("prune", tree, kept);
}

std::vector<NodeId> Forest::compact(const char* call, TreeId tree, const std::vector<bool>& kept) {
    const NodeId begin = root_of(tree);
    const std::int32_t size = num_nodes_[tree];
    std::vector<NodeId> new_ids(static_cast<std::size_t>(size), NO_NODE);
    NodeId next = begin;
    for (std::size_t i = 0; i < kept.size(); ++i) {
        if (kept[i]) new_ids[i] = next++;
        const NodeId node = begin + static_cast<NodeId>(i);
        if (!kept[i] && (nodes_.state(node) & IN_FLIGHT))
            throw ForestError(
                concat(call, ": node ", node, " would be forgotten and is in flight"));
    }
    if (keeps_values()) compact_given(tree, new_ids);

    // Ids only become smaller, and a parent is moved before its children. So no entry is
    // overwritten before it was read.
    for (std::int32_t i = 0; i < size; ++i) {
        const NodeId from = begin + i, to = new_ids[static_cast<std::size_t>(i)];
        if (to == NO_NODE) continue;
        nodes_.value_sum(to) = nodes_.value_sum(from);
        nodes_.visits(to) = nodes_.visits(from);
        nodes_.parent(to) = nodes_.parent(from);
        nodes_.state(to) = nodes_.state(from) & (TERMINAL | IN_FLIGHT);
        if (to == begin) {
            nodes_.parent(to) = NO_NODE;
            continue;
        }
        const NodeId parent = new_ids[static_cast<std::size_t>(nodes_.parent(to) - begin)];
        nodes_.parent(to) = parent;
        if (num_children_of(parent) == 0) nodes_.first_child(parent) = to;
        ++nodes_.state(parent);
    }
    num_nodes_[tree] = next - begin;
    paths_[static_cast<std::size_t>(tree)].forget();
    if (is_widened(tree)) compact_siblings(tree, new_ids);
    return new_ids;
}

// A value that was backed up through a forgotten node still counts for its ancestors that stay.
void Forest::compact_given(TreeId tree, std::span<const NodeId> new_ids) {
    const NodeId begin = root_of(tree);
    std::vector<Given>& given = given_[static_cast<std::size_t>(tree)];
    const auto new_id = [&](NodeId node) {
        return node == NO_NODE ? NO_NODE : new_ids[static_cast<std::size_t>(node - begin)];
    };
    std::size_t kept = 0;
    for (Given entry : given) {
        NodeId stays = entry.node;
        while (entry.upward && stays != NO_NODE && new_id(stays) == NO_NODE)
            stays = nodes_.parent(stays);
        entry.node = new_id(stays);
        if (entry.node != NO_NODE) given[kept++] = entry;
    }
    given.resize(kept);
}

}  // namespace rstar_fast
