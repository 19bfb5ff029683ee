// Compiled for AVX2 and FMA. Nothing here may be called, nor inlined into other files, unless the
// processor has both.
#include <immintrin.h>

#include "simd.hpp"

namespace rstar_fast {

namespace {

// The relative error of rsqrtps is at most 1.5 * 2^-12 and that of its square at most 3.1 * 2^-12.
// Every other operation rounds to float, which adds about 2^-23.
constexpr float SLACK = 1.0F / (1 << 10);
constexpr int LANES = 8;

struct Bounds {
    __m256 low;
    __m256 high;
    // All ones where the sibling has no flags.
    __m256 live;
};

inline Bounds bounds_of(const double* value_sum, const std::int32_t* visits_at,
                        const std::uint16_t* state_at, __m256 explore) {
    const __m256i state =
        _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(state_at)));
    const __m256i flags = _mm256_and_si256(state, _mm256_set1_epi32(FLAGS));
    const __m256i visits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(visits_at));
    const __m256 sum = _mm256_set_m128(_mm256_cvtpd_ps(_mm256_loadu_pd(value_sum + 4)),
                                       _mm256_cvtpd_ps(_mm256_loadu_pd(value_sum)));

    const __m256 unvisited =
        _mm256_castsi256_ps(_mm256_cmpeq_epi32(visits, _mm256_setzero_si256()));
    const __m256 root = _mm256_andnot_ps(unvisited, _mm256_rsqrt_ps(_mm256_cvtepi32_ps(visits)));
    const __m256 q = _mm256_mul_ps(sum, _mm256_mul_ps(root, root));
    const __m256 e = _mm256_mul_ps(explore, root);
    const __m256 score = _mm256_add_ps(q, e);
    const __m256 sign = _mm256_set1_ps(-0.0F);
    const __m256 slack =
        _mm256_fmadd_ps(_mm256_add_ps(_mm256_andnot_ps(sign, q), _mm256_andnot_ps(sign, e)),
                        _mm256_set1_ps(SLACK), _mm256_set1_ps(UNDERFLOW_SLACK));
    return {_mm256_sub_ps(score, slack), _mm256_add_ps(score, slack),
            _mm256_castsi256_ps(_mm256_cmpeq_epi32(flags, _mm256_setzero_si256()))};
}

inline Bounds bounds(const Siblings& siblings, int begin, __m256 explore) {
    const int count = siblings.count - begin;
    if (count >= LANES)
        return bounds_of(siblings.value_sum + begin, siblings.visits + begin,
                         siblings.state + begin, explore);
    double value_sum[LANES] = {};
    std::int32_t visits[LANES] = {};
    std::uint16_t state[LANES] = {FLAGS, FLAGS, FLAGS, FLAGS, FLAGS, FLAGS, FLAGS, FLAGS};
    for (int i = 0; i < count; ++i) {
        value_sum[i] = siblings.value_sum[begin + i];
        visits[i] = siblings.visits[begin + i];
        state[i] = siblings.state[begin + i];
    }
    return bounds_of(value_sum, visits, state, explore);
}

inline float highest_lane(__m256 values) {
    __m128 highest = _mm_max_ps(_mm256_castps256_ps128(values), _mm256_extractf128_ps(values, 1));
    highest = _mm_max_ps(highest, _mm_movehl_ps(highest, highest));
    return _mm_cvtss_f32(_mm_max_ss(highest, _mm_movehdup_ps(highest)));
}

template <class BoundsOf>
inline std::uint32_t shortlist_groups(int groups, const BoundsOf& bounds_of_group) {
    __m256 high[BLOCK / LANES];
    __m256 live[BLOCK / LANES];
    __m256 low = _mm256_set1_ps(-__builtin_inff());
    for (int group = 0; group < groups; ++group) {
        const Bounds found = bounds_of_group(group * LANES);
        high[group] = found.high;
        live[group] = found.live;
        low = _mm256_max_ps(low, _mm256_blendv_ps(low, found.low, found.live));
    }
    const __m256 highest = _mm256_set1_ps(highest_lane(low));
    std::uint32_t listed = 0;
    for (int group = 0; group < groups; ++group) {
        const __m256 kept =
            _mm256_and_ps(live[group], _mm256_cmp_ps(high[group], highest, _CMP_NLT_UQ));
        listed |= static_cast<std::uint32_t>(_mm256_movemask_ps(kept)) << (group * LANES);
    }
    return listed;
}

void shortlist(const Siblings* families, std::size_t count, std::uint32_t* listed) {
    for (std::size_t i = 0; i < count; ++i) {
        const Siblings& siblings = families[i];
        const __m256 explore = _mm256_set1_ps(siblings.explore);
        listed[i] = shortlist_groups((siblings.count + LANES - 1) / LANES,
                                     [&](int begin) { return bounds(siblings, begin, explore); });
    }
}

void make_block(NodeBlock& block, NodeId parent, const double* values) {
    for (int i = 0; i < BLOCK; i += 4)
        _mm256_stream_pd(block.value_sum + i,
                         values != nullptr ? _mm256_loadu_pd(values + i) : _mm256_setzero_pd());
    const auto fill = [](auto* first, __m256i piece) {
        for (auto* at = first; at < first + BLOCK; at += sizeof(piece) / sizeof(*first))
            _mm256_stream_si256(reinterpret_cast<__m256i*>(at), piece);
    };
    fill(block.visits, _mm256_set1_epi32(values != nullptr ? 1 : 0));
    fill(block.state, _mm256_setzero_si256());
    fill(block.parent, _mm256_set1_epi32(parent));
}

bool all_finite(const double* values, std::size_t count) {
    // A number minus itself is 0, or NaN if it is not finite.
    __m256d sum = _mm256_setzero_pd();
    std::size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        const __m256d four = _mm256_loadu_pd(values + i);
        sum = _mm256_or_pd(sum, _mm256_sub_pd(four, four));
    }
    double rest = 0.0;
    for (; i < count; ++i) rest += values[i] - values[i];
    return _mm256_movemask_pd(_mm256_cmp_pd(sum, sum, _CMP_UNORD_Q)) == 0 && rest == 0.0;
}

}  // namespace

const Simd SIMD_AVX2{"avx2", shortlist, make_block, all_finite, attend_avx2};

}  // namespace rstar_fast
