// Python values that never change, and when two of them are the same for a graph.
#pragma once

#include <Python.h>

#include <bit>
#include <cstdint>

namespace bifront {

// Values whose equality is cheap and without effects.
inline bool isPlainConstant(PyObject *value) {
  return value == Py_None || PyBool_Check(value) || PyLong_CheckExact(value) ||
         PyFloat_CheckExact(value) || PyUnicode_CheckExact(value) || PyBytes_CheckExact(value) ||
         PyComplex_CheckExact(value);
}

// By their bits: 0.0 is not -0.0, and a nan is itself.
inline bool sameFloat(double a, double b) {
  return std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b);
}

// Two plain constants of one type that are equal.
inline bool sameConstant(PyObject *expected, PyObject *value) {
  if (expected == value)
    return true;
  if (Py_TYPE(expected) != Py_TYPE(value))
    return false;
  if (PyFloat_CheckExact(value))
    return sameFloat(PyFloat_AS_DOUBLE(expected), PyFloat_AS_DOUBLE(value));
  if (PyComplex_CheckExact(value))
    return sameFloat(PyComplex_RealAsDouble(expected), PyComplex_RealAsDouble(value)) &&
           sameFloat(PyComplex_ImagAsDouble(expected), PyComplex_ImagAsDouble(value));
  int equal = PyObject_RichCompareBool(expected, value, Py_EQ);
  if (equal < 0)
    PyErr_Clear(); // plain constants do not raise; an allocation failure counts as "not this graph"
  return equal == 1;
}

// The same object, or the same plain constant, or tuples of such. Runs no Python code.
inline bool sameValue(PyObject *before, PyObject *now) {
  if (before == now)
    return true;
  if (!before || !now || Py_TYPE(before) != Py_TYPE(now))
    return false;
  if (!PyTuple_CheckExact(now))
    return isPlainConstant(now) && sameConstant(before, now);
  if (PyTuple_GET_SIZE(before) != PyTuple_GET_SIZE(now))
    return false;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(now); ++i)
    if (!sameValue(PyTuple_GET_ITEM(before, i), PyTuple_GET_ITEM(now, i)))
      return false;
  return true;
}

} // namespace bifront
