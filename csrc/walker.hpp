// The walks of a call to `select`.
#pragma once

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "forest.hpp"
#include "prefetch.hpp"
#include "uct.hpp"

namespace rstar_fast {

// One walk under way.
struct Forest::Walk {
    // Index of the walk in the batch.
    std::int32_t entry;
    NodeId node;
    std::int32_t moves_left;
    Path* path;
};

// Does the walks of some entries of a batch. Walks in different trees go down side by side, level
// by level: each requests the cache lines of its next level, and the others use theirs meanwhile.
class Forest::Walker {
   public:
    Walker(Forest& forest, std::span<const NodeId> nodes, std::span<const TreeId> trees,
           std::span<const std::int32_t> moves, double c, bool claim, const Widening& widening,
           std::span<NodeId> reached, std::span<std::int32_t> moves_left)
        : forest_(forest),
          arrays_(forest.nodes_),
          nodes_(nodes),
          trees_(trees),
          moves_(moves),
          c_(c),
          claim_(claim),
          widening_(widening),
          reached_(reached),
          moves_left_(moves_left),
          simd_(current_simd()) {}

    void walk(std::span<const std::int32_t> order) {
        std::array<Walk, WIDTH> walks;
        std::array<NodeId, WIDTH> best;
        std::size_t num_walks = 0, next = 0;
        TreeId last_tree = -1;
        while (num_walks > 0 || next < order.size()) {
            // The second walk in a tree waits until the first has ended, because that may leave
            // nodes terminal or in flight.
            for (; num_walks < WIDTH && next < order.size(); ++next) {
                const TreeId tree = trees_[static_cast<std::size_t>(order[next])];
                if (num_walks > 0 && tree <= last_tree) break;
                last_tree = tree;
                if (next + WIDTH < order.size())
                    fetch(nodes_[static_cast<std::size_t>(order[next + WIDTH])]);
                if (start(walks[num_walks], order[next])) ++num_walks;
            }
            for (std::size_t i = 0; i < num_walks; ++i) fetch_children(walks[i]);
            find_best({walks.data(), num_walks}, best);
            std::size_t going_on = 0;
            for (std::size_t i = 0; i < num_walks; ++i)
                if (descend(walks[i], best[i])) walks[going_on++] = walks[i];
            num_walks = going_on;
        }
    }

   private:
    static constexpr std::size_t WIDTH = MOST_FAMILIES;

    // Starts the walk of an entry. Returns whether it goes on.
    bool start(Walk& walk, std::int32_t entry) {
        const auto index = static_cast<std::size_t>(entry);
        walk = {entry, nodes_[index], moves_[index],
                &forest_.paths_[static_cast<std::size_t>(trees_[index])]};
        walk.path->begin(walk.node);
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

    std::int32_t draws_at(NodeId node) const {
        std::int32_t draws = 0;
        forest_.for_children(node, [&](NodeId, std::int32_t of_child) { draws += of_child; });
        return draws;
    }

    // Whether a walk with moves left ends at this node.
    bool wants_children(NodeId node) const {
        if (widening_.factor > 0)
            return widening_.is_due(draws_at(node), std::as_const(arrays_).visits(node));
        return forest_.num_children_of(node) == 0;
    }

    // Ends the walk at a node without children or without moves. Returns whether it goes on.
    bool arrive(Walk& walk) {
        if (walk.moves_left == 0) return end(walk, walk.node);
        if (wants_children(walk.node)) {
            if (claim_) arrays_.state(walk.node) |= IN_FLIGHT;
            // Its expansion writes this.
            prefetch_to_write(&arrays_.first_child(walk.node), 1);
            return end(walk, walk.node);
        }
        __builtin_prefetch(
            &std::as_const(arrays_).block(walk.node).first_child[place_of(walk.node).lane]);
        return true;
    }

    // Requests what a walk reads first.
    void fetch(NodeId node) const {
        __builtin_prefetch(&std::as_const(arrays_).block(node).state[place_of(node).lane]);
        __builtin_prefetch(&std::as_const(arrays_).block(node).first_child[place_of(node).lane]);
        __builtin_prefetch(&std::as_const(arrays_).block(node).visits[place_of(node).lane]);
    }

    void fetch_children(const Walk& walk) {
        if (!forest_.siblings_.empty()) return;
        const std::int32_t near = std::min(forest_.num_children_of(walk.node), BLOCK);
        for_parts(arrays_, arrays_.first_child(walk.node), near,
                  [](const NodeBlock& block, std::int32_t lane, std::int32_t count, std::int32_t) {
                      prefetch(block.value_sum + lane, count);
                      prefetch(block.visits + lane, count);
                      prefetch(block.state + lane, count);
                  });
    }

    // Goes to the best child, or turns back if none can be selected. Returns whether it goes on.
    bool descend(Walk& walk, NodeId best) {
        if (best == NO_NODE) return turn_back(walk);
        walk.node = best;
        walk.path->go_to(best);
        --walk.moves_left;
        return arrive(walk);
    }

    // Sets best[i] to the best child without flags below walk i, or NO_NODE.
    void find_best(std::span<const Walk> walks, std::span<NodeId> best) const {
        std::array<Family, WIDTH> families;
        const auto in_list = [&](NodeId node) { return forest_.is_widened(forest_.tree_of(node)); };
        for (std::size_t i = 0; i < walks.size(); ++i) {
            const NodeId node = walks[i].node;
            // A family of none costs nothing.
            const std::int32_t count = in_list(node) ? 0 : forest_.num_children_of(node);
            families[i] = {arrays_.first_child(node), count, arrays_.visits(node)};
        }
        best_children(arrays_, {families.data(), walks.size()}, c_, simd_, best);
        for (std::size_t i = 0; !forest_.siblings_.empty() && i < walks.size(); ++i)
            if (in_list(walks[i].node)) best[i] = best_in_list(walks[i].node);
    }

    NodeId best_in_list(NodeId node) const {
        const double log_parent_visits = log_visits(arrays_.visits(node));
        Best best;
        forest_.for_children(node, [&](NodeId child, std::int32_t) {
            if (arrays_.state(child) & FLAGS) return;
            best.offer(child,
                       uct(arrays_.value_sum(child), arrays_.visits(child), log_parent_visits, c_));
        });
        return best.child;
    }

    // Marks a node none of whose children can be selected. The walk ends if the node is exhausted,
    // and starts again if it is blocked. With widening, a node whose children are all terminal is
    // exhausted once it may have no more of them, and the walk starts again. Before that the walk
    // ends there, without a move.
    bool turn_back(Walk& walk) {
        bool all_terminal = true;
        forest_.for_children(walk.node, [&](NodeId child, std::int32_t) {
            all_terminal &= (arrays_.state(child) & TERMINAL) != 0;
        });
        if (widening_.factor > 0 && all_terminal && draws_at(walk.node) < widening_.max_draws) {
            walk.moves_left = 0;
            return end(walk, walk.node);
        }
        arrays_.state(walk.node) |= all_terminal ? TERMINAL : BLOCKED;
        if (widening_.factor == 0 && all_terminal) return end(walk, NO_NODE);
        return start(walk, walk.entry);
    }

    Forest& forest_;
    Arena& arrays_;
    std::span<const NodeId> nodes_;
    std::span<const TreeId> trees_;
    std::span<const std::int32_t> moves_;
    double c_;
    bool claim_;
    Widening widening_;
    std::span<NodeId> reached_;
    std::span<std::int32_t> moves_left_;
    const Simd& simd_;
};

}  // namespace rstar_fast
