// The saved form of a forest, little-endian and without padding:
//
//   Header
//   num_nodes      i32 [max_trees]
//   widened        u8 [max_trees], 1 for a tree with lists of siblings
//   For each tree in use, in the order of the ids, arrays of num_nodes entries:
//     value_sum    f64
//     visits       i32
//     first_child  i32, NO_NODE where there are no children
//     parent       i32
//     state        u16
//     siblings     (next i32, draws i32), if the tree is widened
//   For each tree in use, if values are kept:
//     count        i64
//     values       count times (value f64, node i32, upward u32)
//   checksum       u64 of all bytes before it
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "errors.hpp"
#include "forest.hpp"

namespace rstar_fast {

namespace {

static_assert(std::endian::native == std::endian::little,
              "the saved form has the byte order of memory");

struct Header {
    std::array<char, 8> magic{'r', 's', 't', 'a', 'r', 'f', 's', 't'};
    std::uint32_t version = 3;
    std::uint16_t node_bytes = NODE_BYTES;
    std::uint16_t keeps_values = 0;
    std::int32_t max_trees = 0;
    std::int32_t nodes_per_tree = 0;
    // Size of the whole saved form, checksum included.
    std::int64_t size_bytes = 0;
};
static_assert(sizeof(Header) == 32);

// Returns the 64-bit FNV-1a hash of the bytes.
std::uint64_t checksum_of(std::span<const char> bytes) {
    std::uint64_t value = 0xcbf29ce484222325U;
    for (const char byte : bytes)
        value = (value ^ static_cast<unsigned char>(byte)) * 0x100000001b3U;
    return value;
}

[[noreturn]] void refuse(const char* call, const std::string& source, const std::string& reason) {
    throw ForestError(concat(call, ": ", source, ": ", reason));
}

// Writes a file under a temporary name beside its final one, and renames it once it is complete.
// The temporary file is removed if that fails.
class FileWriter {
   public:
    explicit FileWriter(std::string path)
        : path_(std::move(path)), unfinished_(concat(path_, ".tmp", ::getpid())) {
        file_ = std::fopen(unfinished_.c_str(), "wb");
        if (!file_) refuse("save", path_, std::strerror(errno));
    }
    ~FileWriter() {
        if (file_) std::fclose(file_);
        if (!in_place_) std::remove(unfinished_.c_str());
    }
    FileWriter(const FileWriter&) = delete;
    FileWriter& operator=(const FileWriter&) = delete;

    void write(std::span<const char> bytes) {
        require(std::fwrite(bytes.data(), 1, bytes.size(), file_) == bytes.size());
        require(std::fflush(file_) == 0 && ::fsync(::fileno(file_)) == 0);
        require(std::rename(unfinished_.c_str(), path_.c_str()) == 0);
        in_place_ = true;
    }

   private:
    void require(bool done) const {
        if (!done) refuse("save", path_, std::strerror(errno));
    }

    std::string path_;
    std::string unfinished_;
    std::FILE* file_;
    bool in_place_ = false;
};

std::vector<char> read_file(const std::string& path) {
    std::error_code error;
    const std::uintmax_t size_bytes = std::filesystem::file_size(path, error);
    if (error) refuse("load", path, error.message());
    std::vector<char> bytes(size_bytes);
    std::ifstream file(path, std::ios::binary);
    if (!file.read(bytes.data(), std::ssize(bytes))) refuse("load", path, "cannot be read");
    return bytes;
}

Header checked_header(const std::string& source, std::span<const char> bytes) {
    const Header expected;
    Header header;
    if (bytes.size() < sizeof(header)) refuse("load", source, "not a saved forest");
    std::memcpy(&header, bytes.data(), sizeof(header));
    if (header.magic != expected.magic) refuse("load", source, "not a saved forest");
    if (header.version != expected.version || header.node_bytes != expected.node_bytes)
        refuse("load", source,
               concat("saved as version ", header.version, ", ", header.node_bytes,
                      " bytes a node; this build reads version ", expected.version, ", ",
                      expected.node_bytes));
    if (header.size_bytes != std::ssize(bytes) ||
        bytes.size() < sizeof(header) + sizeof(std::uint64_t))
        refuse("load", source,
               concat("truncated or damaged: expected ", header.size_bytes, " bytes, got ",
                      bytes.size()));

    std::uint64_t stored = 0;
    std::memcpy(&stored, bytes.data() + bytes.size() - sizeof(stored), sizeof(stored));
    if (stored != checksum_of(bytes.first(bytes.size() - sizeof(stored))))
        refuse("load", source, "damaged: the checksum differs");
    if (header.keeps_values > 1)
        refuse("load", source, concat("damaged: keeps_values is ", header.keeps_values));
    if (header.max_trees < 1 || header.nodes_per_tree < 1 ||
        std::int64_t{header.max_trees} * header.nodes_per_tree > MAX_NODES)
        refuse(
            "load", source,
            concat("damaged: ", header.max_trees, " trees of ", header.nodes_per_tree, " nodes"));
    return header;
}

// Reads a saved form from front to back.
class Reader {
   public:
    Reader(const std::string& source, std::span<const char> bytes)
        : source_(source), left_(bytes) {}

    void take(void* to, std::size_t size_bytes) {
        if (left_.size() < size_bytes)
            refuse("load", source_, "damaged: the sizes of its parts do not add up");
        if (size_bytes > 0) std::memcpy(to, left_.data(), size_bytes);
        left_ = left_.subspan(size_bytes);
    }
    std::size_t left() const { return left_.size(); }

   private:
    const std::string& source_;
    std::span<const char> left_;
};

}  // namespace

std::vector<char> Forest::to_bytes(const char* call) const {
    Header header;
    header.keeps_values = keeps_values();
    header.max_trees = max_trees_;
    header.nodes_per_tree = nodes_per_tree_;
    header.size_bytes = sizeof(header) + max_trees_ * std::int64_t{sizeof(num_nodes_[0]) + 1} +
                        siblings_bytes_ + std::int64_t{sizeof(std::uint64_t)};
    for (TreeId tree = 0; tree < max_trees_; ++tree) {
        header.size_bytes += num_nodes_[tree] * static_cast<std::int64_t>(NODE_BYTES);
        if (keeps_values() && num_nodes_[tree] > 0)
            header.size_bytes += std::int64_t{sizeof(std::int64_t)} +
                                 std::ssize(given_of(tree)) * std::int64_t{sizeof(Given)};
    }

    std::vector<char> bytes;
    bytes.reserve(static_cast<std::size_t>(header.size_bytes));
    const auto put = [&](const void* data, std::size_t size_bytes) {
        const auto* begin = static_cast<const char*>(data);
        bytes.insert(bytes.end(), begin, begin + size_bytes);
    };
    put(&header, sizeof(header));
    put(&num_nodes_[0], static_cast<std::size_t>(max_trees_) * sizeof(num_nodes_[0]));
    for (TreeId tree = 0; tree < max_trees_; ++tree) bytes.push_back(is_widened(tree));
    for (TreeId tree = 0; tree < max_trees_; ++tree) {
        if (num_nodes_[tree] == 0) continue;
        if (const std::string fault = tree_fault(tree); !fault.empty())
            throw InternalError(concat(call, ": tree ", tree, ": ", fault));
        const auto put_all = [&](const auto& values) {
            put(values.data(), values.size() * sizeof(values[0]));
        };
        put_all(value_sums(tree)), put_all(visits(tree)), put_all(first_children(tree)),
            put_all(parents(tree));
        put_all(states(call, tree));
        if (is_widened(tree)) put_all(siblings_[static_cast<std::size_t>(tree)]);
    }
    for (TreeId tree = 0; keeps_values() && tree < max_trees_; ++tree) {
        if (num_nodes_[tree] == 0) continue;
        const std::int64_t count = std::ssize(given_of(tree));
        put(&count, sizeof(count));
        put(given_of(tree).data(), given_of(tree).size() * sizeof(Given));
    }
    const std::uint64_t checksum = checksum_of(bytes);
    put(&checksum, sizeof(checksum));
    return bytes;
}

Forest Forest::from_bytes(const std::string& source, std::span<const char> bytes,
                          std::int64_t memory_limit_bytes) {
    const Header header = checked_header(source, bytes);
    Reader reader(source, bytes.subspan(sizeof(header),
                                        bytes.size() - sizeof(header) - sizeof(std::uint64_t)));
    if (reader.left() / (sizeof(std::int32_t) + 1) < static_cast<std::size_t>(header.max_trees))
        refuse("load", source,
               concat("damaged: ", header.max_trees, " trees in ", bytes.size(), " bytes"));

    Forest forest(header.max_trees, header.nodes_per_tree, memory_limit_bytes, header.keeps_values);
    reader.take(&forest.num_nodes_[0],
                static_cast<std::size_t>(header.max_trees) * sizeof(std::int32_t));
    std::vector<char> widened(static_cast<std::size_t>(header.max_trees));
    reader.take(widened.data(), widened.size());
    std::vector<TreeId> trees;
    for (TreeId tree = 0; tree < forest.max_trees_; ++tree) {
        const std::int32_t count = forest.num_nodes_[tree];
        if (count == 0) continue;
        if (count < 0 || count > header.nodes_per_tree)
            refuse("load", source, concat("damaged: tree ", tree, " of ", count, " nodes"));
        const auto take_all = [&](auto&& element) {
            for (NodeId node = forest.root_of(tree); node < forest.root_of(tree) + count; ++node)
                reader.take(&element(node), sizeof(element(node)));
        };
        take_all([&](NodeId node) -> double& { return forest.nodes_.value_sum(node); });
        take_all([&](NodeId node) -> std::int32_t& { return forest.nodes_.visits(node); });
        take_all([&](NodeId node) -> NodeId& { return forest.nodes_.first_child(node); });
        take_all([&](NodeId node) -> NodeId& { return forest.nodes_.parent(node); });
        take_all([&](NodeId node) -> std::uint16_t& { return forest.nodes_.state(node); });
        if (widened[static_cast<std::size_t>(tree)] == 1) {
            forest.siblings_.resize(static_cast<std::size_t>(header.max_trees));
            forest.siblings_[static_cast<std::size_t>(tree)].resize(
                static_cast<std::size_t>(count));
            forest.siblings_bytes_ += count * std::int64_t{sizeof(Sibling)};
            take_all([&](NodeId node) -> Sibling& { return forest.sibling(node); });
        }
        for (NodeId node = forest.root_of(tree); node < forest.root_of(tree) + count; ++node)
            if (forest.num_children_of(node) == 0 && forest.nodes_.first_child(node) != NO_NODE)
                refuse("load", source,
                       concat("damaged: tree ", tree, ": node ", node,
                              " has a first child and no children"));
        if (const std::string fault = forest.tree_fault(tree); !fault.empty())
            refuse("load", source, concat("damaged: tree ", tree, ": ", fault));
        trees.push_back(tree);
    }
    for (std::size_t i = 0; forest.keeps_values() && i < trees.size(); ++i) {
        std::int64_t count = 0;
        reader.take(&count, sizeof(count));
        if (count < 0 || static_cast<std::uint64_t>(count) > reader.left() / sizeof(Given))
            refuse("load", source, "damaged: the sizes of its parts do not add up");
        std::vector<Given>& given = forest.given_[static_cast<std::size_t>(trees[i])];
        given.resize(static_cast<std::size_t>(count));
        reader.take(given.data(), given.size() * sizeof(Given));
    }
    if (reader.left() > 0) refuse("load", source, "damaged: the sizes of its parts do not add up");
    for (std::size_t tree = 0; tree < widened.size(); ++tree)
        if (widened[tree] != forest.is_widened(static_cast<TreeId>(tree)))
            refuse("load", source,
                   concat("damaged: tree ", tree, " is marked as neither widened nor not"));
    forest.num_trees_ = static_cast<std::int32_t>(trees.size());
    if (!trees.empty()) forest.paths_.resize(static_cast<std::size_t>(trees.back()) + 1);
    forest.charge("load", trees);
    return forest;
}

void Forest::save(const std::string& path) const { FileWriter(path).write(to_bytes("save")); }

Forest Forest::load(const std::string& path, std::int64_t memory_limit_bytes) {
    return from_bytes(path, read_file(path), memory_limit_bytes);
}

}  // namespace rstar_fast
