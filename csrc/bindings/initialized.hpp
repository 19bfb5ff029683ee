// A guard against objects that `__new__` made without `__init__`. pybind11 would give their methods
// memory that nothing was written to.
#pragma once

#include <pybind11/pybind11.h>

namespace rstar_fast::bindings {

// The caster of a bound class T. It refuses an object of T that was never initialized. Every bound
// class specializes pybind11's `type_caster` with it, before its first use as an argument.
template <class T>
class InitializedCaster : public pybind11::detail::type_caster_base<T> {
   public:
    bool load(pybind11::handle source, bool convert) {
        namespace detail = pybind11::detail;
        const detail::type_info* type = this->typeinfo;
        if (PyObject_TypeCheck(source.ptr(), type->type) != 0 &&
            !reinterpret_cast<detail::instance*>(source.ptr())
                 ->get_value_and_holder(type)
                 .holder_constructed())
            throw pybind11::type_error(std::string(type->type->tp_name) +
                                       ": expected an initialized object, got one whose __init__ "
                                       "was never called");
        return detail::type_caster_base<T>::load(source, convert);
    }
};

}  // namespace rstar_fast::bindings
