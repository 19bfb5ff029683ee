#include <cmath>

#include "errors.hpp"
#include "forest.hpp"

namespace rstar_fast {

void Forest::check_values(const char* call, std::span<const NodeId> nodes, std::span<const double> values) const {
    if (nodes.size() != values.size()) throw ForestError(concat(call, ": ", nodes.size(), " nodes but ", values.size(), " values"));
    check_nodes(call, nodes);
    for (std::size_t i = 0; i < values.size(); ++i)
        if (!std::isfinite(values[i])) throw ForestError(concat(call, ": values must be finite, got ", values[i], " at index ", i));
}

void Forest::backup(std::span<const NodeId> nodes, std::span<const double> values) {
    check_values("backup", nodes, values);
    for (std::size_t i = 0; i < nodes.size(); ++i)
        for (NodeId node = nodes[i]; node != NO_NODE; node = nodes_.parent[node]) {
            nodes_.value_sum[node] += values[i];
            ++nodes_.visits[node];
        }
}

void Forest::add(std::span<const NodeId> nodes, std::span<const double> values) {
    check_values("add", nodes, values);
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        nodes_.value_sum[nodes[i]] += values[i];
        ++nodes_.visits[nodes[i]];
    }
}

}  // namespace rstar_fast
