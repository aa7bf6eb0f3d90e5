// Random generators of Python and numpy: which calls draw from one, and its state, which can be
// put back. A draw is an opaque call that can be taken back.
#pragma once

#include "frontend/python_error.h"

namespace bifront {

// A random.Random, numpy.random.Generator or numpy.random.RandomState.
bool isRandomSource(PyObject *object);
// Whether this C function changes its first argument, a random source, and nothing else.
bool drawsFromSource(PyObject *function);

PyRef stateOfSource(PyObject *source);
void setStateOfSource(PyObject *source, PyObject *state);

} // namespace bifront
