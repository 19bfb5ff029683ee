#include <pybind11/pybind11.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "../errors.hpp"
#include "docstrings.hpp"
#include "register.hpp"

namespace py = pybind11;

namespace rstar_fast::bindings {

namespace {

// Returns the sequence as a tuple, a copy unless it is one already. Python code that runs while an
// element is converted to a number can then not change it.
py::tuple tuple_of(PyObject* sequence) {
    auto tuple = py::reinterpret_steal<py::tuple>(PySequence_Tuple(sequence));
    if (!tuple) throw py::error_already_set();
    return tuple;
}

std::int32_t to_id(PyObject* item) {
    const long value = PyLong_AsLong(item);
    if (value == -1 && PyErr_Occurred() != nullptr) throw py::error_already_set();
    if (value < std::numeric_limits<std::int32_t>::min() ||
        value > std::numeric_limits<std::int32_t>::max()) {
        PyErr_Format(PyExc_OverflowError, "expected a token id of 32 bits, got %ld", value);
        throw py::error_already_set();
    }
    return static_cast<std::int32_t>(value);
}

float to_logprob(PyObject* item) {
    const double value = PyFloat_AsDouble(item);
    if (value == -1.0 && PyErr_Occurred() != nullptr) throw py::error_already_set();
    const auto logprob = static_cast<float>(value);
    if (!std::isfinite(logprob))
        throw py::value_error(
            concat("expected a log-probability that is a finite float32, got ", value));
    return logprob;
}

// Returns every run of numbers as the bytes of an array of T.
template <class T, T (*to_element)(PyObject*)>
py::list to_bytes(const py::object& runs) {
    const py::tuple all = tuple_of(runs.ptr());
    py::list packed(all.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
        const py::tuple run = tuple_of(PyTuple_GET_ITEM(all.ptr(), static_cast<Py_ssize_t>(i)));
        const auto size = static_cast<Py_ssize_t>(run.size());
        auto bytes = py::reinterpret_steal<py::object>(
            PyBytes_FromStringAndSize(nullptr, size * Py_ssize_t{sizeof(T)}));
        if (!bytes) throw py::error_already_set();
        // The content of a bytes object begins at a multiple of 8, so it is aligned for T.
        auto* elements = reinterpret_cast<T*>(PyBytes_AS_STRING(bytes.ptr()));
        for (Py_ssize_t k = 0; k < size; ++k)
            elements[k] = to_element(PyTuple_GET_ITEM(run.ptr(), k));
        PyList_SET_ITEM(packed.ptr(), static_cast<Py_ssize_t>(i), bytes.release().ptr());
    }
    return packed;
}

void untrack(const py::object& objects) {
    for (const py::handle object : tuple_of(objects.ptr()))
        if (PyObject_IS_GC(object.ptr()) != 0) PyObject_GC_UnTrack(object.ptr());
}

}  // namespace

void register_nodes(py::module_& module) {
    module.def("ids_to_bytes", &to_bytes<std::int32_t, &to_id>, py::arg("runs"),
               docs::ids_to_bytes);
    module.def("logprobs_to_bytes", &to_bytes<float, &to_logprob>, py::arg("runs"),
               docs::logprobs_to_bytes);
    module.def("untrack", &untrack, py::arg("objects"), docs::untrack);
}

}  // namespace rstar_fast::bindings
