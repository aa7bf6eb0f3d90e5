// A call of a Python function in the middle of a graph, as plain data.
#pragma once

#include "support/tensor_type.h"

#include <string>
#include <vector>

namespace bifront {

struct PythonCall {
  std::string name;                      // of the callee, for people
  std::vector<ValueType::Kind> operands; // Object, Int, Float, Bool or Tensor
  std::vector<std::string> keywords;     // of the last operands
  std::string site = {}; // the program's expression that makes the call, by its place; or empty
};

} // namespace bifront
