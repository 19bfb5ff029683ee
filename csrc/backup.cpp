#include <cmath>

#include "errors.hpp"
#include "forest.hpp"
#include "parallel.hpp"
#include "prefetch.hpp"

namespace rstar_fast {

void Forest::check_finite(const char* call, std::span<const double> values) {
    bool finite = true;
    for (const double value : values)
        finite &= std::abs(value) <= std::numeric_limits<double>::max();
    if (finite) return;
    for (std::size_t i = 0; i < values.size(); ++i)
        if (!std::isfinite(values[i]))
            throw ForestError(
                concat(call, ": values must be finite, got ", values[i], " at index ", i));
}

void Forest::check_values(const char* call, std::span<const NodeId> nodes,
                          std::span<const double> values) const {
    if (nodes.size() != values.size())
        throw ForestError(
            concat(call, ": ", nodes.size(), " nodes but ", values.size(), " values"));
    check_nodes(call, nodes);
    check_finite(call, values);
}

template <bool upward>
void Forest::give(std::span<const NodeId> nodes, std::span<const double> values) {
    // Far enough ahead for a cache line to arrive from memory, near enough for it to stay in the
    // first cache.
    constexpr std::size_t AHEAD = 16;
    const TreeOrder order(
        nodes.size(), worthwhile_threads(nodes.size(), threads_),
        [&](std::int32_t entry) { return tree_of(nodes[static_cast<std::size_t>(entry)]); });
    in_parallel(order.num_parts(), [&](std::size_t part) {
        const std::span<const std::int32_t> entries = order.part(part);
        for (std::size_t i = 0; i < entries.size(); ++i) {
            if (i + AHEAD < entries.size()) {
                const NodeId ahead = nodes[static_cast<std::size_t>(entries[i + AHEAD])];
                prefetch(&nodes_.value_sum(ahead), 1);
                prefetch(&nodes_.visits(ahead), 1);
                if (upward) prefetch(&nodes_.parent(ahead), 1);
            }
            const auto entry = static_cast<std::size_t>(entries[i]);
            const double value = values[entry];
            NodeId node = nodes[entry];
            if (keeps_values()) keep_value(node, value, upward);
            do {
                nodes_.value_sum(node) += value;
                ++nodes_.visits(node);
                node = upward ? nodes_.parent(node) : NO_NODE;
            } while (node != NO_NODE);
        }
    });
}

void Forest::backup(std::span<const NodeId> nodes, std::span<const double> values) {
    check_values("backup", nodes, values);
    give<true>(nodes, values);
}

void Forest::add(std::span<const NodeId> nodes, std::span<const double> values) {
    check_values("add", nodes, values);
    give<false>(nodes, values);
}

}  // namespace rstar_fast
