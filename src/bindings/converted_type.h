// The Python type `ConvertedFunction`: a plain vectorcall type, because its call is the hot path.
#pragma once

#include <Python.h>

namespace bifront {

// Creates the type; a new reference, or null with an exception set.
PyObject *makeConvertedFunctionType();

} // namespace bifront
