#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "errors.hpp"
#include "forest.hpp"
#include "parallel.hpp"
#include "prefetch.hpp"
#include "uct.hpp"

namespace rstar_fast {

// One walk under way.
struct Forest::Walk {
    // Index of the walk in the batch.
    std::int32_t entry;
    NodeId node;
    std::int32_t moves_left;
};

// Does the walks of some entries of a batch. Walks in different trees go down side by side, level
// by level: each requests the cache lines of its next level, and the others use theirs meanwhile.
class Forest::Walker {
   public:
    Walker(Forest& forest, std::span<const NodeId> nodes, std::span<const std::int32_t> moves,
           double c, bool claim, std::span<NodeId> reached, std::span<std::int32_t> moves_left)
        : forest_(forest),
          arrays_(forest.nodes_),
          nodes_(nodes),
          moves_(moves),
          c_(c),
          claim_(claim),
          reached_(reached),
          moves_left_(moves_left),
          shortlist_(current_shortlist()) {}

    void walk(std::span<const std::int32_t> order) {
        std::array<Walk, WIDTH> walks;
        std::size_t num_walks = 0, next = 0;
        TreeId last_tree = -1;
        while (num_walks > 0 || next < order.size()) {
            // The second walk in a tree waits until the first has ended, because that may leave
            // nodes terminal or in flight.
            for (; num_walks < WIDTH && next < order.size(); ++next) {
                const TreeId tree = forest_.tree_of(nodes_[static_cast<std::size_t>(order[next])]);
                if (num_walks > 0 && tree <= last_tree) break;
                last_tree = tree;
                if (start(walks[num_walks], order[next])) ++num_walks;
            }
            for (std::size_t i = 0; i < num_walks; ++i) fetch_children(walks[i]);
            std::size_t going_on = 0;
            for (std::size_t i = 0; i < num_walks; ++i)
                if (descend(walks[i])) walks[going_on++] = walks[i];
            num_walks = going_on;
        }
    }

   private:
    static constexpr std::size_t WIDTH = 16;

    // Starts the walk of an entry. Returns whether it goes on.
    bool start(Walk& walk, std::int32_t entry) {
        const auto index = static_cast<std::size_t>(entry);
        walk = {entry, nodes_[index], moves_[index]};
        const std::uint16_t flags = arrays_.state(walk.node) & FLAGS;
        if (flags != 0) return end(walk, flags & TERMINAL ? NO_NODE : BUSY);
        return arrive(walk);
    }

    // Notes the result of a walk. Returns false: the walk does not go on.
    bool end(const Walk& walk, NodeId reached) {
        reached_[static_cast<std::size_t>(walk.entry)] = reached;
        moves_left_[static_cast<std::size_t>(walk.entry)] = walk.moves_left;
        return false;
    }

    // Ends the walk at a node without children or without moves. Returns whether it goes on.
    bool arrive(Walk& walk) {
        if (walk.moves_left == 0) return end(walk, walk.node);
        if (forest_.num_children_of(walk.node) == 0) {
            if (claim_) arrays_.state(walk.node) |= IN_FLIGHT;
            return end(walk, walk.node);
        }
        __builtin_prefetch(
            &std::as_const(arrays_).block(walk.node).first_child[place_of(walk.node).lane]);
        return true;
    }

    void fetch_children(const Walk& walk) {
        const std::int32_t near = std::min(forest_.num_children_of(walk.node), BLOCK);
        for_parts(arrays_, arrays_.first_child(walk.node), near,
                  [](const NodeBlock& block, std::int32_t lane, std::int32_t count, std::int32_t) {
                      prefetch(block.value_sum + lane, count);
                      prefetch(block.visits + lane, count);
                      prefetch(block.state + lane, count);
                  });
    }

    // Goes to the best child, or turns back if none can be selected. Returns whether it goes on.
    bool descend(Walk& walk) {
        const NodeId first = arrays_.first_child(walk.node);
        const std::int32_t best = best_child(arrays_, first, forest_.num_children_of(walk.node),
                                             arrays_.visits(walk.node), c_, shortlist_);
        if (best < 0) return turn_back(walk);
        walk.node = first + best;
        --walk.moves_left;
        return arrive(walk);
    }

    // Marks a node none of whose children can be selected. The walk ends if the node is exhausted,
    // and starts again if it is blocked.
    bool turn_back(Walk& walk) {
        bool exhausted = true;
        const NodeId first = arrays_.first_child(walk.node);
        for (NodeId child = first; child < first + forest_.num_children_of(walk.node); ++child)
            exhausted &= (arrays_.state(child) & TERMINAL) != 0;
        arrays_.state(walk.node) |= exhausted ? TERMINAL : BLOCKED;
        if (exhausted) return end(walk, NO_NODE);
        return start(walk, walk.entry);
    }

    Forest& forest_;
    Arena& arrays_;
    std::span<const NodeId> nodes_;
    std::span<const std::int32_t> moves_;
    double c_;
    bool claim_;
    std::span<NodeId> reached_;
    std::span<std::int32_t> moves_left_;
    Shortlist shortlist_;
};

void Forest::select(std::span<const NodeId> nodes, std::span<const std::int32_t> moves, double c,
                    bool claim, std::span<NodeId> reached, std::span<std::int32_t> moves_left) {
    if (nodes.size() != moves.size())
        throw ForestError(concat("select: ", nodes.size(), " nodes but ", moves.size(), " moves"));
    if (!std::isfinite(c) || c < 0)
        throw ForestError(concat("select: c must be finite and not negative, got ", c));
    check_nodes("select", nodes);
    for (std::size_t i = 0; i < moves.size(); ++i)
        if (moves[i] < 0)
            throw ForestError(
                concat("select: moves must not be negative, got ", moves[i], " at index ", i));

    const TreeOrder order(
        nodes.size(), worthwhile_threads(nodes.size(), threads_),
        [&](std::int32_t entry) { return tree_of(nodes[static_cast<std::size_t>(entry)]); });
    Walker walker(*this, nodes, moves, c, claim, reached, moves_left);
    in_parallel(order.num_parts(), [&](std::size_t part) { walker.walk(order.part(part)); });
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
    for (; node != NO_NODE && nodes_.state(node) & waiting; node = nodes_.parent(node))
        nodes_.state(node) &= static_cast<std::uint16_t>(~waiting);
}

}  // namespace rstar_fast
