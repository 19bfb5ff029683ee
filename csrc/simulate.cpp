#include <algorithm>

#include "errors.hpp"
#include "forest.hpp"
#include "parallel.hpp"
#include "walker.hpp"

namespace rstar_fast {

void Forest::simulate(std::span<const NodeId> nodes, std::span<const std::int32_t> counts,
                      std::optional<std::span<const double>> child_values,
                      std::span<const double> values, std::span<const NodeId> starts,
                      std::span<const std::int32_t> moves, double c, bool claim,
                      std::span<NodeId> first_children, std::span<NodeId> reached,
                      std::span<std::int32_t> moves_left) {
    if (nodes.size() != counts.size())
        throw ForestError(
            concat("simulate: ", nodes.size(), " nodes but ", counts.size(), " counts"));
    if (child_values) check_finite("simulate", *child_values);
    check_values("simulate", nodes, values);
    check_walks("simulate", starts, moves, c);
    trees_of("simulate", starts, start_trees_);
    const std::span<const TreeId> trees = trees_of("simulate", nodes);
    const Expansion expansion{nodes, counts, child_values, first_children};
    reserve("simulate", expansion, trees);
    // Lists of siblings and kept values, which selection reads or nobody does before the end.
    end_expansion(expansion, trees);

    const std::span<const TreeId> start_trees = start_trees_;
    order_.arrange(trees, worthwhile_threads(nodes.size(), threads_));
    Walker walker(*this, starts, start_trees, moves, c, claim, {}, reached, moves_left);
    const bool alike = order_.is_ascending() && start_trees_ == batch_trees_;
    if (!alike) {
        make_reserved(expansion, 0, nodes.size(), expansion.values_from(0));
        for (const NodeId node : nodes) end_claim(node);
        give<true>(nodes, trees, values);
        order_.arrange(start_trees, worthwhile_threads(starts.size(), threads_));
        in_parallel(order_.num_parts(), [&](std::size_t part) { walker.walk(order_.part(part)); });
        return;
    }
    // Every entry begins and ends in a tree of its own. So a few of them are done completely before
    // the next ones: what one step brings into the caches is there for the next step.
    constexpr std::size_t GROUP = 128;
    in_parallel(order_.num_parts(), [&](std::size_t part) {
        const std::span<const std::int32_t> entries = order_.part(part);
        if (entries.empty()) return;
        const auto first = static_cast<std::size_t>(entries.front());
        const double* next = expansion.values_from(first);
        for (std::size_t done = 0; done < entries.size(); done += GROUP) {
            const auto group = entries.subspan(done, std::min(GROUP, entries.size() - done));
            next = make_reserved(expansion, first + done, first + done + group.size(), next);
            for (const std::int32_t entry : group)
                end_claim(nodes[static_cast<std::size_t>(entry)]);
            give_entries<true>(group, nodes, trees, values);
            walker.walk(group);
        }
    });
}

}  // namespace rstar_fast
