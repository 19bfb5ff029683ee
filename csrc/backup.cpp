#include <cmath>

#include "errors.hpp"
#include "forest.hpp"
#include "parallel.hpp"
#include "prefetch.hpp"
#include "uct.hpp"

namespace rstar_fast {

void Forest::check_finite(const char* call, std::span<const double> values) {
    if (current_simd().all_finite(values.data(), values.size())) return;
    for (std::size_t i = 0; i < values.size(); ++i)
        if (!std::isfinite(values[i]))
            throw ForestError(
                concat(call, ": values must be finite, got ", values[i], " at index ", i));
}

void Forest::check_values(const char* call, std::span<const NodeId> nodes,
                          std::span<const double> values) {
    if (nodes.size() != values.size())
        throw ForestError(
            concat(call, ": ", nodes.size(), " nodes but ", values.size(), " values"));
    check_finite(call, values);
}

template <bool upward>
void Forest::give_entries(std::span<const std::int32_t> entries, std::span<const NodeId> nodes,
                          std::span<const TreeId> trees, std::span<const double> values) {
    // Far enough ahead for a cache line to arrive from memory, near enough for it to stay in the
    // first cache.
    constexpr std::size_t AHEAD = 16;
    for (std::size_t i = 0; i < entries.size(); ++i) {
        if (i + AHEAD < entries.size()) {
            const NodeId ahead = nodes[static_cast<std::size_t>(entries[i + AHEAD])];
            prefetch(&nodes_.value_sum(ahead), 1);
            prefetch(&nodes_.visits(ahead), 1);
        }
        const auto entry = static_cast<std::size_t>(entries[i]);
        const double value = values[entry];
        NodeId node = nodes[entry];
        if (keeps_values()) keep_value(node, value, upward);
        const auto add_to = [&](NodeId to) {
            nodes_.value_sum(to) += value;
            ++nodes_.visits(to);
        };
        if constexpr (!upward) {
            add_to(node);
            continue;
        }
        if (const Path& path = paths_[static_cast<std::size_t>(trees[entry])];
            path.leads_to(node)) {
            for (std::int32_t k = path.length; k > 0; --k) add_to(path.nodes[k - 1]);
            node = path.start;
        }
        for (; node != NO_NODE; node = nodes_.parent(node)) add_to(node);
    }
}

template <bool upward>
void Forest::give(std::span<const NodeId> nodes, std::span<const TreeId> trees,
                  std::span<const double> values) {
    order_.arrange(trees, worthwhile_threads(nodes.size(), threads_));
    in_parallel(order_.num_parts(), [&](std::size_t part) {
        give_entries<upward>(order_.part(part), nodes, trees, values);
    });
}

// simulate.cpp uses both.
template void Forest::give_entries<true>(std::span<const std::int32_t>, std::span<const NodeId>,
                                         std::span<const TreeId>, std::span<const double>);
template void Forest::give<true>(std::span<const NodeId>, std::span<const TreeId>,
                                 std::span<const double>);

void Forest::backup(std::span<const NodeId> nodes, std::span<const double> values) {
    check_values("backup", nodes, values);
    give<true>(nodes, trees_of("backup", nodes), values);
}

void Forest::add(std::span<const NodeId> nodes, std::span<const double> values) {
    check_values("add", nodes, values);
    give<false>(nodes, trees_of("add", nodes), values);
}

}  // namespace rstar_fast
