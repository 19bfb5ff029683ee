// The core's exceptions. The bindings turn each into the class of the same name in rstar_fast/errors.py.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace rstar_fast {

// A call was refused; the forest is unchanged.
class ForestError : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

// A tree or the forest has no room for what was asked; the forest is unchanged.
class CapacityError : public ForestError {
    using ForestError::ForestError;
};

// A layout of packed trees was refused.
class PackError : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

// A bug of ours.
class InternalError : public std::logic_error {
    using std::logic_error::logic_error;
};

template <class... Parts>
std::string concat(const Parts&... parts) {
    std::ostringstream text;
    (text << ... << parts);
    return text.str();
}

}  // namespace rstar_fast
