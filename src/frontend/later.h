// Values of Python that follow from numbers of the graph and that nobody looks at before the run is
// over: `f"{loss:.3f}"`, `round(loss, 2)`. In their place stands an object that says which function
// makes them; the commit calls it. Whatever else the program does with it is refused.
#pragma once

#include "frontend/python_error.h"

#include <vector>

namespace bifront {

// What `function`, which reads its arguments alone, will return for `arguments`: an object of
// `type`.
PyRef makeLater(PyTypeObject *type, PyObject *function, const std::vector<PyRef> &arguments);
bool isLater(PyObject *object);
// Of such an object, borrowed; `arguments` is a tuple.
PyTypeObject *laterType(PyObject *later);
PyObject *laterFunction(PyObject *later);
PyObject *laterArguments(PyObject *later);

} // namespace bifront
