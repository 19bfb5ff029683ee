#include "uct.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "errors.hpp"

namespace rstar_fast {

namespace {

#if defined(__x86_64__)

struct Features {
    bool avx2;
    bool avx512;
};

// Asks the processor which instructions it has, and whether the kernel keeps their registers.
// __builtin_cpu_supports would say no to everything in what zig compiles.
Features features() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    constexpr unsigned FMA = 1U << 12, OSXSAVE = 1U << 27;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & OSXSAVE) == 0) return {false, false};
    const bool fma = (c & FMA) != 0;
    unsigned kept = 0, high = 0;
    __asm__ volatile("xgetbv" : "=a"(kept), "=d"(high) : "c"(0));
    constexpr unsigned AVX_KEPT = 0x06, AVX512_KEPT = 0xe6;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return {false, false};
    constexpr unsigned AVX2 = 1U << 5, AVX512 = 1U << 16 | 1U << 17 | 1U << 30 | 1U << 31;
    return {fma && (b & AVX2) == AVX2 && (kept & AVX_KEPT) == AVX_KEPT,
            (b & AVX512) == AVX512 && (kept & AVX512_KEPT) == AVX512_KEPT};
}

#endif

std::vector<const Simd*> supported_levels() {
    std::vector<const Simd*> levels;
#if defined(__x86_64__)
    const Features has = features();
    if (has.avx512) levels.push_back(&SIMD_AVX512);
    if (has.avx2) levels.push_back(&SIMD_AVX2);
#elif defined(__aarch64__)
    levels.push_back(&SIMD_NEON);
#endif
    levels.push_back(&SIMD_SCALAR);
    return levels;
}

const std::vector<const Simd*>& levels() {
    static const std::vector<const Simd*> supported = supported_levels();
    return supported;
}

std::atomic<const Simd*> current{levels().front()};

// Returns sqrt(ln n) rounded to float. Small n are looked up in a table, because a logarithm takes
// longer than the scan of all siblings.
float root_log(std::int32_t n) {
    static const auto table = [] {
        std::array<float, 4096> roots{};
        for (std::size_t i = 0; i < roots.size(); ++i)
            roots[i] = static_cast<float>(std::sqrt(log_visits(static_cast<int>(i))));
        return roots;
    }();
    const auto index = static_cast<std::uint32_t>(n);
    return index < table.size() ? table[index] : static_cast<float>(std::sqrt(log_visits(n)));
}

float explore_weight(double c, std::int32_t parent_visits) {
    return static_cast<float>(c) * root_log(parent_visits);
}

Siblings siblings_at(const NodeBlock& block, std::int32_t lane, std::int32_t count, float explore) {
    return {block.value_sum + lane, block.visits + lane, block.state + lane, count, explore};
}

// Offers the listed siblings. `first` is the id of the first sibling.
void offer_listed(Best& best, const Siblings& siblings, std::uint32_t listed, NodeId first,
                  double log_parent_visits, double c) {
    for (; listed != 0; listed &= listed - 1) {
        const std::int32_t i = std::countr_zero(listed);
        best.offer(first + i, uct(siblings.value_sum[i], siblings.visits[i], log_parent_visits, c));
    }
}

// The best child of a family that lies in several blocks.
NodeId best_of_parts(const Arena& arena, const Family& family, double c, const Simd& simd) {
    const double log_parent_visits = log_visits(family.parent_visits);
    const float explore = explore_weight(c, family.parent_visits);
    Best best;
    for_parts(
        arena, family.first, family.count,
        [&](const NodeBlock& block, std::int32_t lane, std::int32_t count, std::int32_t done) {
            const Siblings part = siblings_at(block, lane, count, explore);
            std::uint32_t listed = 0;
            simd.shortlist(&part, 1, &listed);
            offer_listed(best, part, listed, family.first + done, log_parent_visits, c);
        });
    return best.child;
}

}  // namespace

std::vector<std::string> simd_levels() {
    std::vector<std::string> names;
    for (const Simd* level : levels()) names.emplace_back(level->name);
    return names;
}

std::string simd_level() { return current.load()->name; }

void use_simd_level(const std::string& level) {
    const auto found = std::find_if(levels().begin(), levels().end(),
                                    [&](const Simd* known) { return known->name == level; });
    if (found == levels().end()) {
        std::string names;
        for (const Simd* known : levels())
            names.append(names.empty() ? "" : ", ").append(known->name);
        throw ForestError(concat("use_simd_level: expected one of ", names, ", got '", level, "'"));
    }
    current.store(*found);
}

const Simd& current_simd() { return *current.load(); }

void best_children(const Arena& arena, std::span<const Family> families, double c, const Simd& simd,
                   std::span<NodeId> best) {
    std::array<Siblings, MOST_FAMILIES> whole;
    std::array<std::size_t, MOST_FAMILIES> places;
    std::array<std::uint32_t, MOST_FAMILIES> listed;
    std::size_t num_whole = 0;
    for (std::size_t k = 0; k < families.size(); ++k) {
        const auto& [first, count, parent_visits] = families[k];
        const std::int32_t lane = place_of(first).lane;
        if (lane + count > BLOCK) {
            best[k] = best_of_parts(arena, families[k], c, simd);
            continue;
        }
        places[num_whole] = k;
        whole[num_whole++] =
            siblings_at(arena.block(first), lane, count, explore_weight(c, parent_visits));
    }
    simd.shortlist(whole.data(), num_whole, listed.data());
    for (std::size_t i = 0; i < num_whole; ++i) {
        const Family& family = families[places[i]];
        NodeId& best_here = best[places[i]];
        // The only one listed needs no score. std::has_single_bit would count all bits.
        if (listed[i] != 0 && (listed[i] & (listed[i] - 1)) == 0) {
            best_here = family.first + std::countr_zero(listed[i]);
            continue;
        }
        Best found;
        offer_listed(found, whole[i], listed[i], family.first, log_visits(family.parent_visits), c);
        best_here = found.child;
    }
}

}  // namespace rstar_fast
