#include "tree_order.hpp"

#include <algorithm>
#include <numeric>

namespace rstar_fast {

void TreeOrder::arrange(std::span<const std::int32_t> trees, std::size_t num_parts) {
    order_.resize(trees.size());
    std::iota(order_.begin(), order_.end(), 0);
    ascending_ = true;
    for (std::size_t i = 1; i < trees.size(); ++i) ascending_ &= trees[i - 1] < trees[i];
    const auto tree_at = [&](std::size_t place) {
        return trees[static_cast<std::size_t>(order_[place])];
    };
    if (!ascending_)
        std::stable_sort(order_.begin(), order_.end(), [&](std::int32_t a, std::int32_t b) {
            return trees[static_cast<std::size_t>(a)] < trees[static_cast<std::size_t>(b)];
        });

    ends_.assign(1, 0);
    for (std::size_t part = 1; part <= num_parts; ++part) {
        std::size_t end = trees.size() * part / num_parts;
        while (end > 0 && end < trees.size() && tree_at(end) == tree_at(end - 1)) ++end;
        ends_.push_back(std::max(end, ends_.back()));
    }
    for (std::size_t part = 0; !ascending_ && part < num_parts; ++part)
        spread(trees, ends_[part], ends_[part + 1]);
}

void TreeOrder::spread(std::span<const std::int32_t> trees, std::size_t begin, std::size_t end) {
    struct Turn {
        std::int32_t number;
        std::int32_t entry;
    };
    std::vector<Turn> turns;
    for (std::size_t i = begin; i < end; ++i) {
        const bool repeats = i > begin && trees[static_cast<std::size_t>(order_[i])] ==
                                              trees[static_cast<std::size_t>(order_[i - 1])];
        turns.push_back({repeats ? turns.back().number + 1 : 0, order_[i]});
    }
    std::stable_sort(turns.begin(), turns.end(),
                     [](const Turn& a, const Turn& b) { return a.number < b.number; });
    for (std::size_t i = begin; i < end; ++i) order_[i] = turns[i - begin].entry;
}

}  // namespace rstar_fast
