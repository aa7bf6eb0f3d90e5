// Arrays and scalars of numpy, which the program computes with beside its tensors.
#pragma once

#include "support/py_ref.h"

#include <string_view>

namespace bifront {

struct CallArguments;

// Of exactly a class of numpy's.
bool isNumpyArray(PyObject *object);
bool isNumpyScalar(PyObject *object);
inline bool isNumpyData(PyObject *object) { return isNumpyArray(object) || isNumpyScalar(object); }

// Of such data: an array of objects would call their code. Throws PythonError.
bool holdsObjects(PyObject *data);

// Whether all that this C function does with data of numpy is to return what follows from it.
bool isPureOfNumpy(PyObject *function);
// Whether what such a function returns shares no memory with what it is given.
bool makesNewData(PyObject *function);

// A list or tuple that an opaque call may be given; and how deep they may be nested.
inline bool isSequence(PyObject *object) {
  return PyList_CheckExact(object) || PyTuple_CheckExact(object);
}
constexpr int kDeepestSequence = 3;

// Whether one of these arguments may be what it writes to.
bool writesToArgument(PyObject *function, const CallArguments &arguments);

// While it lives, what numpy warns of in this thread is dealt with so: "ignore", or "raise". Needs
// the GIL; throws PythonError.
class NumpyErrors {
public:
  explicit NumpyErrors(const char *inPlaceOfWarnings);
  ~NumpyErrors();
  NumpyErrors(const NumpyErrors &) = delete;

private:
  PyRef state_; // null where there is nothing to change
};

// A function of the module `operator`, or a builtin; borrowed.
PyObject *operatorFunction(const char *name);
PyObject *builtinFunction(const char *name);

} // namespace bifront
