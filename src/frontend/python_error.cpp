#include "frontend/python_error.h"

namespace bifront {

PyRef takeException() {
  PyObject *type = nullptr, *value = nullptr, *trace = nullptr;
  PyErr_Fetch(&type, &value, &trace);
  PyErr_NormalizeException(&type, &value, &trace);
  if (trace)
    PyException_SetTraceback(value, trace);
  Py_XDECREF(type);
  Py_XDECREF(trace);
  return PyRef::steal(value);
}

std::string describeException(PyObject *exception) {
  if (!exception)
    return "an exception that nobody has kept";
  std::string description = Py_TYPE(exception)->tp_name;
  PyRef text = PyRef::steal(PyObject_Str(exception));
  const char *utf8 = text ? PyUnicode_AsUTF8(text.get()) : nullptr;
  PyErr_Clear(); // an exception whose text cannot be had
  return utf8 ? description + ": " + utf8 : description;
}

void setException(const PyRef &exception) {
  PyErr_SetObject(reinterpret_cast<PyObject *>(Py_TYPE(exception.get())), exception.get());
}

} // namespace bifront
