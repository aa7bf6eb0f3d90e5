// What a graph calls in the place of a C function that writes to an array of numpy.
#pragma once

#include "frontend/numpy_data.h"

namespace bifront {

// A callable that does what the function does. The run that calls it keeps the array as it was.
PyRef makeArrayWriter(PyObject *function, const WrittenOperand &written);

// A callable that stops the run where an array lies in memory of a tensor that the graph writes.
PyRef makeApart();

} // namespace bifront
