// Work on many trees at once: its order and its threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <span>
#include <system_error>
#include <thread>
#include <vector>

namespace rstar_fast {

// Splits the entries of a batch into parts that share no tree, and orders each part. The entries of
// one tree keep their order. The first entry of every tree comes before the second entry of any
// tree, so the runs of different trees, which can be worked on side by side, are as long as
// possible.
class TreeOrder {
   public:
    // `tree_of(i)` returns the tree of entry i.
    template <class TreeOf>
    TreeOrder(std::size_t size, std::size_t num_parts, const TreeOf& tree_of) : order_(size) {
        std::iota(order_.begin(), order_.end(), 0);
        const auto not_ascending = [&](std::int32_t a, std::int32_t b) {
            return tree_of(a) >= tree_of(b);
        };
        const bool apart =
            std::adjacent_find(order_.begin(), order_.end(), not_ascending) == order_.end();
        if (!apart)
            std::stable_sort(order_.begin(), order_.end(), [&](std::int32_t a, std::int32_t b) {
                return tree_of(a) < tree_of(b);
            });

        ends_.push_back(0);
        for (std::size_t part = 1; part <= num_parts; ++part) {
            std::size_t end = size * part / num_parts;
            while (end > 0 && end < size && tree_of(order_[end]) == tree_of(order_[end - 1])) ++end;
            ends_.push_back(std::max(end, ends_.back()));
        }
        if (!apart)
            for (std::size_t part = 0; part < num_parts; ++part)
                spread(ends_[part], ends_[part + 1], tree_of);
    }

    std::size_t num_parts() const { return ends_.size() - 1; }
    std::span<const std::int32_t> part(std::size_t part) const {
        return std::span(order_).subspan(ends_[part], ends_[part + 1] - ends_[part]);
    }

   private:
    template <class TreeOf>
    void spread(std::size_t begin, std::size_t end, const TreeOf& tree_of) {
        struct Turn {
            std::int32_t number;
            std::int32_t entry;
        };
        std::vector<Turn> turns;
        for (std::size_t i = begin; i < end; ++i) {
            const bool repeats = i > begin && tree_of(order_[i]) == tree_of(order_[i - 1]);
            turns.push_back({repeats ? turns.back().number + 1 : 0, order_[i]});
        }
        std::stable_sort(turns.begin(), turns.end(),
                         [](const Turn& a, const Turn& b) { return a.number < b.number; });
        for (std::size_t i = begin; i < end; ++i) order_[i] = turns[i - begin].entry;
    }

    std::vector<std::int32_t> order_;
    std::vector<std::size_t> ends_;
};

// Number of threads that pay for a batch of this size. To start a thread takes about 20 us, and an
// entry takes about 50 ns.
inline std::size_t worthwhile_threads(std::size_t num_entries, std::int32_t most) {
    return std::clamp<std::size_t>(num_entries / 1024, 1, static_cast<std::size_t>(most));
}

// Calls work(0) to work(num_parts - 1), each on a thread of its own where the system grants one. No
// thread outlives the call, so the process may fork at any time between calls.
template <class Work>
void in_parallel(std::size_t num_parts, const Work& work) {
    std::vector<std::thread> threads;
    threads.reserve(num_parts);
    std::size_t started = 1;
    try {
        for (; started < num_parts; ++started)
            threads.emplace_back([&work, started] { work(started); });
    } catch (const std::system_error&) {
        for (std::size_t part = started; part < num_parts; ++part) work(part);
    }
    work(0);
    for (std::thread& thread : threads) thread.join();
}

}  // namespace rstar_fast
