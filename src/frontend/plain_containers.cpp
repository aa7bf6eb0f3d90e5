#include "frontend/plain_containers.h"

#include "frontend/python_error.h"

namespace bifront {
namespace {

void addOrdered(PyObject *to, PyObject *from) {
  PyRef keys = plainIterator(from);
  while (PyRef key = PyRef::steal(PyIter_Next(keys.get())))
    checked(PyODict_SetItem(to, key.get(), PyDict_GetItemWithError(from, key.get())));
  if (PyErr_Occurred())
    throw PythonError();
}

PyRef copyOfOrdered(PyObject *dict) {
  PyRef copy = checked(PyODict_New());
  addOrdered(copy.get(), dict);
  return copy;
}

PyRef copyOfDict(PyObject *dict) {
  PyRef copy = checked(PyDict_New());
  PyObject *key = nullptr, *value = nullptr;
  for (Py_ssize_t at = 0; PyDict_Next(dict, &at, &key, &value);)
    checked(PyDict_SetItem(copy.get(), key, value));
  return copy;
}

} // namespace

PyTypeObject *plainType(PyObject *container) {
  PyTypeObject *type = Py_TYPE(container);
  while (type->tp_flags & Py_TPFLAGS_HEAPTYPE && type->tp_base != &PyBaseObject_Type)
    type = type->tp_base;
  return type;
}

PyRef plainIterator(PyObject *container) {
  return checked(plainType(container)->tp_iter(container));
}

PyRef callPlainMethod(PyObject *container, const char *name, PyObject *argument) {
  PyRef method =
      checked(PyObject_GetAttrString(reinterpret_cast<PyObject *>(plainType(container)), name));
  return checked(PyObject_CallFunctionObjArgs(method.get(), container, argument, nullptr));
}

PyRef plainCopy(PyObject *container) {
  if (PyODict_Check(container))
    return copyOfOrdered(container);
  if (PyDict_Check(container))
    return copyOfDict(container);
  if (PyAnySet_Check(container))
    return checked(PySet_New(container));
  if (PyList_Check(container))
    return checked(PyList_GetSlice(container, 0, PyList_GET_SIZE(container)));
  return checked(PySequence_List(plainIterator(container).get()));
}

void putBack(PyObject *container, PyObject *copy) {
  if (PyList_Check(container)) {
    checked(PyList_SetSlice(container, 0, PyList_GET_SIZE(container), copy));
  } else if (PyODict_Check(container)) {
    callPlainMethod(container, "clear");
    addOrdered(container, copy);
  } else if (PyDict_Check(container)) {
    PyDict_Clear(container);
    checked(PyDict_Merge(container, copy, 1));
  } else {
    callPlainMethod(container, "clear");
    callPlainMethod(container, PyAnySet_Check(container) ? "update" : "extend", copy);
  }
}

} // namespace bifront
