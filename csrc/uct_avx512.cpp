// Compiled for AVX-512 (F, DQ, BW, VL). Nothing here may be called, nor inlined into other files,
// unless the processor has all of them.
#include <immintrin.h>

#include "flags.hpp"
#include "shortlist.hpp"

namespace rstar_fast {

namespace {

// The relative error of vrsqrt14ps is at most 2^-14 and that of its square at most 2^-13. Every
// other operation rounds to float, which adds about 2^-23.
constexpr float SLACK = 1.0F / (1 << 12);
constexpr int LANES = 16;

struct Bounds {
    __m512 low;
    __m512 high;
    __mmask16 live;
};

inline Bounds bounds(const Siblings& siblings, int begin, __m512 explore) {
    const int count = siblings.count - begin;
    const auto present = static_cast<__mmask16>(count >= LANES ? 0xffff : (1 << count) - 1);
    const __m256i state = _mm256_maskz_loadu_epi16(present, siblings.state + begin);
    const __m512i visits = _mm512_maskz_loadu_epi32(present, siblings.visits + begin);
    const __m512d sum0 =
        _mm512_maskz_loadu_pd(static_cast<__mmask8>(present), siblings.value_sum + begin);
    const __m512d sum1 =
        _mm512_maskz_loadu_pd(static_cast<__mmask8>(present >> 8), siblings.value_sum + begin + 8);
    const __m512 sum =
        _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(sum0)), _mm512_cvtpd_ps(sum1), 1);

    const __mmask16 visited = _mm512_test_epi32_mask(visits, visits);
    const __m512 root = _mm512_maskz_rsqrt14_ps(visited, _mm512_cvtepi32_ps(visits));
    const __m512 q = _mm512_mul_ps(sum, _mm512_mul_ps(root, root));
    const __m512 e = _mm512_mul_ps(explore, root);
    const __m512 score = _mm512_add_ps(q, e);
    const __m512 slack = _mm512_fmadd_ps(_mm512_add_ps(_mm512_abs_ps(q), _mm512_abs_ps(e)),
                                         _mm512_set1_ps(SLACK), _mm512_set1_ps(UNDERFLOW_SLACK));
    return {
        _mm512_sub_ps(score, slack), _mm512_add_ps(score, slack),
        _mm256_mask_testn_epi16_mask(present, state, _mm256_set1_epi16(static_cast<short>(FLAGS)))};
}

}  // namespace

std::uint32_t shortlist_avx512(const Siblings& siblings, float explore_all) {
    const __m512 explore = _mm512_set1_ps(explore_all);
    const __m512 lowest = _mm512_set1_ps(-__builtin_inff());
    const Bounds first = bounds(siblings, 0, explore);
    const __m512 low0 = _mm512_mask_mov_ps(lowest, first.live, first.low);
    if (siblings.count <= LANES) {
        const __m512 highest = _mm512_set1_ps(_mm512_reduce_max_ps(low0));
        return _mm512_mask_cmp_ps_mask(first.live, first.high, highest, _CMP_NLT_UQ);
    }
    const Bounds second = bounds(siblings, LANES, explore);
    const __m512 low1 = _mm512_mask_mov_ps(lowest, second.live, second.low);
    const __m512 highest = _mm512_set1_ps(_mm512_reduce_max_ps(_mm512_max_ps(low0, low1)));
    const std::uint32_t listed0 =
        _mm512_mask_cmp_ps_mask(first.live, first.high, highest, _CMP_NLT_UQ);
    const std::uint32_t listed1 =
        _mm512_mask_cmp_ps_mask(second.live, second.high, highest, _CMP_NLT_UQ);
    return listed0 | listed1 << LANES;
}

}  // namespace rstar_fast
