// The attention of attend.hpp, written once and compiled for each instruction set. The file that
// includes this one sets WIDTH, the number of floats of a register.
//
// Everything has internal linkage: the linker must not take one file's code for another's.
#include <algorithm>
#include <bit>
#include <cstring>

#include "attend.hpp"

namespace rstar_fast {

namespace {

using Vector4 = float __attribute__((vector_size(4 * sizeof(float))));
using Vector8 = float __attribute__((vector_size(8 * sizeof(float))));
using Vector16 = float __attribute__((vector_size(16 * sizeof(float))));
using Floats = float __attribute__((vector_size(WIDTH * sizeof(float))));
using Ints = std::int32_t __attribute__((vector_size(WIDTH * sizeof(float))));

inline Floats load(const float* from) {
    Floats lanes;
    std::memcpy(&lanes, from, sizeof lanes);
    return lanes;
}

inline void store(float* to, Floats lanes) { std::memcpy(to, &lanes, sizeof lanes); }

[[maybe_unused]] inline float sum(Vector4 lanes) {
    return (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]);
}

[[maybe_unused]] inline float sum(Vector8 lanes) {
    Vector4 halves[2];
    std::memcpy(halves, &lanes, sizeof lanes);
    return sum(halves[0] + halves[1]);
}

[[maybe_unused]] inline float sum(Vector16 lanes) {
    Vector8 halves[2];
    std::memcpy(halves, &lanes, sizeof lanes);
    return sum(halves[0] + halves[1]);
}

// exp(x) for x <= 0, within two units in the last place; below e^-87 it is e^-87, which a sum of
// weights with a 1 among them does not feel. NaN stays NaN. The polynomial is Taylor's of degree 7,
// on [-ln 2 / 2, ln 2 / 2].
inline Floats exp_of_negative(Floats x) {
    constexpr float LOG2_E = 1.44269504F, LN2_HIGH = 0.693359375F, LN2_LOW = -2.12194440e-4F;
    constexpr float ROUND = 12582912.0F;  // 1.5 * 2^23: adding it rounds to an integer
    constexpr float LOWEST = -87.0F;
    x = x < LOWEST ? Floats{} + LOWEST : x;
    const Floats shifted = x * LOG2_E + ROUND;
    const Floats power = shifted - ROUND;
    const Floats rest = (x - power * LN2_HIGH) - power * LN2_LOW;
    Floats result = rest * (1.0F / 5040) + 1.0F / 720;
    result = result * rest + 1.0F / 120;
    result = result * rest + 1.0F / 24;
    result = result * rest + 1.0F / 6;
    result = result * rest + 0.5F;
    result = result * rest + 1.0F;
    result = result * rest + 1.0F;
    Ints exponent;
    std::memcpy(&exponent, &shifted, sizeof exponent);
    exponent = (exponent - std::bit_cast<std::int32_t>(ROUND) + 127) << 23;
    Floats scale;
    std::memcpy(&scale, &exponent, sizeof scale);
    return result * scale;
}

// Turns scores into their exponentials over the highest one. Returns the sum.
float soften(float* weights, std::int64_t count) {
    Floats highest = Floats{} + weights[0];
    std::int64_t i = 0;
    for (; i + WIDTH <= count; i += WIDTH) {
        const Floats here = load(weights + i);
        highest = here > highest ? here : highest;
    }
    float top = weights[0];
    for (std::int64_t j = 0; j < WIDTH; ++j) top = std::max(top, highest[j]);
    for (; i < count; ++i) top = std::max(top, weights[i]);
    Floats total{};
    for (i = 0; i + WIDTH <= count; i += WIDTH) {
        const Floats here = exp_of_negative(load(weights + i) - top);
        store(weights + i, here);
        total += here;
    }
    if (i < count) {
        Floats rest{};
        for (std::int64_t j = i; j < count; ++j) rest[j - i] = weights[j] - top;
        rest = exp_of_negative(rest);
        for (std::int64_t j = i; j < count; ++j) weights[j] = rest[j - i];
        for (std::int64_t j = count - i; j < WIDTH; ++j) rest[j] = 0.0F;
        total += rest;
    }
    return sum(total);
}

// Some queries that see the same keys. CHUNKS is dim / WIDTH, or 0 where that is only known at run
// time.
template <std::int64_t CHUNKS, std::int64_t QUERIES>
struct Block {
    const Queries& all;
    std::int64_t first;
    std::int64_t dim;
    float* weights;

    std::int64_t num_chunks() const { return CHUNKS != 0 ? CHUNKS : dim / WIDTH; }
    std::int64_t width() const { return CHUNKS != 0 ? CHUNKS * WIDTH : dim; }
    std::int64_t count() const { return all.first.count + all.second.count; }
    float* weights_of(std::int64_t i) const { return weights + i * count(); }

    const float* query(std::int64_t i) const { return all.query + (first + i) * all.query_stride; }

    void scores(const Keys& part, std::int64_t begin, float scale) const {
        for (std::int64_t key = 0; key < part.count; ++key) {
            const float* const here = part.keys + key * width();
            Floats total[QUERIES]{};
            for (std::int64_t chunk = 0; chunk < num_chunks(); ++chunk) {
                const Floats lanes = load(here + chunk * WIDTH);
                for (std::int64_t i = 0; i < QUERIES; ++i)
                    total[i] += lanes * load(query(i) + chunk * WIDTH);
            }
            for (std::int64_t i = 0; i < QUERIES; ++i)
                weights_of(i)[begin + key] = sum(total[i]) * scale;
        }
    }

    // Adds the weighted values of one chunk of WIDTH elements.
    void mix(const Keys& part, std::int64_t begin, std::int64_t chunk, Floats* total) const {
        constexpr std::int64_t CHAINS = QUERIES == 1 ? 4 : 2;
        const float* const values = part.values + chunk * WIDTH;
        Floats chain[CHAINS][QUERIES]{};
        std::int64_t key = 0;
        for (; key + CHAINS <= part.count; key += CHAINS)
            for (std::int64_t j = 0; j < CHAINS; ++j) {
                const Floats lanes = load(values + (key + j) * width());
                for (std::int64_t i = 0; i < QUERIES; ++i)
                    chain[j][i] += lanes * weights_of(i)[begin + key + j];
            }
        for (; key < part.count; ++key) {
            const Floats lanes = load(values + key * width());
            for (std::int64_t i = 0; i < QUERIES; ++i)
                total[i] += lanes * weights_of(i)[begin + key];
        }
        for (std::int64_t j = 0; j < CHAINS; ++j)
            for (std::int64_t i = 0; i < QUERIES; ++i) total[i] += chain[j][i];
    }

    void attend(float scale) const {
        scores(all.first, 0, scale);
        scores(all.second, all.first.count, scale);
        float sums[QUERIES];
        for (std::int64_t i = 0; i < QUERIES; ++i) sums[i] = soften(weights_of(i), count());
        for (std::int64_t chunk = 0; chunk < num_chunks(); ++chunk) {
            Floats total[QUERIES]{};
            mix(all.first, 0, chunk, total);
            mix(all.second, all.first.count, chunk, total);
            for (std::int64_t i = 0; i < QUERIES; ++i)
                store(all.out + (first + i) * all.out_stride + chunk * WIDTH, total[i] / sums[i]);
        }
    }
};

template <std::int64_t CHUNKS>
void attend_all(const Queries& all, std::int64_t dim, float scale, float* weights) {
    std::int64_t first = 0;
    for (; first + MOST_QUERIES <= all.count; first += MOST_QUERIES)
        Block<CHUNKS, MOST_QUERIES>{all, first, dim, weights}.attend(scale);
    switch (all.count - first) {
        case 3:
            return Block<CHUNKS, 3>{all, first, dim, weights}.attend(scale);
        case 2:
            return Block<CHUNKS, 2>{all, first, dim, weights}.attend(scale);
        case 1:
            return Block<CHUNKS, 1>{all, first, dim, weights}.attend(scale);
        default:
            return;
    }
}

void attend_here(const Queries& all, std::int64_t dim, float scale, float* weights) {
    switch (dim / WIDTH) {
        case 2:
            return attend_all<2>(all, dim, scale, weights);
        case 4:
            return attend_all<4>(all, dim, scale, weights);
        case 8:
            return attend_all<8>(all, dim, scale, weights);
        default:
            return attend_all<0>(all, dim, scale, weights);
    }
}

}  // namespace

}  // namespace rstar_fast
