#include "speculate/object_layout.h"

#include <structmember.h>

namespace bifront {
namespace {

PyTypeObject *collectionsType(const char *name) {
  PyRef module = PyRef::steal(PyImport_ImportModule("collections"));
  return reinterpret_cast<PyTypeObject *>(PyObject_GetAttrString(module.get(), name));
}

destructor classDealloc() {
  static destructor dealloc = [] {
    PyRef cls = PyRef::steal(
        PyObject_CallFunction(reinterpret_cast<PyObject *>(&PyType_Type), "s(){}", "Probe"));
    return reinterpret_cast<PyTypeObject *>(cls.get())->tp_dealloc;
  }();
  return dealloc;
}

const PyMemberDef *memberOf(PyObject *descriptor) {
  return reinterpret_cast<PyMemberDescrObject *>(descriptor)->d_member;
}

} // namespace

PyObject *dictOf(PyObject *object) {
  PyRef dict = PyRef::steal(
      Py_TYPE(object)->tp_dictoffset ? PyObject_GenericGetDict(object, nullptr) : nullptr);
  PyErr_Clear(); // no memory: as if it had none
  return dict.get();
}

bool isClass(PyTypeObject *type) {
  return type->tp_flags & Py_TPFLAGS_HEAPTYPE && type->tp_dealloc == classDealloc();
}

PyTypeObject *solidBase(PyTypeObject *type) {
  while (isClass(type))
    type = type->tp_base;
  return type;
}

PyTypeObject *dequeType() {
  static PyTypeObject *type = collectionsType("deque");
  return type;
}

PyTypeObject *defaultDictType() {
  static PyTypeObject *type = collectionsType("defaultdict");
  return type;
}

std::vector<PyObject *> memberDescriptors(PyTypeObject *type) {
  std::vector<PyObject *> descriptors;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(type->tp_mro); ++i) {
    auto *owner = reinterpret_cast<PyTypeObject *>(PyTuple_GET_ITEM(type->tp_mro, i));
    if (!isClass(owner) && owner != defaultDictType())
      continue;
    PyObject *name = nullptr, *descriptor = nullptr;
    for (Py_ssize_t at = 0; PyDict_Next(owner->tp_dict, &at, &name, &descriptor);) {
      if (!Py_IS_TYPE(descriptor, &PyMemberDescr_Type))
        continue;
      const PyMemberDef *member = memberOf(descriptor);
      bool isPlain = member->type == T_OBJECT_EX || member->type == T_OBJECT;
      if (isPlain && !(member->flags & READONLY)) // `__weakref__` and the like
        descriptors.push_back(descriptor);
    }
  }
  return descriptors;
}

PyObject **memberPlace(PyObject *object, PyObject *descriptor) {
  return reinterpret_cast<PyObject **>(reinterpret_cast<char *>(object) +
                                       memberOf(descriptor)->offset);
}

} // namespace bifront
