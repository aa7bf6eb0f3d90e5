// One way of a branch, or one iteration of a loop, that was walked into a block of the graph and
// taken back.
#pragma once

#include "frontend/interpreter.h"
#include "frontend/merge.h"

namespace bifront {

// What it leaves behind.
struct Interpreter::Way {
  GraphRecorder::BlockPtr block{nullptr, nullptr};
  std::vector<ValueId> arguments; // of the block
  Completion completion = Completion::Normal;
  PyRef value; // of an expression, or what the caller makes of it
  PyRef returned;
  std::vector<PyRef> slots;
  std::vector<PythonLog::Change> changes;
};

inline bool isSamePlace(const PythonLog::Change &a, const PythonLog::Change &b) {
  if (a.slot.object.get() != b.slot.object.get() || a.isContainer != b.isContainer)
    return false;
  if (a.isContainer || !a.slot.key)
    return true;
  return checked(PyObject_RichCompareBool(a.slot.key.get(), b.slot.key.get(), Py_EQ)) != 0;
}

} // namespace bifront
