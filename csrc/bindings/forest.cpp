#include "../forest.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include <filesystem>
#include <mutex>
#include <optional>

#include "../errors.hpp"
#include "../uct.hpp"
#include "register.hpp"

namespace py = pybind11;

namespace rstar_fast::bindings {

namespace {

// With py::arg().noconvert(): the exact dtype and contiguous, or a TypeError.
template <class T>
using Array = py::array_t<T, py::array::c_style>;

template <class T>
std::span<const T> span_of(const char* call, const char* name, const Array<T>& array) {
    if (array.ndim() != 1) throw ForestError(concat(call, ": ", name, " must have one dimension, got ", array.ndim()));
    return {array.data(), static_cast<std::size_t>(array.size())};
}

template <class T>
std::span<T> span_of(Array<T>& array) {
    return {array.mutable_data(), static_cast<std::size_t>(array.size())};
}

// A NumPy array that owns the vector's memory.
template <class Element, class T>
py::array_t<Element> to_array(std::vector<T> values) {
    static_assert(sizeof(Element) == sizeof(T));
    auto owner = std::make_unique<std::vector<T>>(std::move(values));
    const auto size = static_cast<py::ssize_t>(owner->size());
    const auto* data = reinterpret_cast<const Element*>(owner->data());
    const py::capsule base(owner.get(), [](void* vector) { delete static_cast<std::vector<T>*>(vector); });
    owner.release();
    return py::array_t<Element>(size, data, base);
}

// A forest for Python: every call releases the GIL and holds the forest's own lock, so threads may share one.
class SharedForest {
   public:
    SharedForest(std::int64_t max_trees, std::int64_t nodes_per_tree, std::optional<std::int64_t> memory_limit_bytes,
                 bool keep_values)
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

py::array_t<TreeId> new_trees(SharedForest& self, std::int64_t count) {
    return to_array<TreeId>(self.with([&](Forest& forest) { return forest.new_trees(count); }));
}

Array<NodeId> expand(SharedForest& self, const Array<NodeId>& nodes, const Array<std::int32_t>& counts,
                     const std::optional<Array<double>>& values) {
    const auto node_span = span_of("expand", "nodes", nodes);
    const auto count_span = span_of("expand", "counts", counts);
    std::optional<std::span<const double>> value_span;
    if (values) value_span = span_of("expand", "values", *values);
    Array<NodeId> first_children(nodes.size());
    self.with([&, out = span_of(first_children)](Forest& forest) { forest.expand(node_span, count_span, value_span, out); });
    return first_children;
}

py::tuple select(SharedForest& self, const Array<NodeId>& nodes, const Array<std::int32_t>& moves, double c, bool claim) {
    const auto node_span = span_of("select", "nodes", nodes);
    const auto move_span = span_of("select", "moves", moves);
    Array<NodeId> reached(nodes.size());
    Array<std::int32_t> moves_left(nodes.size());
    self.with([&, reached_span = span_of(reached), left_span = span_of(moves_left)](Forest& forest) {
        forest.select(node_span, move_span, c, claim, reached_span, left_span);
    });
    return py::make_tuple(std::move(reached), std::move(moves_left));
}

auto add_values(const char* call, void (Forest::*method)(std::span<const NodeId>, std::span<const double>)) {
    return [=](SharedForest& self, const Array<NodeId>& nodes, const Array<double>& values) {
        const auto node_span = span_of(call, "nodes", nodes);
        const auto value_span = span_of(call, "values", values);
        self.with([&](Forest& forest) { (forest.*method)(node_span, value_span); });
    };
}

auto for_ids(const char* call, const char* name, void (Forest::*method)(std::span<const std::int32_t>)) {
    return [=](SharedForest& self, const Array<std::int32_t>& ids) {
        const auto id_span = span_of(call, name, ids);
        self.with([&](Forest& forest) { (forest.*method)(id_span); });
    };
}

template <auto method, class Element>
py::array_t<Element> statistic(SharedForest& self, std::int64_t tree) {
    return to_array<Element>(self.with([&](const Forest& forest) { return (forest.*method)(tree); }));
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
    const std::vector<char> bytes = self.with([](const Forest& forest) { return forest.to_bytes("pickle"); });
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

std::unique_ptr<SharedForest> load(const std::filesystem::path& path, std::optional<std::int64_t> limit_bytes) {
    const py::gil_scoped_release no_gil;
    return std::make_unique<SharedForest>(Forest::load(path.string(), limit_bytes.value_or(NO_LIMIT)));
}

std::string repr(SharedForest& self) {
    return self.with([](const Forest& forest) {
        return concat("Forest(max_trees=", forest.max_trees(), ", nodes_per_tree=", forest.nodes_per_tree(),
                      ", num_trees=", forest.num_trees(), ")");
    });
}

}  // namespace

void register_forest(py::module_& module) {
    module.attr("NO_NODE") = NO_NODE;
    module.attr("BUSY") = BUSY;
    module.def("simd_levels", &simd_levels, "Instruction sets that this machine has code for, the fastest first.");
    module.def("simd_level", &simd_level, "The instruction set in use.");
    module.def("use_simd_level", &use_simd_level, py::arg("level"), "Chooses the instruction set for all forests.");
    const py::arg tree("tree");
    const py::arg trees = py::arg("trees").noconvert(), nodes = py::arg("nodes").noconvert(),
                  values = py::arg("values").noconvert();

    // The first line of each docstring in _core.pyi, which says the rest.
    py::class_<SharedForest, py::smart_holder>(module, "Forest", "Trees of at most `nodes_per_tree` nodes each.")
        .def(py::init<std::int64_t, std::int64_t, std::optional<std::int64_t>, bool>(), py::arg("max_trees"),
             py::arg("nodes_per_tree"), py::kw_only(), py::arg("memory_limit_bytes") = py::none(), py::arg("keep_values") = false,
             "An empty forest.")
        .def_property_readonly("max_trees", &get<&Forest::max_trees>, "Trees that can exist at a time.")
        .def_property_readonly("nodes_per_tree", &get<&Forest::nodes_per_tree>, "Room of each tree, root included.")
        .def_property_readonly("num_trees", &get<&Forest::num_trees>, "Trees in use.")
        .def_property_readonly("keeps_values", &get<&Forest::keeps_values>, "Whether every value given is kept, for `verify`.")
        .def_property_readonly("memory_bytes", &get<&Forest::memory_bytes>, "Memory that the nodes take, to whole pages.")
        .def_property_readonly("memory_limit_bytes", &memory_limit_bytes,
                               "The most that `memory_bytes` may become, None for no limit.")
        .def_property("threads", &get<&Forest::threads>, &set_threads, "Most threads that one call uses.")
        .def("new_trees", &new_trees, py::arg("count"), "Plants trees of one unvisited root each, in the lowest free slots.")
        .def("free_trees", for_ids("free_trees", "trees", &Forest::free_trees), trees,
             "Forgets whole trees; their ids go out of use until their slots are planted again.")
        .def("root", &of_tree<&Forest::root>, tree, "Node id of a tree's root: tree * nodes_per_tree.")
        .def("num_nodes", &of_tree<&Forest::num_nodes>, tree, "Nodes in a tree, root included.")
        .def("expand", &expand, nodes, py::arg("counts").noconvert(), py::arg("values").noconvert() = py::none(),
             "Gives each node its children, unexpanded; a claim on it ends.")
        .def("select", &select, nodes, py::arg("moves").noconvert(), py::arg("c"), py::kw_only(), py::arg("claim") = false,
             "Walks down from each node while it has children and moves are left.")
        .def("backup", add_values("backup", &Forest::backup), nodes, values,
             "Adds a value and a visit to each node and to all its ancestors, in the order given.")
        .def("add", add_values("add", &Forest::add), nodes, values,
             "Adds a value and a visit to each node only, in the order given.")
        .def("set_terminal", for_ids("set_terminal", "nodes", &Forest::set_terminal), nodes,
             "Takes nodes out of selection for good; claims on them end.")
        .def("release", for_ids("release", "nodes", &Forest::release), nodes, "Takes back the claims on nodes in flight.")
        .def("reroot", &reroot, py::arg("node"), "Makes a node the root of its tree; what is not below it is forgotten.")
        .def("prune", &prune, nodes, "Forgets nodes of one tree and everything below them.")
        .def("visits", &statistic<&Forest::visits, std::int32_t>, tree,
             "Values added to each node of a tree, int32 [num_nodes], in id order as all of these.")
        .def("value_sums", &statistic<&Forest::value_sums, double>, tree,
             "Sum of the values added to each node, float64 [num_nodes].")
        .def("q", &statistic<&Forest::q, double>, tree,
             "Mean of the values added to each node, 0 where there are none, float64 [num_nodes].")
        .def("parents", &statistic<&Forest::parents, NodeId>, tree,
             "Node id of each node's parent, NO_NODE at the root, int32 [num_nodes].")
        .def("first_children", &statistic<&Forest::first_children, NodeId>, tree,
             "Node id of each node's first child, NO_NODE where it has none, int32 [num_nodes].")
        .def("num_children", &statistic<&Forest::num_children, std::int32_t>, tree, "Children of each node, int32 [num_nodes].")
        .def("terminal", &statistic<&Forest::terminal, bool>, tree, "Whether each node is out of selection, bool [num_nodes].")
        .def("in_flight", &statistic<&Forest::in_flight, bool>, tree, "Whether each node is claimed, bool [num_nodes].")
        .def("verify", &verify, "Checks everything the forest keeps.")
        .def("save", &save, py::arg("path"), "Writes the forest to a file, which is replaced as a whole or not at all.")
        .def_static("load", &load, py::arg("path"), py::kw_only(), py::arg("memory_limit_bytes") = py::none(),
                    "The forest that `save` wrote.")
        .def(py::pickle(&to_bytes, &from_bytes))
        .def("__repr__", &repr);
}

}  // namespace rstar_fast::bindings
