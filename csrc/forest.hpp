// All nodes of all trees, in flat arrays indexed by one 32-bit node id.
//
//   tree             0                         1                         2
//   num_nodes        6                         0 (a free slot)           3                       i32 [max_trees]
//
//   node id        | 0  1  2  3  4  5  .  .  | .  .  .  .  .  .  .  .  | 16 17 18 .  .  .  .  .  | of 3 trees * 8 nodes_per_tree
//                    ^  \_____/  \__/                                    ^  \__/
//                    root  |      children of 2                         root   children of 16
//                          children of 0
//
//   value_sum     [ f64 ]   the values added to the node, summed in the order they came            8 bytes a node \ 16 bytes of
//   visits        [ i32 ]   how many values were added                                             4              | statistics
//   first_child   [ i32 ]   id of the first child; read only where num_children > 0                4              /
//   parent        [ i32 ]   id of the parent, NO_NODE at a root                                    4
//   num_children  [ u16 ]   0 = not expanded                                                       2
//   flags         [ u8  ]   see Flag                                                               1
//                                                                                                 23 in all
//
// A tree takes ids from the front of its own range, in order, so they don't depend on other trees. Siblings are made by one
// expansion: they are contiguous and come after their parent, and a scan over them reads value_sum, visits and flags front to
// back. A free id is all zero bytes in every array: the storage comes zeroed from the operating system, page by page as it is
// first touched, and freeing a tree zeroes what it used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <vector>

namespace rstar_fast {

using NodeId = std::int32_t;
using TreeId = std::int32_t;

// No such node: a root's parent, an unexpanded node's first child, the end of an exhausted walk.
inline constexpr NodeId NO_NODE = -1;

inline constexpr std::int64_t MAX_NODES = std::numeric_limits<NodeId>::max();
inline constexpr std::int32_t MAX_CHILDREN = std::numeric_limits<std::uint16_t>::max();

enum Flag : std::uint8_t {
    TERMINAL = 1,  // never selected again: an end of the search, or all children are terminal
};
inline constexpr std::uint8_t KNOWN_FLAGS = TERMINAL;

// Storage that is zero at the start, costs memory only where it was written, and never moves.
template <class T>
class ZeroedArray {
   public:
    explicit ZeroedArray(std::size_t size) : data_(static_cast<T*>(std::calloc(size, sizeof(T)))) {
        if (!data_) throw std::bad_alloc();
    }
    // Signed, so that node and tree ids index without a cast.
    T& operator[](std::int64_t i) { return data_.get()[i]; }
    const T& operator[](std::int64_t i) const { return data_.get()[i]; }

   private:
    struct Free {
        void operator()(T* data) const { std::free(data); }
    };
    std::unique_ptr<T, Free> data_;
};

struct NodeArrays {
    explicit NodeArrays(std::size_t capacity)
        : value_sum(capacity), visits(capacity), first_child(capacity), parent(capacity), num_children(capacity), flags(capacity) {}

    // Every array in the order of the picture: what is done to whole nodes (reset, save, load) goes through this.
    template <class Arrays, class Visit>
    static void for_each(Arrays& arrays, Visit&& visit) {
        visit(arrays.value_sum), visit(arrays.visits), visit(arrays.first_child);
        visit(arrays.parent), visit(arrays.num_children), visit(arrays.flags);
    }

    ZeroedArray<double> value_sum;
    ZeroedArray<std::int32_t> visits;
    ZeroedArray<NodeId> first_child;
    ZeroedArray<NodeId> parent;
    ZeroedArray<std::uint16_t> num_children;
    ZeroedArray<std::uint8_t> flags;
};

inline constexpr std::size_t STATISTICS_BYTES = sizeof(double) + sizeof(std::int32_t) + sizeof(NodeId);
inline constexpr std::size_t NODE_BYTES = STATISTICS_BYTES + sizeof(NodeId) + sizeof(std::uint16_t) + sizeof(std::uint8_t);
static_assert(STATISTICS_BYTES == 16 && NODE_BYTES == 23, "the picture above and the saved format count on these");

// Every method that can refuse checks its whole batch before it changes anything, and throws ForestError or CapacityError.
// Spans of one call have equal lengths. Not thread-safe: the bindings hold a lock around each call.
class Forest {
   public:
    Forest(std::int64_t max_trees, std::int64_t nodes_per_tree);

    std::int32_t max_trees() const { return max_trees_; }
    std::int32_t nodes_per_tree() const { return nodes_per_tree_; }
    std::int32_t num_trees() const { return num_trees_; }

    // Trees of a single, unexpanded, unvisited root each; the lowest free slots are taken first.
    std::vector<TreeId> new_trees(std::int64_t count);
    void free_trees(std::span<const TreeId> trees);
    NodeId root(std::int64_t tree) const { return root_of(checked_tree("root", tree)); }
    std::int32_t num_nodes(std::int64_t tree) const { return num_nodes_[checked_tree("num_nodes", tree)]; }

    // Gives nodes[i] counts[i] children; first_children[i] is the id of the first of them.
    void expand(std::span<const NodeId> nodes, std::span<const std::int32_t> counts, std::span<NodeId> first_children);
    void set_terminal(std::span<const NodeId> nodes);

    // select.cpp: walks down from nodes[i] by UCT (see uct.hpp) for at most moves[i] steps, to reached[i].
    void select(std::span<const NodeId> nodes, std::span<const std::int32_t> moves, double c, std::span<NodeId> reached,
                std::span<std::int32_t> moves_left);

    // backup.cpp: adds values[i] and a visit to nodes[i]; backup also to every ancestor. In order, so repeats are fine.
    void backup(std::span<const NodeId> nodes, std::span<const double> values);
    void add(std::span<const NodeId> nodes, std::span<const double> values);

    // Copies of one tree's statistics in id order, num_nodes(tree) entries each.
    std::vector<std::int32_t> visits(std::int64_t tree) const;
    std::vector<double> value_sums(std::int64_t tree) const;
    std::vector<double> q(std::int64_t tree) const;
    std::vector<NodeId> parents(std::int64_t tree) const;
    std::vector<NodeId> first_children(std::int64_t tree) const;
    std::vector<std::int32_t> num_children(std::int64_t tree) const;
    std::vector<std::uint8_t> terminal(std::int64_t tree) const;

    // persist.cpp: a file is written beside its final name and moved there once it is whole.
    void save(const std::string& path) const;
    static Forest load(const std::string& path);

   private:
    NodeId root_of(TreeId tree) const { return tree * nodes_per_tree_; }
    TreeId tree_of(NodeId node) const { return node / nodes_per_tree_; }
    bool is_terminal(NodeId node) const { return nodes_.flags[node] & TERMINAL; }
    bool in_use(NodeId node) const { return node >= 0 && node < capacity() && node % nodes_per_tree_ < num_nodes_[tree_of(node)]; }
    std::int32_t capacity() const { return max_trees_ * nodes_per_tree_; }

    TreeId checked_tree(const char* call, std::int64_t tree) const;
    void check_nodes(const char* call, std::span<const NodeId> nodes) const;
    void check_values(const char* call, std::span<const NodeId> nodes, std::span<const double> values) const;
    [[noreturn]] void refuse_node(const char* call, std::size_t index, NodeId node) const;
    NodeId reserve_children(std::span<const NodeId> nodes, std::size_t index, std::int32_t count);
    void release_children(NodeId node);
    NodeId walk(NodeId node, std::int32_t& moves, double c);

    template <class To, class T>
    std::vector<To> copy_tree(const char* call, std::int64_t tree, const ZeroedArray<T>& array) const;

    // What is wrong with one tree's links and statistics; empty if nothing is.
    std::string tree_fault(TreeId tree) const;

    std::int32_t max_trees_;
    std::int32_t nodes_per_tree_;
    std::int32_t num_trees_ = 0;
    TreeId lowest_free_ = 0;  // no slot below this one is free
    NodeArrays nodes_;
    ZeroedArray<std::int32_t> num_nodes_;
};

}  // namespace rstar_fast
