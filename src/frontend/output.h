// What the program says to its user: prints, sys.stdout and sys.stderr, logging, warnings. During a
// capture an object stands for each of the two streams, which are others from call to call.
#pragma once

#include "support/py_ref.h"

namespace bifront {

bool isStandardStream(PyObject *object);
// Throws CannotInterpret for such an object: something other than its methods would see it.
void refuseStream(PyObject *object);

} // namespace bifront
