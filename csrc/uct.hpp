// The one selection formula, and the search for its highest value among siblings.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "arena.hpp"
#include "shortlist.hpp"

namespace rstar_fast {

// Q, the mean value of a node; 0 if it was never visited.
inline double mean_value(double value_sum, std::int32_t visits) { return visits > 0 ? value_sum / visits : 0.0; }

// ln of the parent's visits, shared by all of its children; 0 (no exploration) for an unvisited parent.
inline double log_visits(std::int32_t parent_visits) {
    return parent_visits > 0 ? std::log(static_cast<double>(parent_visits)) : 0.0;
}

// UCT of one child (rStar-Math, section 3.1): Q + c * sqrt(ln N_parent / N), where Q is the mean value; 0 for an unvisited child.
inline double uct(double value_sum, std::int32_t visits, double log_parent_visits, double c) {
    if (visits == 0) return 0.0;
    const double n = visits;
    return value_sum / n + c * std::sqrt(log_parent_visits / n);
}

// What this machine can run, best first, and which is used; a name that is not among them is refused with ForestError.
std::vector<std::string> simd_levels();
std::string simd_level();
void use_simd_level(const std::string& level);
Shortlist current_shortlist();

// The index of the child of the highest UCT among `count` from `first`, flagged ones left out, the first of equals; -1 if all are
// flagged.
std::int32_t best_child(const Arena& arena, NodeId first, std::int32_t count, std::int32_t parent_visits, double c,
                        Shortlist shortlist);

}  // namespace rstar_fast
