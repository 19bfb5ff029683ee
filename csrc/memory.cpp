// The account of the memory that the nodes take. A slot is charged, in whole pages, for the most
// nodes that it has held since its memory was last given back. A page that two slots share is
// charged to both. So the account is an upper bound, except for the border pages of slots whose
// memory was given back.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "errors.hpp"
#include "forest.hpp"

namespace rstar_fast {

namespace {

constexpr std::int64_t BLOCK_BYTES = sizeof(NodeBlock);
// Larger arenas ask for huge pages only if several slots share one.
constexpr std::int64_t MOST_HUGE_BYTES = 256 << 20;

constexpr std::int64_t floor_to(std::int64_t unit, std::int64_t byte) { return byte / unit * unit; }
constexpr std::int64_t ceil_to(std::int64_t unit, std::int64_t byte) {
    return floor_to(unit, byte + unit - 1);
}

// Range of bytes, in whole blocks, that holds the nodes from `first` to `last`.
constexpr std::int64_t begin_byte(NodeId first) { return place_of(first).block * BLOCK_BYTES; }
constexpr std::int64_t end_byte(NodeId last) {
    return (place_of(last).block + std::int64_t{1}) * BLOCK_BYTES;
}

}  // namespace

Arena::Arena(std::int64_t num_nodes, std::int64_t nodes_per_tree, std::int64_t limit_bytes)
    : reserved_bytes_(end_byte(static_cast<NodeId>(num_nodes - 1))),
      page_bytes_(::sysconf(_SC_PAGESIZE)) {
    const std::int64_t huge_bytes = ceil_to(HUGE_PAGE_BYTES, reserved_bytes_);
    const std::int64_t slot_bytes = nodes_per_tree * static_cast<std::int64_t>(NODE_BYTES);
    if (reserved_bytes_ >= HUGE_PAGE_BYTES && huge_bytes <= limit_bytes &&
        (huge_bytes <= MOST_HUGE_BYTES || slot_bytes <= HUGE_PAGE_BYTES / 2))
        page_bytes_ = HUGE_PAGE_BYTES;
    reserved_bytes_ = ceil_to(page_bytes_, reserved_bytes_);
    const auto size = static_cast<std::size_t>(reserved_bytes_);
    blocks_.reset(
        static_cast<NodeBlock*>(std::aligned_alloc(static_cast<std::size_t>(page_bytes_), size)));
    if (!blocks_) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
    // This is only a request. Where it is not granted, the arena is slower and takes less memory.
    if (page_bytes_ == HUGE_PAGE_BYTES) ::madvise(blocks_.get(), size, MADV_HUGEPAGE);
#endif
}

std::int64_t Forest::slot_bytes(TreeId tree, std::int32_t num_nodes) const {
    if (num_nodes == 0) return 0;
    const std::int64_t page = nodes_.page_bytes();
    return ceil_to(page, end_byte(root_of(tree) + num_nodes - 1)) -
           floor_to(page, begin_byte(root_of(tree)));
}

void Forest::charge(const char* call, std::span<const TreeId> trees) {
    std::vector<std::pair<TreeId, std::int32_t>> most_before;
    for (const TreeId tree : trees) {
        if (num_nodes_[tree] <= most_nodes_[tree]) continue;
        most_before.emplace_back(tree, most_nodes_[tree]);
        slots_bytes_ += slot_bytes(tree, num_nodes_[tree]) - slot_bytes(tree, most_nodes_[tree]);
        most_nodes_[tree] = num_nodes_[tree];
    }
    const auto over = [&] { return memory_bytes() > memory_limit_bytes_; };
    if (!over()) return;
    return_free_slots();
    if (!over()) return;
    const std::int64_t wanted = memory_bytes();
    for (const auto& [tree, most] : most_before) {
        slots_bytes_ -= slot_bytes(tree, most_nodes_[tree]) - slot_bytes(tree, most);
        most_nodes_[tree] = most;
    }
    throw CapacityError(concat(call, ": memory_limit_bytes is ", memory_limit_bytes_, "; ",
                               memory_bytes(), " bytes are in use and this call would make it ",
                               wanted));
}

void Forest::return_free_slots() {
    for (TreeId tree = lowest_free_; tree < max_trees_; ++tree) {
        if (num_nodes_[tree] > 0 || most_nodes_[tree] == 0) continue;
        const std::int64_t begin = ceil_to(nodes_.page_bytes(), end_byte(root_of(tree)));
        const std::int64_t end =
            floor_to(nodes_.page_bytes(), begin_byte(root_of(tree) + most_nodes_[tree] - 1));
        if (begin < end)
            ::madvise(nodes_.bytes() + begin, static_cast<std::size_t>(end - begin), MADV_DONTNEED);
        slots_bytes_ -= slot_bytes(tree, most_nodes_[tree]);
        most_nodes_[tree] = 0;
    }
}

}  // namespace rstar_fast
