#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "../errors.hpp"
#include "docstrings.hpp"
#include "register.hpp"

namespace py = pybind11;

namespace rstar_fast::bindings {

namespace {

using Floats = py::array_t<float, py::array::c_style>;
using Layers = std::vector<std::pair<Floats, Floats>>;

// The tokens from `begin` on of one place in the keys or values [places, heads, capacity, dim] of a
// layer, and where they begin in a flat row.
struct Part {
    float* data;
    py::ssize_t heads, capacity, dim, column;
};

struct Place {
    std::vector<Part> parts;
    py::ssize_t width;
};

Place place_of(const char* call, const Layers& layers, py::ssize_t place, py::ssize_t begin,
               py::ssize_t end) {
    Place found{{}, 0};
    for (const auto& [keys, values] : layers)
        for (const Floats* array : {&keys, &values}) {
            if (array->ndim() != 4)
                throw py::value_error(
                    concat(call, ": expected buffers [places, heads, capacity, dim], got ",
                           array->ndim(), " dimensions"));
            const py::ssize_t heads = array->shape(1), capacity = array->shape(2);
            const py::ssize_t dim = array->shape(3);
            if (place < 0 || place >= array->shape(0) || begin < 0 || begin > end || end > capacity)
                throw py::value_error(concat(call, ": no place ", place, " with tokens ", begin,
                                             " to ", end, " in a buffer of ", array->shape(0),
                                             " places for ", capacity, " tokens"));
            float* const first = const_cast<float*>(array->data()) + place * heads * capacity * dim;
            found.parts.push_back({first + begin * dim, heads, capacity, dim, found.width});
            found.width += heads * dim;
        }
    return found;
}

Floats gather(const Layers& layers, py::ssize_t place, py::ssize_t begin, py::ssize_t end) {
    const Place here = place_of("gather_kv", layers, place, begin, end);
    Floats flat({end - begin, here.width});
    float* const to = flat.mutable_data();
    const py::gil_scoped_release no_gil;
    for (const Part& part : here.parts)
        for (py::ssize_t head = 0; head < part.heads; ++head)
            for (py::ssize_t i = 0; i < end - begin; ++i)
                std::copy_n(part.data + (head * part.capacity + i) * part.dim, part.dim,
                            to + i * here.width + part.column + head * part.dim);
    return flat;
}

void scatter(const Layers& layers, py::ssize_t place, py::ssize_t begin, const Floats& flat) {
    if (flat.ndim() != 2) throw py::value_error("scatter_kv: flat must be [tokens, width]");
    const py::ssize_t count = flat.shape(0);
    for (const auto& [keys, values] : layers)
        if (!keys.writeable() || !values.writeable())
            throw py::value_error("scatter_kv: a buffer cannot be written");
    const Place here = place_of("scatter_kv", layers, place, begin, begin + count);
    if (flat.shape(1) != here.width)
        throw py::value_error(concat("scatter_kv: expected a flat form of width ", here.width,
                                     ", got ", flat.shape(1)));
    const float* const from = flat.data();
    const py::gil_scoped_release no_gil;
    for (const Part& part : here.parts)
        for (py::ssize_t head = 0; head < part.heads; ++head)
            for (py::ssize_t i = 0; i < count; ++i)
                std::copy_n(from + i * here.width + part.column + head * part.dim, part.dim,
                            part.data + (head * part.capacity + i) * part.dim);
}

}  // namespace

void register_kept(py::module_& module) {
    module.def("gather_kv", &gather, py::arg("layers").noconvert(), py::arg("place"),
               py::arg("begin"), py::arg("end"), docs::gather_kv);
    module.def("scatter_kv", &scatter, py::arg("layers").noconvert(), py::arg("place"),
               py::arg("begin"), py::arg("flat").noconvert(), docs::scatter_kv);
}

}  // namespace rstar_fast::bindings
