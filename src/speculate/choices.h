// Values of arguments that are neither tensors nor numbers of one type, and vary: texts, None,
// functions. A graph gets the number that such a value has here, and decides its path by it.
#pragma once

#include "support/py_ref.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace bifront {

// Whether `value` may be one of several: a plain constant, a function or a class.
bool isChoice(PyObject *value);

// The values that a function's conversions have met. Those that only other calls have are not kept.
class Choices {
public:
  int64_t numberOf(PyObject *value); // from now on
  // Nothing for a value that no conversion has met. Runs no Python code.
  std::optional<int64_t> find(PyObject *value) const;
  size_t size() const { return values_.size(); }
  PyObject *at(int64_t number) const { return values_[number].get(); }
  int traverse(visitproc visit, void *arg) const;

private:
  std::vector<PyRef> values_;
};

} // namespace bifront
