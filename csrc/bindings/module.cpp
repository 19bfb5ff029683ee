#include "register.hpp"

// Forests hold a lock of their own, packs never change: no call needs the GIL.
PYBIND11_MODULE(_core, module, pybind11::mod_gil_not_used()) {
    module.doc() =
        "The tree core: every node of every tree in one forest of flat arrays, and trees packed into sequences of tokens.";
    rstar_fast::bindings::register_errors(module);
    rstar_fast::bindings::register_forest(module);
    rstar_fast::bindings::register_pack(module);
    rstar_fast::bindings::register_nodes(module);
}
