#include <cmath>

#include "errors.hpp"
#include "forest.hpp"
#include "uct.hpp"

namespace rstar_fast {

namespace {

// The child in [begin, end) of the highest UCT, terminal ones left out, the first of equals; NO_NODE if all are terminal.
NodeId best_child(const NodeArrays& nodes, NodeId begin, NodeId end, double log_parent_visits, double c) {
    NodeId best = NO_NODE;
    double best_score = 0.0;
    for (NodeId child = begin; child < end; ++child) {
        if (nodes.flags[child] & TERMINAL) continue;
        const double score = uct(nodes.value_sum[child], nodes.visits[child], log_parent_visits, c);
        if (best == NO_NODE || score > best_score) {
            best = child;
            best_score = score;
        }
    }
    return best;
}

}  // namespace

NodeId Forest::walk(NodeId node, std::int32_t& moves, double c) {
    if (is_terminal(node)) return NO_NODE;
    while (moves > 0 && nodes_.num_children[node] > 0) {
        const NodeId begin = nodes_.first_child[node];
        const NodeId child = best_child(nodes_, begin, begin + nodes_.num_children[node], log_visits(nodes_.visits[node]), c);
        if (child == NO_NODE) {
            nodes_.flags[node] |= TERMINAL;
            return NO_NODE;
        }
        node = child;
        --moves;
    }
    return node;
}

void Forest::select(std::span<const NodeId> nodes, std::span<const std::int32_t> moves, double c, std::span<NodeId> reached,
                    std::span<std::int32_t> moves_left) {
    if (nodes.size() != moves.size()) throw ForestError(concat("select: ", nodes.size(), " nodes but ", moves.size(), " moves"));
    if (!std::isfinite(c) || c < 0) throw ForestError(concat("select: c must be finite and not negative, got ", c));
    check_nodes("select", nodes);
    for (std::size_t i = 0; i < moves.size(); ++i)
        if (moves[i] < 0) throw ForestError(concat("select: moves must not be negative, got ", moves[i], " at index ", i));

    for (std::size_t i = 0; i < nodes.size(); ++i) {
        moves_left[i] = moves[i];
        reached[i] = walk(nodes[i], moves_left[i], c);
    }
}

}  // namespace rstar_fast
