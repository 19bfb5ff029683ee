// fuzz [calls per thread] [seed]
//
// Makes random calls to forests on several threads, under the sanitizers (`make sanitize`). The
// results of calls are checked elsewhere, against the oracle in Python. Here every instruction set
// must select the same nodes as the scalar code, and every state must pass `verify`.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>

#include "errors.hpp"
#include "forest.hpp"
#include "parallel.hpp"
#include "uct.hpp"

using namespace rstar_fast;

namespace {

using Random = std::mt19937_64;

std::int64_t below(Random& random, std::int64_t end) {
    return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(end));
}

void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "fuzz: %s\n", what);
    std::abort();
}

// Returns random ids: mostly of nodes in use, sometimes of none, or of the next ones that a tree
// will have. Some come twice.
std::vector<NodeId> some_nodes(Random& random, const Forest& forest,
                               const std::vector<TreeId>& trees, std::int64_t most) {
    std::vector<NodeId> nodes(static_cast<std::size_t>(below(random, most + 1)));
    for (NodeId& node : nodes) {
        const TreeId tree = trees[static_cast<std::size_t>(below(random, std::ssize(trees)))];
        const NodeId root = forest.root(tree);
        switch (below(random, 100)) {
            case 0:
                node = static_cast<NodeId>(below(random, 1 << 20) - 8);
                break;
            case 1:
                node = static_cast<NodeId>(root + forest.num_nodes(tree) + below(random, 40));
                break;
            case 2:
                node = nodes[0];
                break;
            default:
                node = static_cast<NodeId>(root + below(random, forest.num_nodes(tree)));
        }
    }
    return nodes;
}

std::vector<double> some_values(Random& random, std::size_t count) {
    constexpr double VALUES[] = {-1.0, 1.0, 0.25, -0.0, 1e-40, 1e300};
    std::vector<double> values(count);
    for (double& value : values)
        value = below(random, 3) ? VALUES[below(random, 6)]
                                 : std::uniform_real_distribution(-1.0, 1.0)(random);
    return values;
}

// Makes one random call. Returns whether it was done, and not refused.
bool call(Random& random, Forest& forest, std::vector<TreeId>& trees) {
    std::vector<char> before;
    if (below(random, 4) == 0) before = forest.to_bytes("fuzz");
    try {
        const std::vector<NodeId> nodes =
            some_nodes(random, forest, trees, below(random, 20) ? 6 : 4000);
        switch (below(random, 16)) {
            case 0:
            case 1:
            case 2: {
                std::vector<std::int32_t> counts(nodes.size());
                std::size_t total = 0;
                for (std::int32_t& count : counts) {
                    count = static_cast<std::int32_t>(1 + below(random, 40));
                    total += static_cast<std::size_t>(count);
                }
                std::vector<NodeId> first(nodes.size());
                const std::vector<double> values = some_values(random, total);
                if (below(random, 2))
                    forest.expand(nodes, counts, values, first);
                else
                    forest.expand(nodes, counts, std::nullopt, first);
                return true;
            }
            case 3:
            case 4:
            case 5: {
                const std::vector<std::int32_t> moves(nodes.size(),
                                                      static_cast<std::int32_t>(below(random, 8)));
                std::vector<NodeId> reached(nodes.size()), scalar(nodes.size());
                std::vector<std::int32_t> left(nodes.size());
                const double c = below(random, 4) * 0.5;
                const bool claim = below(random, 2);
                const Widening widening{below(random, 3) * 1.0, below(random, 3) * 0.5,
                                        static_cast<std::int32_t>(1 + below(random, 40))};
                Forest other = Forest::from_bytes("fuzz", forest.to_bytes("fuzz"), NO_LIMIT);
                forest.select(nodes, moves, c, claim, widening, reached, left);
                const std::string level = simd_level();
                use_simd_level("scalar");
                other.select(nodes, moves, c, claim, widening, scalar, left);
                use_simd_level(level);
                require(reached == scalar, "the scalar code selects other nodes");
                return true;
            }
            case 6:
                forest.backup(nodes, some_values(random, nodes.size()));
                return true;
            case 7:
                forest.add(nodes, some_values(random, nodes.size()));
                return true;
            case 8:
                forest.set_terminal(std::span(nodes).first(nodes.size() / 4));
                return true;
            case 9: {
                for (const TreeId tree : trees) {
                    const std::vector<std::uint8_t> in_flight = forest.in_flight(tree);
                    for (std::size_t i = 0; i < in_flight.size(); ++i) {
                        const NodeId node = forest.root(tree) + static_cast<NodeId>(i);
                        if (in_flight[i] && below(random, 2)) forest.release(std::span(&node, 1));
                    }
                }
                return true;
            }
            case 14:
            case 15: {
                // Of the last nodes of some trees, which are unexpanded.
                std::vector<NodeId> leaves, starts;
                std::vector<TreeId> sorted = trees;
                if (below(random, 4)) std::sort(sorted.begin(), sorted.end());
                for (const TreeId tree : sorted) {
                    if (below(random, 3) == 0) continue;
                    leaves.push_back(forest.root(tree) + forest.num_nodes(tree) - 1);
                    starts.push_back(forest.root(tree));
                }
                if (below(random, 8) == 0) starts = nodes;
                const std::vector<std::int32_t> counts(
                    leaves.size(), static_cast<std::int32_t>(1 + below(random, 40)));
                const std::vector<std::int32_t> moves(starts.size(), 9);
                std::vector<NodeId> first(leaves.size()), reached(starts.size());
                std::vector<std::int32_t> left(starts.size());
                std::optional<std::span<const double>> child_values;
                const std::vector<double> scores = some_values(
                    random,
                    counts.empty() ? 0 : counts.size() * static_cast<std::size_t>(counts[0]));
                if (below(random, 2)) child_values = scores;
                const bool claim = below(random, 2);
                const std::vector<double> values = some_values(random, leaves.size());
                Forest other = Forest::from_bytes("fuzz", forest.to_bytes("fuzz"), NO_LIMIT);
                forest.simulate(leaves, counts, child_values, values, starts, moves, 0.5, claim,
                                first, reached, left);
                std::vector<NodeId> first_too(leaves.size()), reached_too(starts.size());
                other.expand(leaves, counts, child_values, first_too);
                other.backup(leaves, values);
                other.select(starts, moves, 0.5, claim, {}, reached_too, left);
                require(first == first_too && reached == reached_too,
                        "simulate differs from its three calls");
                require(forest.to_bytes("fuzz") == other.to_bytes("fuzz"),
                        "simulate makes other trees than its three calls");
                return true;
            }
            case 12: {
                std::vector<NodeId> children(nodes.size());
                forest.append(nodes, children);
                return true;
            }
            case 13:
                forest.redraw(nodes);
                return true;
            case 10:
                if (nodes.empty()) return false;
                if (below(random, 2))
                    forest.prune(std::span(nodes).first(1));
                else if (below(random, 8) == 0)
                    forest.reroot(nodes[0]);
                return true;
            default: {
                const auto at = static_cast<std::size_t>(below(random, std::ssize(trees)));
                if (below(random, 4)) return false;
                forest.free_trees(std::span(trees).subspan(at, 1));
                trees[at] = forest.new_trees(1)[0];
                return true;
            }
        }
    } catch (const ForestError&) {
        require(before.empty() || before == forest.to_bytes("fuzz"),
                "a refused call changed the forest");
        return false;
    }
}

std::int64_t fuzz(std::uint64_t seed, std::int64_t num_calls, std::mutex* lock, Forest* shared) {
    Random random(seed);
    Forest own(8, 4000, below(random, 2) ? NO_LIMIT : 400'000, true);
    Forest& forest = shared ? *shared : own;
    std::vector<TreeId> trees;
    {
        const std::unique_lock guard =
            lock ? std::unique_lock(*lock) : std::unique_lock<std::mutex>();
        forest.set_threads(3);
        trees = forest.new_trees(4);
    }
    std::int64_t done = 0;
    for (std::int64_t i = 0; i < num_calls; ++i) {
        const std::unique_lock guard =
            lock ? std::unique_lock(*lock) : std::unique_lock<std::mutex>();
        done += call(random, forest, trees);
        if (i % 16 == 0) forest.verify();
    }
    return done;
}

}  // namespace

int main(int argc, char** argv) {
    const std::int64_t num_calls = argc > 1 ? std::atoll(argv[1]) : 1500;
    const std::uint64_t seed = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 0;
    std::int64_t done = 0, tried = 0;
    for (const std::string& level : simd_levels()) {
        use_simd_level(level);
        std::mutex lock;
        Forest shared(16, 4000, NO_LIMIT, true);
        std::int64_t counts[4] = {};
        // Two threads share one forest, and two have one each.
        in_parallel(4, [&](std::size_t i) {
            counts[i] =
                fuzz(4 * seed + i, num_calls, i < 2 ? &lock : nullptr, i < 2 ? &shared : nullptr);
        });
        for (const std::int64_t count : counts) done += count;
        tried += 4 * num_calls;
        shared.verify();
    }
    std::printf("%lld random calls: %lld were done, the rest were refused\n",
                static_cast<long long>(tried), static_cast<long long>(done));
}
