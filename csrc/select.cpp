#include <cmath>
#include <utility>

#include "errors.hpp"
#include "forest.hpp"
#include "parallel.hpp"
#include "walker.hpp"

namespace rstar_fast {

void Forest::check_walks(const char* call, std::span<const NodeId> nodes,
                         std::span<const std::int32_t> moves, double c) {
    if (nodes.size() != moves.size())
        throw ForestError(concat(call, ": ", nodes.size(), " nodes but ", moves.size(), " moves"));
    if (!std::isfinite(c) || c < 0)
        throw ForestError(concat(call, ": c must be finite and not negative, got ", c));
    std::int32_t all_moves = 0;
    for (const std::int32_t most : moves) all_moves |= most;
    for (std::size_t i = 0; all_moves < 0 && i < moves.size(); ++i)
        if (moves[i] < 0)
            throw ForestError(
                concat(call, ": moves must not be negative, got ", moves[i], " at index ", i));
}

void Forest::select(std::span<const NodeId> nodes, std::span<const std::int32_t> moves, double c,
                    bool claim, const Widening& widening, std::span<NodeId> reached,
                    std::span<std::int32_t> moves_left) {
    check_walks("select", nodes, moves, c);
    for (const auto& [name, value] :
         {std::pair("widening", widening.factor), {"widening_exponent", widening.exponent}})
        if (!std::isfinite(value) || value < 0)
            throw ForestError(
                concat("select: ", name, " must be finite and not negative, got ", value));
    if (widening.max_draws < 1 || widening.max_draws > MAX_CHILDREN)
        throw ForestError(
            concat("select: max_draws must be in 1..", MAX_CHILDREN, ", got ", widening.max_draws));
    const std::span<const TreeId> trees = trees_of("select", nodes);
    order_.arrange(trees, worthwhile_threads(nodes.size(), threads_));
    Walker walker(*this, nodes, trees, moves, c, claim, widening, reached, moves_left);
    in_parallel(order_.num_parts(), [&](std::size_t part) { walker.walk(order_.part(part)); });
}

void Forest::set_terminal(std::span<const NodeId> nodes) {
    check_nodes("set_terminal", nodes);
    for (const NodeId node : nodes) {
        end_claim(node);
        nodes_.state(node) |= TERMINAL;
    }
}

void Forest::release(std::span<const NodeId> nodes) {
    check_nodes("release", nodes);
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        if (!(nodes_.state(nodes[i]) & IN_FLIGHT))
            throw ForestError(
                concat("release: node ", nodes[i], " at index ", i, " is not in flight"));
    }
    for (const NodeId node : nodes) end_claim(node);
}

void Forest::end_claim(NodeId node) {
    constexpr std::uint16_t waiting = IN_FLIGHT | BLOCKED;
    if (!(nodes_.state(node) & waiting)) return;
    nodes_.state(node) &= static_cast<std::uint16_t>(~waiting);
    // An ancestor may be in flight itself: it waits for a child of its own.
    for (node = nodes_.parent(node); node != NO_NODE && nodes_.state(node) & BLOCKED;
         node = nodes_.parent(node))
        nodes_.state(node) &= static_cast<std::uint16_t>(~BLOCKED);
}

}  // namespace rstar_fast
