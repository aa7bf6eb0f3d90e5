// Functions of bifront._walked: what CPython does in C, as Python that the walk goes through.
#pragma once

#include "support/py_ref.h"

namespace bifront {

// Throws PythonError where there is none of that name.
PyRef walkedHelper(const char *name);

} // namespace bifront
