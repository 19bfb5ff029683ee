// The core's exceptions. The bindings turn each into the class of the same name in
// rstar_fast/errors.py.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace rstar_fast {

// A call was refused. The forest is unchanged.
class ForestError : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

// A tree or the forest has no room for the new nodes. The forest is unchanged.
class CapacityError : public ForestError {
    using ForestError::ForestError;
};

// Trees cannot be packed as asked, or a packed layout is malformed.
class PackError : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

// A bug in rstar_fast.
class InternalError : public std::logic_error {
    using std::logic_error::logic_error;
};

// Returns the parts as one text.
template <class... Parts>
std::string concat(const Parts&... parts) {
    std::ostringstream text;
    (text << ... << parts);
    return text.str();
}

}  // namespace rstar_fast
