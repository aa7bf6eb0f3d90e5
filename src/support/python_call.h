// A call of a Python function in the middle of a graph, as plain data.
#pragma once

#include "support/tensor_type.h"

#include <string>
#include <string_view>
#include <vector>

namespace bifront {

// Names of calls that the program does not make, but the graph for it: an attribute that is written
// to an object of which only the run knows, an object that the run makes, and a look at where an
// array lies.
constexpr std::string_view kWriteCall = "write an attribute", kMakeCall = "make an object",
                           kApartCall = "keep an array apart";

struct PythonCall {
  std::string name;                      // of the callee, for people
  std::vector<ValueType::Kind> operands; // Object, Int, Float, Bool or Tensor
  std::vector<std::string> keywords;     // of the last operands
  std::string site = {}; // the program's expression that makes the call, by its place; or empty

  bool isOfProgram() const { return name != kWriteCall && name != kMakeCall && name != kApartCall; }
};

} // namespace bifront
