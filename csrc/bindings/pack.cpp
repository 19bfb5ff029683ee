#include "../pack.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <memory>

#include "../errors.hpp"
#include "register.hpp"

namespace py = pybind11;

namespace rstar_fast::bindings {

namespace {

using Ints = py::array_t<std::int32_t, py::array::c_style>;

std::span<const std::int32_t> span_of(const char* name, const Ints& array) {
    if (array.ndim() != 1) throw PackError(concat(name, " must have one dimension, got ", array.ndim()));
    return {array.data(), static_cast<std::size_t>(array.size())};
}

// A read-only view that keeps its owner alive; the vectors of a pack never change.
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

BlockLists make_blocks(const Ints& end, const Ints& position, const Ints& queries, std::int64_t block_queries,
                       std::int64_t block_keys, std::optional<std::int64_t> window) {
    const auto end_span = span_of("visible_blocks: end", end);
    const auto position_span = span_of("visible_blocks: position", position);
    const auto query_span = span_of("visible_blocks: queries", queries);
    const py::gil_scoped_release no_gil;
    return visible_blocks(end_span, position_span, query_span, block_queries, block_keys, window);
}

}  // namespace

void register_pack(py::module_& module) {
    module.attr("NO_TOKEN") = NO_TOKEN;

    // The first line of each docstring in _core.pyi, which says the rest.
    py::class_<Pack, py::smart_holder>(module, "Pack", "Trees of token runs as one sequence in depth-first order.")
        .def_property_readonly("begin", &view<&Pack::begin, Pack>, "Packed index of each node's first token, int32 [nodes].")
        .def_property_readonly("score_index", &view<&Pack::score_index, Pack>,
                               "Packed index of the last token on each node's path, int32 [nodes].")
        .def_property_readonly("tokens", &view<&Pack::tokens, Pack>, "The packed tokens, int32 [tokens].")
        .def_property_readonly("position", &view<&Pack::position, Pack>, "Tokens in front of each on its path, int32 [tokens].")
        .def_property_readonly("end", &view<&Pack::end, Pack>, "End of the subtree that each token opens, int32 [tokens].");
    py::class_<BlockLists, py::smart_holder>(module, "BlockLists", "Which blocks of columns each block of rows sees.")
        .def_property_readonly("offsets", &view<&BlockLists::offsets, BlockLists>,
                               "Where each row's blocks begin, int32 [rows + 1].")
        .def_property_readonly("split", &view<&BlockLists::split, BlockLists>,
                               "Where each row's full blocks end and its partial ones begin, int32 [rows].")
        .def_property_readonly("blocks", &view<&BlockLists::blocks, BlockLists>, "Columns, by row, int32 [visible].")
        .def(
            "transpose", [](const BlockLists& self) { return self.transpose(); }, py::call_guard<py::gil_scoped_release>(),
            "The same pairs by column.");
    module.def("pack", &make_pack, py::arg("parents").noconvert(), py::arg("num_tokens").noconvert(), py::arg("tokens").noconvert(),
               "Packs trees of token runs in depth-first order.");
    module.def("visible_blocks", &make_blocks, py::arg("end").noconvert(), py::arg("position").noconvert(),
               py::arg("queries").noconvert(), py::arg("block_queries"), py::arg("block_keys"), py::arg("window") = py::none(),
               "For each block of queries, the blocks of keys it sees.");
}

}  // namespace rstar_fast::bindings
