// Compiled for aarch64, all of whose processors have NEON.
#include <arm_neon.h>

#include "simd.hpp"

namespace rstar_fast {

namespace {

// The relative error of frsqrte is at most 2^-8. One step of Newton leaves 2^-15.4, and 2^-14.4 of
// the square. Every other operation rounds to float, which adds about 2^-23.
constexpr float SLACK = 1.0F / (1 << 12);
constexpr int LANES = 4;

struct Bounds {
    float32x4_t low;
    float32x4_t high;
    // All ones where the sibling has no flags.
    uint32x4_t live;
};

inline Bounds bounds_of(const double* value_sum, const std::int32_t* visits_at,
                        const std::uint16_t* state_at, float32x4_t explore) {
    const uint32x4_t flags = vandq_u32(vmovl_u16(vld1_u16(state_at)), vdupq_n_u32(FLAGS));
    const int32x4_t visits = vld1q_s32(visits_at);
    const float32x4_t sum =
        vcvt_high_f32_f64(vcvt_f32_f64(vld1q_f64(value_sum)), vld1q_f64(value_sum + 2));

    const float32x4_t n = vcvtq_f32_s32(visits);
    const float32x4_t estimate = vrsqrteq_f32(n);
    const float32x4_t refined = vmulq_f32(estimate, vrsqrtsq_f32(vmulq_f32(n, estimate), estimate));
    const float32x4_t root =
        vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(refined), vceqzq_s32(visits)));
    const float32x4_t q = vmulq_f32(sum, vmulq_f32(root, root));
    const float32x4_t e = vmulq_f32(explore, root);
    const float32x4_t score = vaddq_f32(q, e);
    const float32x4_t slack = vfmaq_f32(vdupq_n_f32(UNDERFLOW_SLACK),
                                        vaddq_f32(vabsq_f32(q), vabsq_f32(e)), vdupq_n_f32(SLACK));
    return {vsubq_f32(score, slack), vaddq_f32(score, slack), vceqzq_u32(flags)};
}

inline Bounds bounds(const Siblings& siblings, int begin, float32x4_t explore) {
    const int count = siblings.count - begin;
    if (count >= LANES)
        return bounds_of(siblings.value_sum + begin, siblings.visits + begin,
                         siblings.state + begin, explore);
    double value_sum[LANES] = {};
    std::int32_t visits[LANES] = {};
    std::uint16_t state[LANES] = {FLAGS, FLAGS, FLAGS, FLAGS};
    for (int i = 0; i < count; ++i) {
        value_sum[i] = siblings.value_sum[begin + i];
        visits[i] = siblings.visits[begin + i];
        state[i] = siblings.state[begin + i];
    }
    return bounds_of(value_sum, visits, state, explore);
}

template <class BoundsOf>
inline std::uint32_t shortlist_groups(int groups, const BoundsOf& bounds_of_group) {
    float32x4_t high[BLOCK / LANES];
    uint32x4_t live[BLOCK / LANES];
    float32x4_t low = vdupq_n_f32(-__builtin_inff());
    for (int group = 0; group < groups; ++group) {
        const Bounds found = bounds_of_group(group * LANES);
        high[group] = found.high;
        live[group] = found.live;
        low = vbslq_f32(found.live, vmaxnmq_f32(low, found.low), low);
    }
    const float32x4_t highest = vdupq_n_f32(vmaxnmvq_f32(low));
    constexpr std::uint32_t BITS[LANES] = {1, 2, 4, 8};
    const uint32x4_t bits = vld1q_u32(BITS);
    std::uint32_t listed = 0;
    for (int group = 0; group < groups; ++group) {
        const uint32x4_t kept = vbicq_u32(live[group], vcltq_f32(high[group], highest));
        listed |= vaddvq_u32(vandq_u32(kept, bits)) << (group * LANES);
    }
    return listed;
}

void shortlist(const Siblings* families, std::size_t count, std::uint32_t* listed) {
    for (std::size_t i = 0; i < count; ++i) {
        const Siblings& siblings = families[i];
        const float32x4_t explore = vdupq_n_f32(siblings.explore);
        listed[i] = shortlist_groups((siblings.count + LANES - 1) / LANES,
                                     [&](int begin) { return bounds(siblings, begin, explore); });
    }
}

void make_block(NodeBlock& block, NodeId parent, const double* values) {
    SIMD_SCALAR.make_block(block, parent, values);
}

bool all_finite(const double* values, std::size_t count) {
    return SIMD_SCALAR.all_finite(values, count);
}

}  // namespace

const Simd SIMD_NEON{"neon", shortlist, make_block, all_finite, attend_scalar};

}  // namespace rstar_fast
