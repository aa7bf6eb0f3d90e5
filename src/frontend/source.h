// Where the source of a function is, found through linecache and checked against its code.
#pragma once

#include "support/py_ref.h"

#include <functional>

namespace bifront::syntax {

struct Source {
  PyRef node;     // ast.FunctionDef, AsyncFunctionDef or Lambda
  PyRef compiled; // the function's code once more, compiled from the node: the same, its nested
                  // code in the same places, and its lines and columns are the node's
  int lineShift;  // from the node's lines to the file's
};

// Throws Unread.
Source sourceOf(PyFunctionObject *function);

// Whether `dataclasses` has made the function.
bool isGenerated(PyFunctionObject *function);

// The function's code compiled from its nodes as `change` leaves them. Throws Unread.
PyRef codeWith(PyFunctionObject *function,
               const std::function<void(PyObject *node, int lineShift)> &change);

} // namespace bifront::syntax
