// What the hooks in python/bifront/_trace_hooks.py call.
#pragma once

#include <Python.h>

namespace bifront {

// Adds the functions named capture_* to `module`. False with a Python exception set where that
// fails.
bool addCaptureFunctions(PyObject *module);

} // namespace bifront
