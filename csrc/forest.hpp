// The trees and every operation on their nodes. arena.hpp shows how the nodes are stored.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "arena.hpp"
#include "path.hpp"
#include "siblings.hpp"
#include "simd.hpp"
#include "tree_order.hpp"

namespace rstar_fast {

inline constexpr std::int64_t NO_LIMIT = std::numeric_limits<std::int64_t>::max();

// A method that can refuse checks its whole batch before it changes anything. It throws ForestError
// or CapacityError. Spans of one call have equal lengths. The class is not thread-safe: the
// bindings hold a lock around each call. The full meaning of every method is in
// rstar_fast/_core.pyi.
class Forest {
   public:
    Forest(std::int64_t max_trees, std::int64_t nodes_per_tree, std::int64_t memory_limit_bytes,
           bool keep_values);

    std::int32_t max_trees() const { return max_trees_; }
    std::int32_t nodes_per_tree() const { return nodes_per_tree_; }
    std::int32_t num_trees() const { return num_trees_; }
    bool keeps_values() const { return !given_.empty(); }

    // Number of threads that one call may use. No result depends on it.
    std::int32_t threads() const { return threads_; }
    void set_threads(std::int64_t threads);

    // memory.cpp: bytes that the nodes take, in whole pages, and those of lists of siblings; and
    // the limit of that.
    std::int64_t memory_bytes() const {
        return std::min(slots_bytes_, nodes_.reserved_bytes()) + siblings_bytes_;
    }
    std::int64_t memory_limit_bytes() const { return memory_limit_bytes_; }

    // Makes trees that consist of one unvisited root each, in the lowest free slots.
    std::vector<TreeId> new_trees(std::int64_t count);
    void free_trees(std::span<const TreeId> trees);
    NodeId root(std::int64_t tree) const { return root_of(checked_tree("root", tree)); }
    std::int32_t num_nodes(std::int64_t tree) const {
        return num_nodes_[checked_tree("num_nodes", tree)];
    }

    // Gives nodes[i] counts[i] children. Sets first_children[i] to the id of the first one.
    // `values` has one value per child, in the order of the ids; each is added to its child as by
    // `add`.
    void expand(std::span<const NodeId> nodes, std::span<const std::int32_t> counts,
                std::optional<std::span<const double>> values, std::span<NodeId> first_children);
    // widen.cpp: gives each node one more child and sets children[i] to its id; counts one more
    // draw of each node, which is no root.
    void append(std::span<const NodeId> nodes, std::span<NodeId> children);
    void redraw(std::span<const NodeId> nodes);
    void set_terminal(std::span<const NodeId> nodes);
    // Ends the claims that `select` made on these nodes.
    void release(std::span<const NodeId> nodes);

    // select.cpp: walks down from nodes[i] by UCT (uct.hpp), at most moves[i] steps. Sets
    // reached[i] to the last node and moves_left[i] to the steps that were not taken.
    void select(std::span<const NodeId> nodes, std::span<const std::int32_t> moves, double c,
                bool claim, const Widening& widening, std::span<NodeId> reached,
                std::span<std::int32_t> moves_left);

    // simulate.cpp: `expand`, `backup` of the same nodes and then `select` from `starts`.
    void simulate(std::span<const NodeId> nodes, std::span<const std::int32_t> counts,
                  std::optional<std::span<const double>> child_values,
                  std::span<const double> values, std::span<const NodeId> starts,
                  std::span<const std::int32_t> moves, double c, bool claim,
                  std::span<NodeId> first_children, std::span<NodeId> reached,
                  std::span<std::int32_t> moves_left);

    // backup.cpp: adds values[i] and a visit to nodes[i]. `backup` adds them to every ancestor too.
    // The entries are added in order, and a node may be named more than once.
    void backup(std::span<const NodeId> nodes, std::span<const double> values);
    void add(std::span<const NodeId> nodes, std::span<const double> values);

    // compact.cpp: forgets nodes of one tree and closes the gaps. Returns the new id of every node
    // that the tree had, NO_NODE for a forgotten one.
    std::vector<NodeId> reroot(std::int64_t node);
    std::vector<NodeId> prune(std::span<const NodeId> nodes);

    // inspect.cpp: copies of one tree's fields in the order of the ids, num_nodes(tree) entries
    // each.
    std::vector<std::int32_t> visits(std::int64_t tree) const;
    std::vector<double> value_sums(std::int64_t tree) const;
    std::vector<double> q(std::int64_t tree) const;
    std::vector<NodeId> parents(std::int64_t tree) const;
    std::vector<NodeId> first_children(std::int64_t tree) const;
    std::vector<std::int32_t> num_children(std::int64_t tree) const;
    std::vector<std::int32_t> draws(std::int64_t tree) const;
    std::vector<std::uint8_t> terminal(std::int64_t tree) const;
    std::vector<std::uint8_t> in_flight(std::int64_t tree) const;

    // verify.cpp: throws InternalError, which names the fault, if anything is inconsistent.
    void verify() const;

    // persist.cpp: a file is written under a temporary name and renamed once it is complete.
    void save(const std::string& path) const;
    static Forest load(const std::string& path, std::int64_t memory_limit_bytes);
    std::vector<char> to_bytes(const char* call) const;
    // Error messages call the bytes `source`.
    static Forest from_bytes(const std::string& source, std::span<const char> bytes,
                             std::int64_t memory_limit_bytes);

   private:
    // A value that was added to a node, by `backup` (upward = 1) or by `add` (upward = 0). Kept so
    // that `verify` can add all values up again.
    struct Given {
        double value;
        NodeId node;
        std::uint32_t upward;
    };
    static_assert(sizeof(Given) == 16);

    NodeId root_of(TreeId tree) const { return tree * nodes_per_tree_; }
    // Computes node / nodes_per_tree_ as a product, which is faster. The result is exact: both
    // numbers are below 2^31 and the inverse is 2^63 / nodes_per_tree_, rounded up.
    TreeId tree_of(NodeId node) const {
        __extension__ using Wide = unsigned __int128;
        return static_cast<TreeId>(
            Wide{inverse_nodes_per_tree_} * static_cast<std::uint32_t>(node) >> 63);
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
    // Checks the nodes and returns the tree of each. The span is valid until the next call.
    std::span<const TreeId> trees_of(const char* call, std::span<const NodeId> nodes) {
        trees_of(call, nodes, batch_trees_);
        return batch_trees_;
    }
    void trees_of(const char* call, std::span<const NodeId> nodes,
                  std::vector<TreeId>& trees) const;
    static void check_finite(const char* call, std::span<const double> values);
    static void check_values(const char* call, std::span<const NodeId> nodes,
                             std::span<const double> values);
    [[noreturn]] void refuse_node(const char* call, std::size_t index, NodeId node) const;

    // The arguments of `expand`.
    struct Expansion {
        std::span<const NodeId> nodes;
        std::span<const std::int32_t> counts;
        std::optional<std::span<const double>> values;
        std::span<NodeId> first_children;

        // The values from that of the first child of nodes[index] on; null without values.
        const double* values_from(std::size_t index) const;
    };
    // Gives the children their ids, or throws and changes nothing.
    void reserve(const char* call, const Expansion& expansion, std::span<const TreeId> trees);
    NodeId reserve_children(const char* call, std::span<const NodeId> nodes, std::size_t index,
                            TreeId tree, std::int32_t count);
    void release_children(NodeId node);
    // Makes the reserved children of the nodes with the indices `begin` to `end`. `values` has
    // those of the first one. Returns the values of the next node.
    const double* make_reserved(const Expansion& expansion, std::size_t begin, std::size_t end,
                                const double* values);
    void make_children(NodeId parent, NodeId first, std::int32_t count, const double* values,
                       const Simd& simd);
    // What remains to do of an expansion, apart from claims.
    void end_expansion(const Expansion& expansion, std::span<const TreeId> trees);

    // Whether the siblings of a tree are kept as lists, because `append` or `redraw` was called.
    bool is_widened(TreeId tree) const {
        return !siblings_.empty() && !siblings_[static_cast<std::size_t>(tree)].empty();
    }
    const Sibling& sibling(NodeId node) const {
        const TreeId tree = tree_of(node);
        return siblings_[static_cast<std::size_t>(tree)]
                        [static_cast<std::size_t>(node - root_of(tree))];
    }
    Sibling& sibling(NodeId node) {
        return const_cast<Sibling&>(std::as_const(*this).sibling(node));
    }
    // Calls work(child, draws of the child) for each child in the order of the ids.
    template <class Work>
    void for_children(NodeId node, const Work& work) const {
        const std::int32_t count = num_children_of(node);
        NodeId child = nodes_.first_child(node);
        if (!is_widened(tree_of(node))) {
            for (const NodeId end = child + count; child < end; ++child) work(child, 1);
            return;
        }
        for (std::int32_t i = 0; i < count; ++i) {
            const Sibling& links = sibling(child);
            work(child, links.draws);
            child = links.next;
        }
    }
    void begin_widening(TreeId tree);
    void end_widening(TreeId tree);
    NodeId reserve_child(NodeId node, std::size_t index);
    void link_children(NodeId first, std::int32_t count);
    void link_last(NodeId node, NodeId child);
    void compact_siblings(TreeId tree, std::span<const NodeId> new_ids);
    std::string siblings_fault(TreeId tree) const;

    // Clears IN_FLIGHT and BLOCKED of a node, and BLOCKED of the ancestors that it blocked.
    void end_claim(NodeId node);

    static void check_walks(const char* call, std::span<const NodeId> nodes,
                            std::span<const std::int32_t> moves, double c);
    // walker.hpp
    struct Walk;
    class Walker;

    template <bool upward>
    void give(std::span<const NodeId> nodes, std::span<const TreeId> trees,
              std::span<const double> values);
    // Adds to the nodes that these entries name, in order.
    template <bool upward>
    void give_entries(std::span<const std::int32_t> entries, std::span<const NodeId> nodes,
                      std::span<const TreeId> trees, std::span<const double> values);
    const std::vector<Given>& given_of(TreeId tree) const {
        return given_[static_cast<std::size_t>(tree)];
    }
    void keep_value(NodeId node, double value, bool upward) {
        given_[static_cast<std::size_t>(tree_of(node))].push_back({value, node, upward});
    }
    void keep_children_values(std::span<const NodeId> first_children,
                              std::span<const std::int32_t> counts, std::span<const double> values);

    // compact.cpp
    std::vector<NodeId> compact(const char* call, TreeId tree, const std::vector<bool>& kept);
    void compact_given(TreeId tree, std::span<const NodeId> new_ids);

    // memory.cpp
    std::int64_t slot_bytes(TreeId tree, std::int32_t num_nodes) const;
    // Adds the growth of these trees to the account of memory. Throws CapacityError and leaves the
    // account as it was if the limit would be passed.
    void charge(const char* call, std::span<const TreeId> trees);
    void return_free_slots();

    template <auto field, class To>
    std::vector<To> copy_tree(const char* call, std::int64_t tree) const;
    std::vector<std::uint16_t> states(const char* call, std::int64_t tree) const;
    std::vector<std::uint8_t> has_flag(const char* call, std::int64_t tree, Flag flag) const;

    // verify.cpp: the first fault in a tree's links and ranges, in its claims, in its sums. Empty
    // if there is none.
    std::string tree_fault(TreeId tree) const;
    std::string claim_fault(TreeId tree) const;
    std::string replay_fault(TreeId tree) const;

    std::int32_t max_trees_;
    std::int32_t nodes_per_tree_;
    std::uint64_t inverse_nodes_per_tree_;
    std::int32_t threads_ = 1;
    std::int32_t num_trees_ = 0;
    // Every slot below this one is in use.
    TreeId lowest_free_ = 0;
    // Sum over all slots of slot_bytes(slot, most_nodes_[slot]).
    std::int64_t slots_bytes_ = 0;
    std::int64_t siblings_bytes_ = 0;
    std::int64_t memory_limit_bytes_;
    Arena nodes_;
    std::vector<std::int32_t> num_nodes_;
    // The most nodes that each slot has held since its memory was last given back.
    std::vector<std::int32_t> most_nodes_;
    // One path for every slot up to the highest that was ever in use.
    std::vector<Path> paths_;
    // The lists of siblings of each widened tree. Empty before the first tree is widened.
    std::vector<std::vector<Sibling>> siblings_;
    // The values given to each tree's nodes. Empty if values are not kept.
    std::vector<std::vector<Given>> given_;
    // Used by one call after another.
    std::vector<TreeId> batch_trees_;
    std::vector<TreeId> start_trees_;
    TreeOrder order_;
};

}  // namespace rstar_fast
