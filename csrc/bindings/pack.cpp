#include "../pack.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <memory>

#include "../errors.hpp"
#include "docstrings.hpp"
#include "initialized.hpp"
#include "register.hpp"

template <>
class pybind11::detail::type_caster<rstar_fast::Pack>
    : public rstar_fast::bindings::InitializedCaster<rstar_fast::Pack> {};
template <>
class pybind11::detail::type_caster<rstar_fast::BlockLists>
    : public rstar_fast::bindings::InitializedCaster<rstar_fast::BlockLists> {};

namespace py = pybind11;

namespace rstar_fast::bindings {

namespace {

using Ints = py::array_t<std::int32_t, py::array::c_style>;

std::span<const std::int32_t> span_of(const char* name, const Ints& array) {
    if (array.ndim() != 1)
        throw PackError(concat(name, " must have one dimension, got ", array.ndim()));
    return {array.data(), static_cast<std::size_t>(array.size())};
}

// Returns a read-only view that keeps its owner alive. The vectors of a pack never change.
template <auto member, class Owner>
Ints view(const py::object& self) {
    const auto& values = self.cast<const Owner&>().*member;
    Ints array(static_cast<py::ssize_t>(values.size()), values.data(), self);
    array.attr("flags").attr("writeable") = false;
    return array;
}

Pack make_pack(const Ints& parents, const Ints& num_tokens, const Ints& tokens) {
    const auto parent_span = span_of("pack: parents", parents);
    const auto count_span = span_of("pack: num_tokens", num_tokens);
    const auto token_span = span_of("pack: tokens", tokens);
    const py::gil_scoped_release no_gil;
    return pack(parent_span, count_span, token_span);
}

BlockLists make_blocks(const Ints& end, const Ints& position, const Ints& queries,
                       std::int64_t block_queries, std::int64_t block_keys,
                       std::optional<std::int64_t> window) {
    const auto end_span = span_of("visible_blocks: end", end);
    const auto position_span = span_of("visible_blocks: position", position);
    const auto query_span = span_of("visible_blocks: queries", queries);
    const py::gil_scoped_release no_gil;
    return visible_blocks(end_span, position_span, query_span, block_queries, block_keys, window);
}

}  // namespace

void register_pack(py::module_& module) {
    module.attr("NO_TOKEN") = NO_TOKEN;

    py::class_<Pack, py::smart_holder>(module, "Pack", docs::Pack)
        .def_property_readonly("begin", &view<&Pack::begin, Pack>, docs::Pack_begin)
        .def_property_readonly("score_index", &view<&Pack::score_index, Pack>,
                               docs::Pack_score_index)
        .def_property_readonly("tokens", &view<&Pack::tokens, Pack>, docs::Pack_tokens)
        .def_property_readonly("position", &view<&Pack::position, Pack>, docs::Pack_position)
        .def_property_readonly("end", &view<&Pack::end, Pack>, docs::Pack_end);
    py::class_<BlockLists, py::smart_holder>(module, "BlockLists", docs::BlockLists)
        .def_property_readonly("offsets", &view<&BlockLists::offsets, BlockLists>,
                               docs::BlockLists_offsets)
        .def_property_readonly("split", &view<&BlockLists::split, BlockLists>,
                               docs::BlockLists_split)
        .def_property_readonly("blocks", &view<&BlockLists::blocks, BlockLists>,
                               docs::BlockLists_blocks)
        .def(
            "transpose", [](const BlockLists& self) { return self.transpose(); },
            py::call_guard<py::gil_scoped_release>(), docs::BlockLists_transpose);
    module.def("pack", &make_pack, py::arg("parents").noconvert(),
               py::arg("num_tokens").noconvert(), py::arg("tokens").noconvert(), docs::pack);
    module.def("visible_blocks", &make_blocks, py::arg("end").noconvert(),
               py::arg("position").noconvert(), py::arg("queries").noconvert(),
               py::arg("block_queries"), py::arg("block_keys"), py::arg("window") = py::none(),
               docs::visible_blocks);
}

}  // namespace rstar_fast::bindings
