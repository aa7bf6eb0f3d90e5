// Whether somebody else may change what a call has returned.
#pragma once

#include "support/py_ref.h"

namespace bifront {

// A plain value, or a tuple of such.
bool isPlainNest(PyObject *object);

// Nobody else has the lists, dicts, tuples and arrays that the object consists of: neither what is
// behind the call changes them, nor a later call. `references`: to the object, by those who ask.
bool isPrivate(PyObject *object, Py_ssize_t references);

} // namespace bifront
