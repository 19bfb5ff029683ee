#include "../attend.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <vector>

#include "../errors.hpp"
#include "../parallel.hpp"
#include "../uct.hpp"
#include "docstrings.hpp"
#include "register.hpp"

namespace py = pybind11;

namespace rstar_fast::bindings {

namespace {

using Floats = py::array_t<float>;
using Table = py::array_t<std::int32_t, py::array::c_style>;

// Products of a query with a key or value that pay for a thread.
constexpr std::int64_t THREAD_WORK = 1 << 20;

// What a row of the table says: the token, its prefix, and the row that it belongs to.
struct Entry {
    std::int32_t token, buffer, place, prefix_tokens, row, row_tokens;

    bool has_row() const { return row >= 0; }
};

// Elements [heads, tokens, dim], whose last dimension is dense.
struct Tokens {
    float* data;
    py::ssize_t head_stride, token_stride, heads, tokens, dim;

    float* at(py::ssize_t head, py::ssize_t token) const {
        return data + head * head_stride + token * token_stride;
    }
};

// Keys and values [places, heads, capacity, dim], dense.
struct Buffer {
    float *keys, *values;
    py::ssize_t places, heads, capacity, dim;

    py::ssize_t offset(py::ssize_t place, py::ssize_t head, py::ssize_t token) const {
        return ((place * heads + head) * capacity + token) * dim;
    }

    Keys head(py::ssize_t place, py::ssize_t head, std::int64_t count) const {
        const py::ssize_t begin = offset(place, head, 0);
        return {keys + begin, values + begin, count};
    }
};

Tokens tokens_of(const char* name, const Floats& array) {
    constexpr auto FLOAT = static_cast<py::ssize_t>(sizeof(float));
    if (array.ndim() != 3 || array.shape(2) % LANES != 0 || array.shape(2) == 0 ||
        array.strides(2) != FLOAT || array.strides(0) % FLOAT != 0 || array.strides(1) % FLOAT != 0)
        throw py::value_error(concat("attend: ", name,
                                     " must be [heads, tokens, dim], dense in dim, ",
                                     "which must be a multiple of ", LANES));
    return {const_cast<float*>(array.data()),
            array.strides(0) / FLOAT,
            array.strides(1) / FLOAT,
            array.shape(0),
            array.shape(1),
            array.shape(2)};
}

Buffer buffer_of(const std::pair<Floats, Floats>& pair, const Tokens& keys) {
    for (const Floats* array : {&pair.first, &pair.second})
        if (array->ndim() != 4 || array->shape(1) != keys.heads || array->shape(3) != keys.dim ||
            (array->flags() & py::array::c_style) == 0 || !array->writeable())
            throw py::value_error(concat("attend: a buffer must be dense and writable, [places, ",
                                         keys.heads, ", capacity, ", keys.dim, "]"));
    const auto& [key, value] = pair;
    if (key.shape(0) != value.shape(0) || key.shape(2) != value.shape(2))
        throw py::value_error("attend: keys and values of a buffer differ in shape");
    return {const_cast<float*>(key.data()),
            const_cast<float*>(value.data()),
            key.shape(0),
            key.shape(1),
            key.shape(2),
            key.shape(3)};
}

void check(const Entry& entry, const Tokens& query, const std::vector<Buffer>& prefixes,
           const Buffer& rows) {
    const auto within = [](std::int64_t value, std::int64_t low, std::int64_t high) {
        return value >= low && value < high;
    };
    if (!within(entry.token, 0, query.tokens) || !within(entry.buffer, 0, std::ssize(prefixes)) ||
        !within(entry.place, 0, prefixes[entry.buffer].places) ||
        !within(entry.prefix_tokens, 1, prefixes[entry.buffer].capacity + 1) ||
        (entry.has_row() &&
         (entry.row >= rows.places || !within(entry.row_tokens, 1, rows.capacity + 1))))
        throw py::value_error(
            concat("attend: the table's entry for token ", entry.token, " is out of range"));
}

void attend(const Floats& query_array, const Floats& key_array, const Floats& value_array,
            Floats& out_array, const std::vector<std::pair<Floats, Floats>>& prefix_arrays,
            const std::pair<Floats, Floats>& row_arrays, const Table& table, float scale,
            std::int32_t threads) {
    const Tokens query = tokens_of("query", query_array), keys = tokens_of("key", key_array);
    const Tokens values = tokens_of("value", value_array), out = tokens_of("out", out_array);
    if (keys.heads == 0 || query.heads % keys.heads != 0 || values.heads != keys.heads ||
        out.heads != query.heads || query.dim != keys.dim || values.dim != keys.dim ||
        out.dim != keys.dim || keys.tokens != query.tokens || values.tokens != query.tokens ||
        out.tokens != query.tokens || !out_array.writeable())
        throw py::value_error(
            "attend: the shapes of query, key, value and out do not fit together");
    std::vector<Buffer> prefixes;
    prefixes.reserve(prefix_arrays.size());
    for (const auto& pair : prefix_arrays) prefixes.push_back(buffer_of(pair, keys));
    const Buffer rows = buffer_of(row_arrays, keys);
    if (table.ndim() != 2 || table.shape(1) != 6)
        throw py::value_error("attend: the table must be int32 [entries, 6]");
    if (threads < 1)
        throw py::value_error(concat("attend: threads must be at least 1, got ", threads));
    const auto* const entries = reinterpret_cast<const Entry*>(table.data());
    const std::size_t count = table.shape(0);

    const py::gil_scoped_release no_gil;
    const Attend attend_group = current_simd().attend;
    std::int64_t seen = 0, most = 0;
    for (std::size_t i = 0; i < count; ++i) {
        const Entry& entry = entries[i];
        check(entry, query, prefixes, rows);
        const std::int64_t here = entry.prefix_tokens + (entry.has_row() ? entry.row_tokens : 0);
        seen += here;
        most = std::max(most, here);
        const Buffer& target = entry.has_row() ? rows : prefixes[entry.buffer];
        const std::int32_t place = entry.has_row() ? entry.row : entry.place;
        const std::int32_t tokens = entry.has_row() ? entry.row_tokens : entry.prefix_tokens;
        for (py::ssize_t head = 0; head < keys.heads; ++head) {
            const py::ssize_t at = target.offset(place, head, tokens - 1);
            std::copy_n(keys.at(head, entry.token), keys.dim, target.keys + at);
            std::copy_n(values.at(head, entry.token), keys.dim, target.values + at);
        }
    }
    const py::ssize_t group = query.heads / keys.heads;
    const std::int64_t work = seen * query.heads * keys.dim;
    const auto parts =
        static_cast<std::size_t>(std::clamp<std::int64_t>(work / THREAD_WORK, 1, threads));
    in_parallel(parts, [&](std::size_t part) {
        std::vector<float> weights(static_cast<std::size_t>(most * MOST_QUERIES));
        for (std::size_t i = part; i < count; i += parts) {
            const Entry& entry = entries[i];
            for (py::ssize_t head = 0; head < keys.heads; ++head)
                attend_group(
                    {query.at(head * group, entry.token), query.head_stride,
                     out.at(head * group, entry.token), out.head_stride, group,
                     prefixes[entry.buffer].head(entry.place, head, entry.prefix_tokens),
                     entry.has_row() ? rows.head(entry.row, head, entry.row_tokens) : Keys{}},
                    keys.dim, scale, weights.data());
        }
    });
}

}  // namespace

void register_attend(py::module_& module) {
    module.def("attend", &attend, py::arg("query").noconvert(), py::arg("key").noconvert(),
               py::arg("value").noconvert(), py::arg("out").noconvert(),
               py::arg("prefixes").noconvert(), py::arg("rows").noconvert(),
               py::arg("table").noconvert(), py::arg("scale"), py::arg("threads"), docs::attend);
}

}  // namespace rstar_fast::bindings
