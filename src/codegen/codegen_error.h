#pragma once

#include <stdexcept>

namespace bifront {

// What codegen cannot do, as a sentence for the user. The function then runs in CPython.
struct CodegenError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

} // namespace bifront
