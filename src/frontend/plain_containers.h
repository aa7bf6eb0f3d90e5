// Lists, dicts, sets, deques and bytearrays as what they are in C: methods that a class of the
// program has of its own are not called. Throws PythonError.
#pragma once

#include "support/py_ref.h"

namespace bifront {

// The class of C that its class derives from.
PyTypeObject *plainType(PyObject *container);
// Over the items, or the keys of a dict.
PyRef plainIterator(PyObject *container);
PyRef callPlainMethod(PyObject *container, const char *name, PyObject *argument = nullptr);
// With the same contents, of a type of C; of a deque or a bytearray a list.
PyRef plainCopy(PyObject *container);
// Gives a container the contents of such a copy.
void putBack(PyObject *container, PyObject *copy);

} // namespace bifront
