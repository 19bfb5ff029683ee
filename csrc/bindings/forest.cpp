#include "../forest.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include <filesystem>
#include <mutex>
#include <optional>

#include "../errors.hpp"
#include "../uct.hpp"
#include "docstrings.hpp"
#include "initialized.hpp"
#include "register.hpp"

namespace py = pybind11;

namespace rstar_fast::bindings {

namespace {

// Together with py::arg().noconvert(): an array of exactly this dtype and contiguous. Anything else
// raises TypeError.
template <class T>
using Array = py::array_t<T, py::array::c_style>;

template <class T>
std::span<const T> span_of(const char* call, const char* name, const Array<T>& array) {
    if (array.ndim() != 1)
        throw ForestError(concat(call, ": ", name, " must have one dimension, got ", array.ndim()));
    return {array.data(), static_cast<std::size_t>(array.size())};
}

template <class T>
std::span<T> span_of(Array<T>& array) {
    return {array.mutable_data(), static_cast<std::size_t>(array.size())};
}

// Returns a NumPy array that owns the vector's memory.
template <class Element, class T>
py::array_t<Element> to_array(std::vector<T> values) {
    static_assert(sizeof(Element) == sizeof(T));
    auto owner = std::make_unique<std::vector<T>>(std::move(values));
    const auto size = static_cast<py::ssize_t>(owner->size());
    const auto* data = reinterpret_cast<const Element*>(owner->data());
    const py::capsule base(owner.get(),
                           [](void* vector) { delete static_cast<std::vector<T>*>(vector); });
    owner.release();
    return py::array_t<Element>(size, data, base);
}

// A forest for Python. Every call releases the GIL and holds the forest's own lock, so threads may
// share a forest.
class SharedForest {
   public:
    SharedForest(std::int64_t max_trees, std::int64_t nodes_per_tree,
                 std::optional<std::int64_t> memory_limit_bytes, bool keep_values)
        : forest_(max_trees, nodes_per_tree, memory_limit_bytes.value_or(NO_LIMIT), keep_values) {}
    explicit SharedForest(Forest forest) : forest_(std::move(forest)) {}

    template <class Work>
    auto with(Work&& work) {
        const py::gil_scoped_release no_gil;
        const std::lock_guard guard(lock_);
        return work(forest_);
    }

   private:
    Forest forest_;
    std::mutex lock_;
};

}  // namespace

}  // namespace rstar_fast::bindings

template <>
class pybind11::detail::type_caster<rstar_fast::bindings::SharedForest>
    : public rstar_fast::bindings::InitializedCaster<rstar_fast::bindings::SharedForest> {};

namespace rstar_fast::bindings {

namespace {

py::array_t<TreeId> new_trees(SharedForest& self, std::int64_t count) {
    return to_array<TreeId>(self.with([&](Forest& forest) { return forest.new_trees(count); }));
}

Array<NodeId> expand(SharedForest& self, const Array<NodeId>& nodes,
                     const Array<std::int32_t>& counts,
                     const std::optional<Array<double>>& values) {
    const auto node_span = span_of("expand", "nodes", nodes);
    const auto count_span = span_of("expand", "counts", counts);
    std::optional<std::span<const double>> value_span;
    if (values) value_span = span_of("expand", "values", *values);
    Array<NodeId> first_children(nodes.size());
    self.with([&, out = span_of(first_children)](Forest& forest) {
        forest.expand(node_span, count_span, value_span, out);
    });
    return first_children;
}

Array<NodeId> append(SharedForest& self, const Array<NodeId>& nodes) {
    const auto node_span = span_of("append", "nodes", nodes);
    Array<NodeId> children(nodes.size());
    self.with([&, out = span_of(children)](Forest& forest) { forest.append(node_span, out); });
    return children;
}

py::tuple select(SharedForest& self, const Array<NodeId>& nodes, const Array<std::int32_t>& moves,
                 double c, bool claim, double widening, double widening_exponent,
                 std::int32_t max_draws) {
    const auto node_span = span_of("select", "nodes", nodes);
    const auto move_span = span_of("select", "moves", moves);
    Array<NodeId> reached(nodes.size());
    Array<std::int32_t> moves_left(nodes.size());
    self.with(
        [&, reached_span = span_of(reached), left_span = span_of(moves_left)](Forest& forest) {
            forest.select(node_span, move_span, c, claim, {widening, widening_exponent, max_draws},
                          reached_span, left_span);
        });
    return py::make_tuple(std::move(reached), std::move(moves_left));
}

py::tuple simulate(SharedForest& self, const Array<NodeId>& nodes,
                   const Array<std::int32_t>& counts,
                   const std::optional<Array<double>>& child_values, const Array<double>& values,
                   const Array<NodeId>& starts, const Array<std::int32_t>& moves, double c,
                   bool claim) {
    const auto node_span = span_of("simulate", "nodes", nodes);
    const auto count_span = span_of("simulate", "counts", counts);
    std::optional<std::span<const double>> child_span;
    if (child_values) child_span = span_of("simulate", "child_values", *child_values);
    const auto value_span = span_of("simulate", "values", values);
    const auto start_span = span_of("simulate", "starts", starts);
    const auto move_span = span_of("simulate", "moves", moves);
    Array<NodeId> first_children(nodes.size()), reached(starts.size());
    Array<std::int32_t> moves_left(starts.size());
    self.with([&, first_span = span_of(first_children), reached_span = span_of(reached),
               left_span = span_of(moves_left)](Forest& forest) {
        forest.simulate(node_span, count_span, child_span, value_span, start_span, move_span, c,
                        claim, first_span, reached_span, left_span);
    });
    return py::make_tuple(std::move(first_children), std::move(reached), std::move(moves_left));
}

auto add_values(const char* call,
                void (Forest::*method)(std::span<const NodeId>, std::span<const double>)) {
    return [=](SharedForest& self, const Array<NodeId>& nodes, const Array<double>& values) {
        const auto node_span = span_of(call, "nodes", nodes);
        const auto value_span = span_of(call, "values", values);
        self.with([&](Forest& forest) { (forest.*method)(node_span, value_span); });
    };
}

auto for_ids(const char* call, const char* name,
             void (Forest::*method)(std::span<const std::int32_t>)) {
    return [=](SharedForest& self, const Array<std::int32_t>& ids) {
        const auto id_span = span_of(call, name, ids);
        self.with([&](Forest& forest) { (forest.*method)(id_span); });
    };
}

template <auto method, class Element>
py::array_t<Element> statistic(SharedForest& self, std::int64_t tree) {
    return to_array<Element>(
        self.with([&](const Forest& forest) { return (forest.*method)(tree); }));
}

template <auto method>
std::int32_t of_tree(SharedForest& self, std::int64_t tree) {
    return self.with([&](const Forest& forest) { return (forest.*method)(tree); });
}

template <auto method>
auto get(SharedForest& self) {
    return self.with([](const Forest& forest) { return (forest.*method)(); });
}

void set_threads(SharedForest& self, std::int64_t threads) {
    self.with([&](Forest& forest) { forest.set_threads(threads); });
}

std::optional<std::int64_t> memory_limit_bytes(SharedForest& self) {
    const std::int64_t limit_bytes = get<&Forest::memory_limit_bytes>(self);
    return limit_bytes == NO_LIMIT ? std::nullopt : std::optional(limit_bytes);
}

py::array_t<NodeId> reroot(SharedForest& self, std::int64_t node) {
    return to_array<NodeId>(self.with([&](Forest& forest) { return forest.reroot(node); }));
}

py::array_t<NodeId> prune(SharedForest& self, const Array<NodeId>& nodes) {
    const auto node_span = span_of("prune", "nodes", nodes);
    return to_array<NodeId>(self.with([&](Forest& forest) { return forest.prune(node_span); }));
}

void verify(SharedForest& self) {
    self.with([](const Forest& forest) { forest.verify(); });
}

py::bytes to_bytes(SharedForest& self) {
    const std::vector<char> bytes =
        self.with([](const Forest& forest) { return forest.to_bytes("pickle"); });
    return py::bytes(bytes.data(), bytes.size());
}

std::unique_ptr<SharedForest> from_bytes(const py::bytes& state) {
    const std::string_view bytes = state;
    const py::gil_scoped_release no_gil;
    return std::make_unique<SharedForest>(Forest::from_bytes("a pickled forest", bytes, NO_LIMIT));
}

void save(SharedForest& self, const std::filesystem::path& path) {
    self.with([&](const Forest& forest) { forest.save(path.string()); });
}

std::unique_ptr<SharedForest> load(const std::filesystem::path& path,
                                   std::optional<std::int64_t> limit_bytes) {
    const py::gil_scoped_release no_gil;
    return std::make_unique<SharedForest>(
        Forest::load(path.string(), limit_bytes.value_or(NO_LIMIT)));
}

std::string repr(SharedForest& self) {
    return self.with([](const Forest& forest) {
        return concat("Forest(max_trees=", forest.max_trees(),
                      ", nodes_per_tree=", forest.nodes_per_tree(),
                      ", num_trees=", forest.num_trees(), ")");
    });
}

}  // namespace

void register_forest(py::module_& module) {
    module.attr("NO_NODE") = NO_NODE;
    module.attr("BUSY") = BUSY;
    module.def("simd_levels", &simd_levels, docs::simd_levels);
    module.def("simd_level", &simd_level, docs::simd_level);
    module.def("use_simd_level", &use_simd_level, py::arg("level"), docs::use_simd_level);
    const py::arg tree("tree");
    const py::arg trees = py::arg("trees").noconvert(), nodes = py::arg("nodes").noconvert(),
                  values = py::arg("values").noconvert();

    py::class_<SharedForest, py::smart_holder>(module, "Forest", docs::Forest)
        .def(py::init<std::int64_t, std::int64_t, std::optional<std::int64_t>, bool>(),
             py::arg("max_trees"), py::arg("nodes_per_tree"), py::kw_only(),
             py::arg("memory_limit_bytes") = py::none(), py::arg("keep_values") = false)
        .def_property_readonly("max_trees", &get<&Forest::max_trees>, docs::Forest_max_trees)
        .def_property_readonly("nodes_per_tree", &get<&Forest::nodes_per_tree>,
                               docs::Forest_nodes_per_tree)
        .def_property_readonly("num_trees", &get<&Forest::num_trees>, docs::Forest_num_trees)
        .def_property_readonly("keeps_values", &get<&Forest::keeps_values>,
                               docs::Forest_keeps_values)
        .def_property_readonly("memory_bytes", &get<&Forest::memory_bytes>,
                               docs::Forest_memory_bytes)
        .def_property_readonly("memory_limit_bytes", &memory_limit_bytes,
                               docs::Forest_memory_limit_bytes)
        .def_property("threads", &get<&Forest::threads>, &set_threads, docs::Forest_threads)
        .def("new_trees", &new_trees, py::arg("count"), docs::Forest_new_trees)
        .def("free_trees", for_ids("free_trees", "trees", &Forest::free_trees), trees,
             docs::Forest_free_trees)
        .def("root", &of_tree<&Forest::root>, tree, docs::Forest_root)
        .def("num_nodes", &of_tree<&Forest::num_nodes>, tree, docs::Forest_num_nodes)
        .def("expand", &expand, nodes, py::arg("counts").noconvert(),
             py::arg("values").noconvert() = py::none(), docs::Forest_expand)
        .def("select", &select, nodes, py::arg("moves").noconvert(), py::arg("c"), py::kw_only(),
             py::arg("claim") = false, py::arg("widening") = 0.0,
             py::arg("widening_exponent") = 0.5, py::arg("max_draws") = MAX_CHILDREN,
             docs::Forest_select)
        .def("simulate", &simulate, nodes, py::arg("counts").noconvert(),
             py::arg("child_values").noconvert().none(true), values, py::arg("starts").noconvert(),
             py::arg("moves").noconvert(), py::arg("c"), py::kw_only(), py::arg("claim") = false,
             docs::Forest_simulate)
        .def("append", &append, nodes, docs::Forest_append)
        .def("redraw", for_ids("redraw", "nodes", &Forest::redraw), nodes, docs::Forest_redraw)
        .def("backup", add_values("backup", &Forest::backup), nodes, values, docs::Forest_backup)
        .def("add", add_values("add", &Forest::add), nodes, values, docs::Forest_add)
        .def("set_terminal", for_ids("set_terminal", "nodes", &Forest::set_terminal), nodes,
             docs::Forest_set_terminal)
        .def("release", for_ids("release", "nodes", &Forest::release), nodes, docs::Forest_release)
        .def("reroot", &reroot, py::arg("node"), docs::Forest_reroot)
        .def("prune", &prune, nodes, docs::Forest_prune)
        .def("visits", &statistic<&Forest::visits, std::int32_t>, tree, docs::Forest_visits)
        .def("value_sums", &statistic<&Forest::value_sums, double>, tree, docs::Forest_value_sums)
        .def("q", &statistic<&Forest::q, double>, tree, docs::Forest_q)
        .def("parents", &statistic<&Forest::parents, NodeId>, tree, docs::Forest_parents)
        .def("first_children", &statistic<&Forest::first_children, NodeId>, tree,
             docs::Forest_first_children)
        .def("num_children", &statistic<&Forest::num_children, std::int32_t>, tree,
             docs::Forest_num_children)
        .def("draws", &statistic<&Forest::draws, std::int32_t>, tree, docs::Forest_draws)
        .def("terminal", &statistic<&Forest::terminal, bool>, tree, docs::Forest_terminal)
        .def("in_flight", &statistic<&Forest::in_flight, bool>, tree, docs::Forest_in_flight)
        .def("verify", &verify, docs::Forest_verify)
        .def("save", &save, py::arg("path"), docs::Forest_save)
        .def_static("load", &load, py::arg("path"), py::kw_only(),
                    py::arg("memory_limit_bytes") = py::none(), docs::Forest_load)
        .def(py::pickle(&to_bytes, &from_bytes))
        .def("__repr__", &repr);
}

}  // namespace rstar_fast::bindings
