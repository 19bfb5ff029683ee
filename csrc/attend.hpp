// Attention of single queries over keys and values that lie in two places.
//
// This header holds only declarations, for the reason that block.hpp gives.
#pragma once

#include <cstdint>

namespace rstar_fast {

// Keys and values [count, dim] of one head, each token's after the other's.
struct Keys {
    const float* keys;
    const float* values;
    std::int64_t count;
};

// Queries [count, dim] of heads that share keys. Each sees all of `first` and all of `second`, at
// least one key in all.
struct Queries {
    const float* query;
    std::int64_t query_stride;
    float* out;
    std::int64_t out_stride;
    std::int64_t count;
    Keys first;
    Keys second;
};

// `dim` is a multiple of this.
inline constexpr std::int64_t LANES = 16;

// Number of queries that are attended from at once.
inline constexpr std::int64_t MOST_QUERIES = 4;

// out = softmax(scale * query . keys) . values. `weights` has room for MOST_QUERIES times all keys.
using Attend = void (*)(const Queries& all, std::int64_t dim, float scale, float* weights);

void attend_scalar(const Queries& all, std::int64_t dim, float scale, float* weights);
void attend_avx2(const Queries& all, std::int64_t dim, float scale, float* weights);
void attend_avx512(const Queries& all, std::int64_t dim, float scale, float* weights);

}  // namespace rstar_fast
