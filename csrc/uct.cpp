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

std::int32_t best_child(const Arena& arena, NodeId first, std::int32_t count,
                        std::int32_t parent_visits, double c, const Simd& simd) {
    const float explore = static_cast<float>(c) * root_log(parent_visits);
    const auto listed_of = [&](const NodeBlock& block, std::int32_t lane, std::int32_t here) {
        if (here == BLOCK) return simd.shortlist_block(block, explore);
        return simd.shortlist(
            {block.value_sum + lane, block.visits + lane, block.state + lane, here}, explore);
    };
    std::int32_t best = -1;
    double best_score = 0.0, log_parent_visits = -1.0;
    for_parts(arena, first, count,
              [&](const NodeBlock& block, std::int32_t lane, std::int32_t here, std::int32_t done) {
                  std::uint32_t listed = listed_of(block, lane, here);
                  // The only one listed of all siblings needs no score.
                  if (here == count && (listed & (listed - 1)) == 0) {
                      if (listed != 0) best = std::countr_zero(listed);
                      return;
                  }
                  if (log_parent_visits < 0) log_parent_visits = log_visits(parent_visits);
                  for (; listed != 0; listed &= listed - 1) {
                      const std::int32_t i = std::countr_zero(listed);
                      const double score = uct(block.value_sum[lane + i], block.visits[lane + i],
                                               log_parent_visits, c);
                      if (best >= 0 && !(score > best_score)) continue;
                      best = done + i;
                      best_score = score;
                  }
              });
    return best;
}

}  // namespace rstar_fast
