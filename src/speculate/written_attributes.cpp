#include "speculate/written_attributes.h"

#include "speculate/opaque_run.h"

namespace bifront {

void WrittenAttributes::write(PyRef object, PyRef name, PyRef value) {
  last_[{object.get(), name.get()}] = writes_.size();
  writes_.push_back({std::move(object), std::move(name), std::move(value)});
}

PyObject *WrittenAttributes::find(PyObject *object, PyObject *name) const {
  auto found = last_.find({object, name});
  return found == last_.end() ? nullptr : writes_[found->second].value.get();
}

bool WrittenAttributes::commit() const {
  PyObject *type = nullptr, *value = nullptr, *trace = nullptr;
  for (const Write &write : writes_) {
    if (PyObject_GenericSetAttr(write.object.get(), write.name.get(), write.value.get()) == 0)
      continue;
    if (type) // one exception can be raised
      PyErr_Clear();
    else
      PyErr_Fetch(&type, &value, &trace);
  }
  if (type)
    PyErr_Restore(type, value, trace);
  return !type;
}

// What goes with them may run the program's code: not with these half gone.
void WrittenAttributes::clear() {
  last_.clear();
  std::vector<Write> gone = std::exchange(writes_, {});
}

static PyObject *writeAttribute(PyObject * /*module*/, PyObject *const *args, Py_ssize_t count) {
  OpaqueRun *run = OpaqueRun::current();
  if (count != 3 || !run) {
    PyErr_SetString(PyExc_RuntimeError, "no run keeps what is written");
    return nullptr;
  }
  PyObject *name = Py_NewRef(args[1]);
  PyUnicode_InternInPlace(&name);
  run->written().write(PyRef::share(args[0]), PyRef::steal(name), PyRef::share(args[2]));
  return Py_NewRef(args[2]);
}

PyObject *attributeWriter() {
  static PyMethodDef method{"write_attribute", reinterpret_cast<PyCFunction>(writeAttribute),
                            METH_FASTCALL, nullptr};
  static PyObject *function = PyCFunction_New(&method, nullptr);
  return function;
}

} // namespace bifront
