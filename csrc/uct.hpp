// The selection formula, and the search for the sibling with its highest value.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "arena.hpp"
#include "simd.hpp"

namespace rstar_fast {

// Q of a node: the mean of its values, 0 if it was never visited.
inline double mean_value(double value_sum, std::int32_t visits) {
    return visits > 0 ? value_sum / visits : 0.0;
}

// ln N_parent, which all children of a parent share. It is 0, which means no exploration, for an
// unvisited parent.
inline double log_visits(std::int32_t parent_visits) {
    return parent_visits > 0 ? std::log(static_cast<double>(parent_visits)) : 0.0;
}

// UCT of one child (rStar-Math, section 3.1): Q + c * sqrt(ln N_parent / N). It is 0 for an
// unvisited child.
inline double uct(double value_sum, std::int32_t visits, double log_parent_visits, double c) {
    if (visits == 0) return 0.0;
    const double n = visits;
    return value_sum / n + c * std::sqrt(log_parent_visits / n);
}

// Names of the instruction sets that this machine can run, fastest first; the one in use; and a
// choice among them. `use_simd_level` throws ForestError for any other name.
std::vector<std::string> simd_levels();
std::string simd_level();
void use_simd_level(const std::string& level);
const Simd& current_simd();

// The child with the highest UCT of those that were offered. The first of equals wins.
struct Best {
    NodeId child = NO_NODE;
    double score = 0.0;

    void offer(NodeId node, double node_score) {
        if (child != NO_NODE && !(node_score > score)) return;
        child = node;
        score = node_score;
    }
};

// Children that stand together in the arena.
struct Family {
    NodeId first;
    std::int32_t count;
    std::int32_t parent_visits;
};

// Most families of one call to `best_children`.
inline constexpr std::size_t MOST_FAMILIES = 32;

// Sets best[k] to the best child of family k. A child with flags is left out. NO_NODE if all have
// flags.
void best_children(const Arena& arena, std::span<const Family> families, double c, const Simd& simd,
                   std::span<NodeId> best);

}  // namespace rstar_fast
