#include <cstdint>

namespace {

constexpr std::int64_t WIDTH = 16;

}  // namespace

#include "attend_kernel.hpp"

namespace rstar_fast {

void attend_avx512(const Queries& all, std::int64_t dim, float scale, float* weights) {
    attend_here(all, dim, scale, weights);
}

}  // namespace rstar_fast
