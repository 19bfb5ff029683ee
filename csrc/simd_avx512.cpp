// Compiled for AVX-512 (F, DQ, BW, VL). Nothing here may be called, nor inlined into other files,
// unless the processor has all of them.
#include <immintrin.h>

#include "simd.hpp"

namespace rstar_fast {

namespace {

// The relative error of vrsqrt14ps is at most 2^-14 and that of its square at most 2^-13. Every
// other operation rounds to float, which adds about 2^-23.
constexpr float SLACK = 1.0F / (1 << 12);
constexpr int LANES = 16;

// What decides between LANES siblings, as it lies in memory.
struct Statistics {
    __m512d sums_low;
    __m512d sums_high;
    __m512i visits;
    __mmask16 live;
};

// `whole`: the siblings fill a block.
template <bool whole>
inline Statistics load(const Siblings& siblings, int begin) {
    const double* sums = siblings.value_sum + begin;
    if constexpr (whole)
        return {_mm512_load_pd(sums), _mm512_load_pd(sums + 8),
                _mm512_load_si512(siblings.visits + begin),
                _mm256_testn_epi16_mask(
                    _mm256_load_si256(reinterpret_cast<const __m256i*>(siblings.state + begin)),
                    _mm256_set1_epi16(static_cast<short>(FLAGS)))};
    const int count = siblings.count - begin;
    const auto present = static_cast<__mmask16>(count >= LANES ? 0xffff : (1 << count) - 1);
    return {_mm512_maskz_loadu_pd(static_cast<__mmask8>(present), sums),
            _mm512_maskz_loadu_pd(static_cast<__mmask8>(present >> 8), sums + 8),
            _mm512_maskz_loadu_epi32(present, siblings.visits + begin),
            _mm256_mask_testn_epi16_mask(present,
                                         _mm256_maskz_loadu_epi16(present, siblings.state + begin),
                                         _mm256_set1_epi16(static_cast<short>(FLAGS)))};
}

struct Bounds {
    __m512 low;
    __m512 high;
    __mmask16 live;
};

inline Bounds bounds(const Statistics& siblings, __m512 explore) {
    const __m512 sum =
        _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(siblings.sums_low)),
                           _mm512_cvtpd_ps(siblings.sums_high), 1);
    const __mmask16 visited = _mm512_test_epi32_mask(siblings.visits, siblings.visits);
    const __m512 root = _mm512_maskz_rsqrt14_ps(visited, _mm512_cvtepi32_ps(siblings.visits));
    const __m512 q = _mm512_mul_ps(sum, _mm512_mul_ps(root, root));
    const __m512 e = _mm512_mul_ps(explore, root);
    const __m512 score = _mm512_add_ps(q, e);
    const __m512 slack = _mm512_fmadd_ps(_mm512_add_ps(_mm512_abs_ps(q), _mm512_abs_ps(e)),
                                         _mm512_set1_ps(SLACK), _mm512_set1_ps(UNDERFLOW_SLACK));
    return {_mm512_sub_ps(score, slack), _mm512_add_ps(score, slack), siblings.live};
}

inline std::uint32_t listed_of(const Bounds& one, __m512 highest) {
    return _mm512_mask_cmp_ps_mask(one.live, one.high, highest, _CMP_NLT_UQ);
}

inline __m512 lows_of(const Bounds& one) {
    return _mm512_mask_mov_ps(_mm512_set1_ps(-__builtin_inff()), one.live, one.low);
}

template <bool whole>
inline std::uint32_t listed_of_two(const Siblings& siblings) {
    const __m512 explore = _mm512_set1_ps(siblings.explore);
    const Bounds first = bounds(load<whole>(siblings, 0), explore);
    const Bounds second = bounds(load<whole>(siblings, LANES), explore);
    const __m512 highest =
        _mm512_set1_ps(_mm512_reduce_max_ps(_mm512_max_ps(lows_of(first), lows_of(second))));
    return listed_of(first, highest) | listed_of(second, highest) << LANES;
}

inline std::uint32_t listed_of_one(const Siblings& siblings) {
    const Bounds all = bounds(load<false>(siblings, 0), _mm512_set1_ps(siblings.explore));
    return listed_of(all, _mm512_set1_ps(_mm512_reduce_max_ps(lows_of(all))));
}

void shortlist(const Siblings* families, std::size_t count, std::uint32_t* listed) {
    for (std::size_t i = 0; i < count; ++i) {
        const Siblings& siblings = families[i];
        listed[i] = siblings.count == BLOCK  ? listed_of_two<true>(siblings)
                    : siblings.count > LANES ? listed_of_two<false>(siblings)
                                             : listed_of_one(siblings);
    }
}

void make_block(NodeBlock& block, NodeId parent, const double* values) {
    for (int i = 0; i < BLOCK; i += 8)
        _mm512_stream_pd(block.value_sum + i,
                         values != nullptr ? _mm512_loadu_pd(values + i) : _mm512_setzero_pd());
    const __m512i visits = _mm512_set1_epi32(values != nullptr ? 1 : 0);
    const __m512i parents = _mm512_set1_epi32(parent);
    for (int i = 0; i < BLOCK; i += LANES) {
        _mm512_stream_si512(reinterpret_cast<__m512i*>(block.visits + i), visits);
        _mm512_stream_si512(reinterpret_cast<__m512i*>(block.parent + i), parents);
    }
    _mm512_stream_si512(reinterpret_cast<__m512i*>(block.state), _mm512_setzero_si512());
}

bool all_finite(const double* values, std::size_t count) {
    constexpr int NOT_FINITE = 0x99;  // quiet NaN, +infinity, -infinity, signaling NaN
    std::uint32_t found = 0;
    std::size_t i = 0;
    for (; i + 8 <= count; i += 8)
        found |= _mm512_fpclass_pd_mask(_mm512_loadu_pd(values + i), NOT_FINITE);
    const auto rest = static_cast<__mmask8>((1U << (count - i)) - 1);
    found |= _mm512_fpclass_pd_mask(_mm512_maskz_loadu_pd(rest, values + i), NOT_FINITE);
    return found == 0;
}

}  // namespace

const Simd SIMD_AVX512{"avx512", shortlist, make_block, all_finite, attend_avx512};

}  // namespace rstar_fast
