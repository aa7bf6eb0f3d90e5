// What stops a capture: something that a graph cannot express, in one sentence for the user.
#pragma once

#include <stdexcept>

namespace bifront {

struct CaptureError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

} // namespace bifront
