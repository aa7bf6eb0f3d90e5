// A pending Python exception as a C++ one, so that the interpreter's functions return values.
#pragma once

#include "support/py_ref.h"

#include <exception>
#include <string>

namespace bifront {

// CPython's error indicator is set.
struct PythonError : std::exception {
  const char *what() const noexcept override { return "a Python exception is pending"; }
};

// A new reference, as CPython's functions return it; null means that they have raised.
inline PyRef checked(PyObject *result) {
  if (!result)
    throw PythonError();
  return PyRef::steal(result);
}

inline int checked(int result) {
  if (result < 0)
    throw PythonError();
  return result;
}

// Where a borrowed reference may be null without an exception.
inline PyObject *checkedOrAbsent(PyObject *borrowed) {
  if (!borrowed && PyErr_Occurred())
    throw PythonError();
  return borrowed;
}

// The pending exception, with its traceback; none is pending behind it.
PyRef takeException();
void setException(const PyRef &exception);

// Its class and its text; it may be null.
std::string describeException(PyObject *exception);

[[noreturn]] inline void raise(PyObject *type, const char *message) {
  PyErr_SetString(type, message);
  throw PythonError();
}

} // namespace bifront
