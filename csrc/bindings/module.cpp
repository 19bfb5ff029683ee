#include "docstrings.hpp"
#include "register.hpp"

// No call needs the GIL: every forest has a lock of its own, and a pack never changes.
PYBIND11_MODULE(_core, module, pybind11::mod_gil_not_used()) {
    module.doc() = rstar_fast::bindings::docs::core;
    rstar_fast::bindings::register_errors(module);
    rstar_fast::bindings::register_attend(module);
    rstar_fast::bindings::register_forest(module);
    rstar_fast::bindings::register_kept(module);
    rstar_fast::bindings::register_pack(module);
    rstar_fast::bindings::register_nodes(module);
}
