#include "speculate/young_objects.h"

namespace bifront {
namespace {

PyRef callCollector(const char *name, int generation) {
  PyRef module = PyRef::steal(PyImport_ImportModule("gc"));
  PyRef result =
      PyRef::steal(module ? PyObject_CallMethod(module.get(), name, "i", generation) : nullptr);
  PyErr_Clear(); // without an account nothing counts as young
  return result;
}

} // namespace

bool collectUntil(const std::function<bool()> &isEnough) {
  for (int generation : {1, 2}) {
    if (isEnough())
      return true;
    callCollector("collect", generation);
  }
  return isEnough();
}

YoungObjects::YoungObjects() : collects_(PyGC_Disable() != 0) {
  callCollector("collect", 0); // what is there gets older
}

YoungObjects::~YoungObjects() {
  if (collects_)
    PyGC_Enable();
}

bool YoungObjects::contains(PyObject *object) {
  if (!young_) {
    young_.emplace();
    PyRef all = callCollector("get_objects", 0);
    for (Py_ssize_t i = 0; all && i < PyList_GET_SIZE(all.get()); ++i)
      young_->insert(PyList_GET_ITEM(all.get(), i));
  }
  return young_->contains(object);
}

} // namespace bifront
