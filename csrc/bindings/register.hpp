// Functions that add the names of each file in this folder to the module.
#pragma once

#include <pybind11/pybind11.h>

namespace rstar_fast::bindings {

void register_attend(pybind11::module_& module);
void register_errors(pybind11::module_& module);
void register_forest(pybind11::module_& module);
void register_kept(pybind11::module_& module);
void register_nodes(pybind11::module_& module);
void register_pack(pybind11::module_& module);

}  // namespace rstar_fast::bindings
