// The order in which a call does the entries of a batch.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace rstar_fast {

// Splits the entries of a batch into parts that share no tree, and orders each part. The entries of
// one tree keep their order. The first entry of every tree comes before the second entry of any
// tree, so the runs of different trees, which can be worked on side by side, are as long as
// possible.
class TreeOrder {
   public:
    // `trees[i]` is the tree of entry i. The parts are valid until the next call.
    void arrange(std::span<const std::int32_t> trees, std::size_t num_parts);

    // Whether every entry has a higher tree than the one before it. The order is then that of the
    // batch.
    bool is_ascending() const { return ascending_; }
    std::size_t num_parts() const { return ends_.size() - 1; }
    std::span<const std::int32_t> part(std::size_t part) const {
        return std::span(order_).subspan(ends_[part], ends_[part + 1] - ends_[part]);
    }

   private:
    void spread(std::span<const std::int32_t> trees, std::size_t begin, std::size_t end);

    bool ascending_ = true;
    // The memory is used again by the next batch.
    std::vector<std::int32_t> order_;
    std::vector<std::size_t> ends_;
};

}  // namespace rstar_fast
