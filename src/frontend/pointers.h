// What the program has in the place of a Python object that only the run of the graph knows. The
// interpreter reads it for the program; whatever else C tries to do with it is refused.
#pragma once

#include "ir/graph_recorder.h"
#include "support/py_ref.h"

#include <functional>
#include <optional>

namespace bifront {

PyRef makePointer(ValueId value);
// Nothing for other objects.
std::optional<ValueId> pointerOf(PyObject *object);

// While it lives, `refuse` hears of what C does with pointers in this thread, and leaves a Python
// exception.
class PointerGuard {
public:
  explicit PointerGuard(std::function<void()> refuse);
  ~PointerGuard();
  PointerGuard(const PointerGuard &) = delete;

private:
  std::function<void()> refuse_, *outer_;
};

// What is found under that name in an object, or in its class, where no code runs to find it; null:
// nothing.
PyRef plainAttribute(PyObject *object, PyObject *name);

} // namespace bifront
