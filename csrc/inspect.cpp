#include "forest.hpp"
#include "uct.hpp"

namespace rstar_fast {

template <auto field, class To>
std::vector<To> Forest::copy_tree(const char* call, std::int64_t tree) const {
    const TreeId checked = checked_tree(call, tree);
    std::vector<To> copy;
    copy.reserve(static_cast<std::size_t>(num_nodes_[checked]));
    for_parts(nodes_, root_of(checked), num_nodes_[checked],
              [&](const NodeBlock& block, std::int32_t lane, std::int32_t count, std::int32_t) {
                  copy.insert(copy.end(), block.*field + lane, block.*field + lane + count);
              });
    return copy;
}

std::vector<std::int32_t> Forest::visits(std::int64_t tree) const {
    return copy_tree<&NodeBlock::visits, std::int32_t>("visits", tree);
}

std::vector<double> Forest::value_sums(std::int64_t tree) const {
    return copy_tree<&NodeBlock::value_sum, double>("value_sums", tree);
}

std::vector<NodeId> Forest::parents(std::int64_t tree) const {
    return copy_tree<&NodeBlock::parent, NodeId>("parents", tree);
}

std::vector<std::uint16_t> Forest::states(const char* call, std::int64_t tree) const {
    return copy_tree<&NodeBlock::state, std::uint16_t>(call, tree);
}

std::vector<double> Forest::q(std::int64_t tree) const {
    std::vector<double> q = copy_tree<&NodeBlock::value_sum, double>("q", tree);
    const std::vector<std::int32_t> visits = this->visits(tree);
    for (std::size_t i = 0; i < q.size(); ++i) q[i] = mean_value(q[i], visits[i]);
    return q;
}

std::vector<NodeId> Forest::first_children(std::int64_t tree) const {
    std::vector<NodeId> first = copy_tree<&NodeBlock::first_child, NodeId>("first_children", tree);
    const std::vector<std::uint16_t> states = this->states("first_children", tree);
    for (std::size_t i = 0; i < first.size(); ++i)
        if ((states[i] & MAX_CHILDREN) == 0) first[i] = NO_NODE;
    return first;
}

std::vector<std::int32_t> Forest::num_children(std::int64_t tree) const {
    std::vector<std::int32_t> counts =
        copy_tree<&NodeBlock::state, std::int32_t>("num_children", tree);
    for (std::int32_t& count : counts) count &= MAX_CHILDREN;
    return counts;
}

std::vector<std::int32_t> Forest::draws(std::int64_t tree) const {
    const TreeId checked = checked_tree("draws", tree);
    std::vector<std::int32_t> draws(static_cast<std::size_t>(num_nodes_[checked]), 1);
    if (!is_widened(checked)) return draws;
    const std::vector<Sibling>& siblings = siblings_[static_cast<std::size_t>(checked)];
    for (std::size_t i = 0; i < draws.size(); ++i) draws[i] = siblings[i].draws;
    return draws;
}

std::vector<std::uint8_t> Forest::terminal(std::int64_t tree) const {
    return has_flag("terminal", tree, TERMINAL);
}

std::vector<std::uint8_t> Forest::in_flight(std::int64_t tree) const {
    return has_flag("in_flight", tree, IN_FLIGHT);
}

std::vector<std::uint8_t> Forest::has_flag(const char* call, std::int64_t tree, Flag flag) const {
    std::vector<std::uint8_t> has;
    for (const std::uint16_t state : states(call, tree)) has.push_back((state & flag) != 0);
    return has;
}

}  // namespace rstar_fast
