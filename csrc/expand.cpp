#include <algorithm>
#include <numeric>

#include "errors.hpp"
#include "forest.hpp"
#include "parallel.hpp"
#include "prefetch.hpp"
#include "stream.hpp"
#include "uct.hpp"

namespace rstar_fast {

NodeId Forest::reserve_children(const char* call, std::span<const NodeId> nodes, std::size_t index,
                                TreeId tree, std::int32_t count) {
    const NodeId node = nodes[index];
    if (count < 1 || count > MAX_CHILDREN)
        throw ForestError(concat(call, ": counts must be in 1..", MAX_CHILDREN, ", got ", count,
                                 " at index ", index));
    if (num_children_of(node) > 0) {
        const auto earlier = nodes.first(index);
        if (std::find(earlier.begin(), earlier.end(), node) != earlier.end())
            throw ForestError(concat(call, ": node ", node, " is named twice"));
        throw ForestError(
            concat(call, ": node ", node, " has ", num_children_of(node), " children already"));
    }
    if (nodes_.state(node) & TERMINAL)
        throw ForestError(concat(call, ": node ", node, " is terminal"));
    if (count > nodes_per_tree_ - num_nodes_[tree])
        throw CapacityError(concat(call, ": tree ", tree, " has capacity ", nodes_per_tree_, ", ",
                                   num_nodes_[tree], " nodes in use, got ", count,
                                   " more for node ", node));

    const NodeId first = root_of(tree) + num_nodes_[tree];
    nodes_.first_child(node) = first;
    nodes_.state(node) |= static_cast<std::uint16_t>(count);
    num_nodes_[tree] += count;
    if (is_widened(tree)) siblings_bytes_ += count * std::int64_t{sizeof(Sibling)};
    return first;
}

void Forest::release_children(NodeId node) {
    const TreeId tree = tree_of(node);
    num_nodes_[tree] -= num_children_of(node);
    if (is_widened(tree)) siblings_bytes_ -= num_children_of(node) * std::int64_t{sizeof(Sibling)};
    nodes_.state(node) &= FLAGS;
}

// A reservation changes only the parent's own entry and the size of its tree. A refused batch is
// therefore undone by releasing what was reserved. To reserve first also finds nodes that are named
// twice, and trees that several nodes of the batch would overfill together.
void Forest::reserve(const char* call, const Expansion& expansion, std::span<const TreeId> trees) {
    constexpr std::size_t AHEAD = 16;
    const auto& [nodes, counts, values, first_children] = expansion;
    std::size_t reserved = 0;
    try {
        std::size_t num_children = 0;
        for (; reserved < nodes.size(); ++reserved) {
            if (reserved + AHEAD < nodes.size()) {
                const NodeId ahead = nodes[reserved + AHEAD];
                prefetch_to_write(&nodes_.state(ahead), 1);
                prefetch_to_write(&nodes_.first_child(ahead), 1);
            }
            first_children[reserved] =
                reserve_children(call, nodes, reserved, trees[reserved], counts[reserved]);
            num_children += static_cast<std::size_t>(counts[reserved]);
        }
        if (values && values->size() != num_children)
            throw ForestError(
                concat(call, ": ", num_children, " children but ", values->size(), " values"));
        charge(call, trees);
    } catch (const ForestError&) {
        while (reserved > 0) release_children(nodes[--reserved]);
        throw;
    }
}

const double* Forest::Expansion::values_from(std::size_t index) const {
    if (!values) return nullptr;
    return values->data() + std::accumulate(counts.data(), counts.data() + index, std::int64_t{0});
}

void Forest::make_children(NodeId parent, NodeId first, std::int32_t count, const double* values,
                           const Simd& simd) {
    for_parts(nodes_, first, count,
              [&](NodeBlock& block, std::int32_t lane, std::int32_t here, std::int32_t done) {
                  const double* from = values != nullptr ? values + done : nullptr;
                  if (here == BLOCK)
                      simd.make_block(block, parent, from);
                  else
                      stream_siblings(block, lane, here, parent, from);
              });
}

const double* Forest::make_reserved(const Expansion& expansion, std::size_t begin, std::size_t end,
                                    const double* values) {
    const Simd& simd = current_simd();
    for (std::size_t i = begin; i < end; ++i) {
        make_children(expansion.nodes[i], expansion.first_children[i], expansion.counts[i], values,
                      simd);
        if (values != nullptr) values += expansion.counts[i];
    }
    stream_end();
    return values;
}

void Forest::end_expansion(const Expansion& expansion, std::span<const TreeId> trees) {
    const auto& [nodes, counts, values, first_children] = expansion;
    for (std::size_t i = 0; !siblings_.empty() && i < nodes.size(); ++i)
        if (is_widened(trees[i])) link_children(first_children[i], counts[i]);
    if (!values || !keeps_values()) return;
    const double* next = values->data();
    for (std::size_t i = 0; i < nodes.size(); ++i)
        for (std::int32_t child = 0; child < counts[i]; ++child)
            keep_value(first_children[i] + child, *next++, false);
}

void Forest::expand(std::span<const NodeId> nodes, std::span<const std::int32_t> counts,
                    std::optional<std::span<const double>> values,
                    std::span<NodeId> first_children) {
    if (nodes.size() != counts.size())
        throw ForestError(
            concat("expand: ", nodes.size(), " nodes but ", counts.size(), " counts"));
    if (values) check_finite("expand", *values);
    // Before any tree grows: a node that this call makes is not one that it may expand.
    const std::span<const TreeId> trees = trees_of("expand", nodes);
    const Expansion expansion{nodes, counts, values, first_children};
    reserve("expand", expansion, trees);

    const std::size_t num_parts = worthwhile_threads(nodes.size(), threads_);
    in_parallel(num_parts, [&](std::size_t part) {
        const std::size_t begin = nodes.size() * part / num_parts,
                          end = nodes.size() * (part + 1) / num_parts;
        make_reserved(expansion, begin, end, expansion.values_from(begin));
    });
    for (const NodeId node : nodes) end_claim(node);
    end_expansion(expansion, trees);
}

}  // namespace rstar_fast
