#include "frontend/walked_helpers.h"

#include "frontend/python_error.h"

namespace bifront {

PyRef walkedHelper(const char *name) {
  static PyObject *module = PyImport_ImportModule("bifront._walked");
  return checked(PyObject_GetAttrString(checked(Py_XNewRef(module)).get(), name));
}

} // namespace bifront
