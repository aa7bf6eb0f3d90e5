#include "frontend/private_values.h"

#include "frontend/kinds.h"
#include "frontend/numpy_data.h"

namespace bifront {
namespace {

bool isPrivateArray(PyObject *array) {
  PyRef base = PyRef::steal(PyObject_GetAttrString(array, "base"));
  constexpr Py_ssize_t ofTheArrayAndOurs = 2;
  return base && (base.get() == Py_None ||
                  (isNumpyArray(base.get()) && Py_REFCNT(base.get()) == ofTheArrayAndOurs));
}

} // namespace

bool isPlainNest(PyObject *object) {
  if (!PyTuple_CheckExact(object))
    return isPlain(object);
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(object); ++i)
    if (!isPlainNest(PyTuple_GET_ITEM(object, i)))
      return false;
  return true;
}

bool isPrivate(PyObject *object, Py_ssize_t references) {
  bool isDict = PyDict_CheckExact(object);
  bool isSequence = PyTuple_CheckExact(object) || PyList_CheckExact(object);
  if (!isDict && !isSequence && !isNumpyArray(object))
    return true; // is only handed on, or nobody can change it
  if (isPlainNest(object))
    return true;
  if (Py_REFCNT(object) != references)
    return false;
  if (isDict) {
    PyObject *key = nullptr, *item = nullptr;
    for (Py_ssize_t at = 0; PyDict_Next(object, &at, &key, &item);)
      if (!isPrivate(item, 1))
        return false;
    return true;
  }
  if (!isSequence)
    return isPrivateArray(object);
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(object); ++i)
    if (!isPrivate(PySequence_Fast_GET_ITEM(object, i), 1))
      return false;
  return true;
}

} // namespace bifront
