// Which types are classes of Python's `class` statement, and where their instances have what they
// hold.
#pragma once

#include "support/py_ref.h"

#include <vector>

namespace bifront {

// What a `class` statement makes, and no type of C that keeps more than that.
bool isClass(PyTypeObject *type);
// The type of C whose memory layout the class extends.
PyTypeObject *solidBase(PyTypeObject *type);
// The object's dict, which it keeps alive; null where its class has none.
PyObject *dictOf(PyObject *object);
PyTypeObject *dequeType();
PyTypeObject *defaultDictType();

// The descriptors of `__slots__` (and of a defaultdict's factory) that the type has or inherits;
// borrowed.
std::vector<PyObject *> memberDescriptors(PyTypeObject *type);
// Where an instance has the value of such a descriptor.
PyObject **memberPlace(PyObject *object, PyObject *descriptor);

} // namespace bifront
