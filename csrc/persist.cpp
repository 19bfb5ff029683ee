// The saved form of a forest, little-endian and without padding:
//
//   Header
//   num_nodes      i32 [max_trees]
//   per tree in use, in id order: its nodes' entries of each array, in the order of NodeArrays::for_each
//   checksum       u64, of all bytes before it
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

static_assert(std::endian::native == std::endian::little, "the saved form is memory as it is");

struct Header {
    std::array<char, 8> magic{'r', 's', 't', 'a', 'r', 'f', 's', 't'};
    std::uint32_t version = 1;
    std::uint32_t node_bytes = NODE_BYTES;
    std::int32_t max_trees = 0;
    std::int32_t nodes_per_tree = 0;
    std::int64_t size_bytes = 0;  // of the whole file
};
static_assert(sizeof(Header) == 32);

// FNV-1a over 64 bits.
class Checksum {
   public:
    void update(const void* data, std::size_t size_bytes) {
        const auto* bytes = static_cast<const unsigned char*>(data);
        for (std::size_t i = 0; i < size_bytes; ++i) value_ = (value_ ^ bytes[i]) * 0x100000001b3U;
    }
    std::uint64_t value() const { return value_; }

   private:
    std::uint64_t value_ = 0xcbf29ce484222325U;
};

[[noreturn]] void refuse(const char* call, const std::string& path, const std::string& reason) {
    throw ForestError(concat(call, ": ", path, ": ", reason));
}

// A file under construction beside its final name; it is removed unless it was put in place.
class FileWriter {
   public:
    explicit FileWriter(std::string path) : path_(std::move(path)), unfinished_(concat(path_, ".tmp", ::getpid())) {
        file_ = std::fopen(unfinished_.c_str(), "wb");
        if (!file_) refuse("save", path_, std::strerror(errno));
    }
    ~FileWriter() {
        if (file_) std::fclose(file_);
        if (!in_place_) std::remove(unfinished_.c_str());
    }
    FileWriter(const FileWriter&) = delete;
    FileWriter& operator=(const FileWriter&) = delete;

    void write(const void* data, std::size_t size_bytes) {
        require(std::fwrite(data, 1, size_bytes, file_) == size_bytes);
        checksum_.update(data, size_bytes);
    }
    void finish() {
        const std::uint64_t checksum = checksum_.value();
        write(&checksum, sizeof(checksum));
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
    Checksum checksum_;
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

Header checked_header(const std::string& path, const std::vector<char>& bytes) {
    const Header expected;
    Header header;
    if (bytes.size() < sizeof(header)) refuse("load", path, "not a saved forest");
    std::memcpy(&header, bytes.data(), sizeof(header));
    if (header.magic != expected.magic) refuse("load", path, "not a saved forest");
    if (header.version != expected.version || header.node_bytes != expected.node_bytes)
        refuse("load", path, concat("saved as version ", header.version, ", this build reads version ", expected.version));
    if (header.size_bytes != std::ssize(bytes) || bytes.size() < sizeof(header) + sizeof(std::uint64_t))
        refuse("load", path, concat("truncated or damaged: expected ", header.size_bytes, " bytes, got ", bytes.size()));

    Checksum checksum;
    const std::size_t checked_bytes = bytes.size() - sizeof(std::uint64_t);
    checksum.update(bytes.data(), checked_bytes);
    std::uint64_t stored = 0;
    std::memcpy(&stored, bytes.data() + checked_bytes, sizeof(stored));
    if (stored != checksum.value()) refuse("load", path, "damaged: the checksum differs");
    return header;
}

}  // namespace

void Forest::save(const std::string& path) const {
    std::int64_t used = 0;
    for (TreeId tree = 0; tree < max_trees_; ++tree) {
        if (num_nodes_[tree] == 0) continue;
        used += num_nodes_[tree];
        if (const std::string fault = tree_fault(tree); !fault.empty())
            throw InternalError(concat("save: tree ", tree, ": ", fault));
    }
    const std::size_t table_bytes = static_cast<std::size_t>(max_trees_) * sizeof(std::int32_t);
    const std::size_t size_bytes =
        sizeof(Header) + table_bytes + static_cast<std::size_t>(used) * NODE_BYTES + sizeof(std::uint64_t);
    Header header;
    header.max_trees = max_trees_;
    header.nodes_per_tree = nodes_per_tree_;
    header.size_bytes = static_cast<std::int64_t>(size_bytes);

    FileWriter file(path);
    file.write(&header, sizeof(header));
    file.write(&num_nodes_[0], table_bytes);
    for (TreeId tree = 0; tree < max_trees_; ++tree) {
        const auto count = static_cast<std::size_t>(num_nodes_[tree]);
        if (count > 0)
            NodeArrays::for_each(nodes_, [&](auto& array) { file.write(&array[root_of(tree)], count * sizeof(array[0])); });
    }
    file.finish();
}

Forest Forest::load(const std::string& path) {
    const std::vector<char> bytes = read_file(path);
    const Header header = checked_header(path, bytes);
    const char* next = bytes.data() + sizeof(Header);
    const char* end = bytes.data() + bytes.size() - sizeof(std::uint64_t);
    const auto take = [&](void* to, std::size_t size_bytes) {
        if (static_cast<std::size_t>(end - next) < size_bytes) refuse("load", path, "damaged: sizes don't add up");
        std::memcpy(to, next, size_bytes);
        next += size_bytes;
    };

    if (header.max_trees < 1 || header.nodes_per_tree < 1 || std::int64_t{header.max_trees} * header.nodes_per_tree > MAX_NODES ||
        (end - next) / 4 < header.max_trees)
        refuse("load", path, concat("damaged: ", header.max_trees, " trees of ", header.nodes_per_tree, " nodes"));
    Forest forest(header.max_trees, header.nodes_per_tree);
    take(&forest.num_nodes_[0], static_cast<std::size_t>(header.max_trees) * sizeof(std::int32_t));
    for (TreeId tree = 0; tree < forest.max_trees_; ++tree) {
        const std::int32_t count = forest.num_nodes_[tree];
        if (count == 0) continue;
        if (count < 0 || count > header.nodes_per_tree)
            refuse("load", path, concat("damaged: tree ", tree, " of ", count, " nodes"));
        NodeArrays::for_each(forest.nodes_, [&](auto& array) {
            take(&array[forest.root_of(tree)], static_cast<std::size_t>(count) * sizeof(array[0]));
        });
        ++forest.num_trees_;
        if (const std::string fault = forest.tree_fault(tree); !fault.empty())
            refuse("load", path, concat("damaged: tree ", tree, ": ", fault));
    }
    if (next != end) refuse("load", path, "damaged: sizes don't add up");
    return forest;
}

}  // namespace rstar_fast
