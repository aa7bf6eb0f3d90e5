// Keys of dicts that a run may look up: none of the program's own code says whether they are equal.
#pragma once

#include "support/py_ref.h"

namespace bifront {

// A plain value, an object that is equal to itself alone, or one of a frozen class that
// `dataclasses` has given its comparison, of plain values.
bool comparesPlainly(PyObject *key);
// Whether the object has a dict with nothing but plain values in it.
bool hasPlainFields(PyObject *object);
// Whether the dict, which may be of a subclass, finds items and puts them there as a dict does.
bool isPlainDict(PyObject *object);

} // namespace bifront
