#include "../errors.hpp"

#include <exception>

#include "register.hpp"

namespace py = pybind11;

namespace rstar_fast::bindings {

namespace {

void raise(const char* name, const std::exception& error) {
    py::set_error(py::module_::import("rstar_fast.errors").attr(name), error.what());
}

}  // namespace

void register_errors(py::module_&) {
    py::module_::import("rstar_fast.errors");
    py::register_local_exception_translator([](std::exception_ptr thrown) {
        try {
            if (thrown) std::rethrow_exception(thrown);
        } catch (const CapacityError& error) {
            raise("CapacityError", error);
        } catch (const ForestError& error) {
            raise("ForestError", error);
        } catch (const PackError& error) {
            raise("PackError", error);
        } catch (const InternalError& error) {
            raise("InternalError", error);
        }
    });
}

}  // namespace rstar_fast::bindings
