// The trees: what can be done to the nodes of arena.hpp.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "arena.hpp"

namespace rstar_fast {

inline constexpr std::int64_t NO_LIMIT = std::numeric_limits<std::int64_t>::max();

// Every method that can refuse checks its whole batch before it changes anything, and throws ForestError or CapacityError.
// Spans of one call have equal lengths. Not thread-safe: the bindings hold a lock around each call.
class Forest {
   public:
    Forest(std::int64_t max_trees, std::int64_t nodes_per_tree, std::int64_t memory_limit_bytes, bool keep_values);

    std::int32_t max_trees() const { return max_trees_; }
    std::int32_t nodes_per_tree() const { return nodes_per_tree_; }
    std::int32_t num_trees() const { return num_trees_; }
    bool keeps_values() const { return !given_.empty(); }

    // Most threads of one call; no result depends on it.
    std::int32_t threads() const { return threads_; }
    void set_threads(std::int64_t threads);

    // memory.cpp: what the nodes take, to whole pages, and the most they may.
    std::int64_t memory_bytes() const { return std::min(slots_bytes_, nodes_.reserved_bytes()); }
    std::int64_t memory_limit_bytes() const { return memory_limit_bytes_; }

    // Trees of a single, unexpanded, unvisited root each; the lowest free slots are taken first.
    std::vector<TreeId> new_trees(std::int64_t count);
    void free_trees(std::span<const TreeId> trees);
    NodeId root(std::int64_t tree) const { return root_of(checked_tree("root", tree)); }
    std::int32_t num_nodes(std::int64_t tree) const { return num_nodes_[checked_tree("num_nodes", tree)]; }

    // Gives nodes[i] counts[i] children; first_children[i] is the id of the first of them. With `values`, one for every child in
    // that order, the children start with those as `add` would give them.
    void expand(std::span<const NodeId> nodes, std::span<const std::int32_t> counts, std::optional<std::span<const double>> values,
                std::span<NodeId> first_children);
    void set_terminal(std::span<const NodeId> nodes);
    // Takes back the claims of `select`.
    void release(std::span<const NodeId> nodes);

    // select.cpp: walks down from nodes[i] by UCT (see uct.hpp) for at most moves[i] steps, to reached[i].
    void select(std::span<const NodeId> nodes, std::span<const std::int32_t> moves, double c, bool claim, std::span<NodeId> reached,
                std::span<std::int32_t> moves_left);

    // backup.cpp: adds values[i] and a visit to nodes[i]; backup also to every ancestor. In order, so repeats are fine.
    void backup(std::span<const NodeId> nodes, std::span<const double> values);
    void add(std::span<const NodeId> nodes, std::span<const double> values);

    // compact.cpp: drop nodes of one tree and close the gaps; the new id of every node the tree had, NO_NODE if it was dropped.
    std::vector<NodeId> reroot(std::int64_t node);
    std::vector<NodeId> prune(std::span<const NodeId> nodes);

    // inspect.cpp: copies of one tree's statistics in id order, num_nodes(tree) entries each.
    std::vector<std::int32_t> visits(std::int64_t tree) const;
    std::vector<double> value_sums(std::int64_t tree) const;
    std::vector<double> q(std::int64_t tree) const;
    std::vector<NodeId> parents(std::int64_t tree) const;
    std::vector<NodeId> first_children(std::int64_t tree) const;
    std::vector<std::int32_t> num_children(std::int64_t tree) const;
    std::vector<std::uint8_t> terminal(std::int64_t tree) const;
    std::vector<std::uint8_t> in_flight(std::int64_t tree) const;

    // verify.cpp: throws InternalError that says what is wrong, if anything is.
    void verify() const;

    // persist.cpp: a file is written beside its final name and moved there once it is whole.
    void save(const std::string& path) const;
    static Forest load(const std::string& path, std::int64_t memory_limit_bytes);
    std::vector<char> to_bytes(const char* call) const;
    // `source` names the bytes in errors.
    static Forest from_bytes(const std::string& source, std::span<const char> bytes, std::int64_t memory_limit_bytes);

   private:
    // A value that `add` or, upward, `backup` gave a node: kept where verify is to replay them.
    struct Given {
        double value;
        NodeId node;
        std::uint32_t upward;
    };
    static_assert(sizeof(Given) == 16);

    NodeId root_of(TreeId tree) const { return tree * nodes_per_tree_; }
    // node / nodes_per_tree_ by a product: exact, as both are below 2^31 and the inverse is 2^63 / nodes_per_tree_ rounded up.
    TreeId tree_of(NodeId node) const {
        __extension__ using Wide = unsigned __int128;
        return static_cast<TreeId>(Wide{inverse_nodes_per_tree_} * static_cast<std::uint32_t>(node) >> 63);
    }
    std::int32_t num_children_of(NodeId node) const { return nodes_.state(node) & MAX_CHILDREN; }
    bool in_use(NodeId node) const {
        if (node < 0 || node >= capacity()) return false;
        const TreeId tree = tree_of(node);
        return node - root_of(tree) < num_nodes_[tree];
    }
    std::int32_t capacity() const { return max_trees_ * nodes_per_tree_; }

    TreeId checked_tree(const char* call, std::int64_t tree) const;
    void check_nodes(const char* call, std::span<const NodeId> nodes) const;
    static void check_finite(const char* call, std::span<const double> values);
    void check_values(const char* call, std::span<const NodeId> nodes, std::span<const double> values) const;
    [[noreturn]] void refuse_node(const char* call, std::size_t index, NodeId node) const;

    NodeId reserve_children(std::span<const NodeId> nodes, std::size_t index, std::int32_t count);
    void release_children(NodeId node);
    void make_children(NodeId parent, NodeId first, std::int32_t count, const double* values);
    // Takes the flags IN_FLIGHT and BLOCKED from a node, and BLOCKED from the ancestors that it blocked.
    void end_claim(NodeId node);

    // select.cpp
    struct Walk;
    class Walker;

    template <bool upward>
    void give(std::span<const NodeId> nodes, std::span<const double> values);
    const std::vector<Given>& given_of(TreeId tree) const { return given_[static_cast<std::size_t>(tree)]; }
    void keep_value(NodeId node, double value, bool upward) {
        given_[static_cast<std::size_t>(tree_of(node))].push_back({value, node, upward});
    }
    void keep_children_values(std::span<const NodeId> first_children, std::span<const std::int32_t> counts,
                              std::span<const double> values);

    // compact.cpp
    std::vector<NodeId> compact(const char* call, TreeId tree, const std::vector<bool>& kept);
    void compact_given(TreeId tree, std::span<const NodeId> new_ids);

    // memory.cpp
    std::int64_t slot_bytes(TreeId tree, std::int32_t num_nodes) const;
    // Accounts for the growth of the trees of these nodes; throws CapacityError, with nothing accounted for, if they pass the
    // limit.
    void charge(const char* call, std::span<const NodeId> nodes);
    void return_free_slots();

    template <auto field, class To>
    std::vector<To> copy_tree(const char* call, std::int64_t tree) const;
    std::vector<std::uint16_t> states(const char* call, std::int64_t tree) const;
    std::vector<std::uint8_t> has_flag(const char* call, std::int64_t tree, Flag flag) const;

    // verify.cpp: what is wrong with a tree's links and ranges, its claims, its sums; empty if nothing is.
    std::string tree_fault(TreeId tree) const;
    std::string claim_fault(TreeId tree) const;
    std::string replay_fault(TreeId tree) const;

    std::int32_t max_trees_;
    std::int32_t nodes_per_tree_;
    std::uint64_t inverse_nodes_per_tree_;
    std::int32_t threads_ = 1;
    std::int32_t num_trees_ = 0;
    TreeId lowest_free_ = 0;        // no slot below this one is free
    std::int64_t slots_bytes_ = 0;  // sum of slot_bytes of all slots at their most_nodes_
    std::int64_t memory_limit_bytes_;
    Arena nodes_;
    std::vector<std::int32_t> num_nodes_;
    std::vector<std::int32_t> most_nodes_;   // of each slot, since its memory was last returned
    std::vector<std::vector<Given>> given_;  // of each tree; empty if values are not kept
};

}  // namespace rstar_fast
