#include "frontend/plain_keys.h"

#include "frontend/kinds.h"
#include "frontend/python_error.h"
#include "frontend/source.h"
#include "support/plain_constant.h"

#include <algorithm>
#include <unordered_map>

namespace bifront {
namespace {

bool isComparedByIdentity(PyTypeObject *type) {
  return type->tp_hash == PyBaseObject_Type.tp_hash &&
         type->tp_richcompare == PyBaseObject_Type.tp_richcompare;
}

bool isFrozen(PyTypeObject *type) {
  PyObject *parameters = typeAttribute(type, "__dataclass_params__");
  PyRef frozen = PyRef::steal(parameters ? PyObject_GetAttrString(parameters, "frozen") : nullptr);
  return frozen && PyObject_IsTrue(frozen.get()) == 1;
}

// Made by `dataclasses`, of builtins alone.
bool isGenerated(PyObject *function) {
  return function && PyFunction_Check(function) &&
         !PyDict_GetItemString(PyFunction_GET_GLOBALS(function), "hash") &&
         syntax::isGenerated(reinterpret_cast<PyFunctionObject *>(function));
}

// Compiles and compares, which takes some 100 us.
bool findComparedByFields(PyTypeObject *type) {
  try {
    bool answer = isFrozen(type) && isGenerated(typeAttribute(type, "__eq__")) &&
                  isGenerated(typeAttribute(type, "__hash__"));
    PyErr_Clear();
    return answer;
  } catch (const PythonError &) {
    PyErr_Clear();
    return false;
  }
}

bool isComparedByFields(PyTypeObject *type) {
  struct Known {
    unsigned version;
    bool answer;
  };
  static std::unordered_map<PyTypeObject *, Known> known;
  if (!(type->tp_flags & Py_TPFLAGS_HEAPTYPE))
    return false;
  bool hasVersion = type->tp_flags & Py_TPFLAGS_VALID_VERSION_TAG;
  auto found = known.find(type);
  if (hasVersion && found != known.end() && found->second.version == type->tp_version_tag)
    return found->second.answer;
  bool answer = findComparedByFields(type);
  if (type->tp_flags & Py_TPFLAGS_VALID_VERSION_TAG)
    known.insert_or_assign(type, Known{type->tp_version_tag, answer});
  return answer;
}

} // namespace

bool hasPlainFields(PyObject *object) {
  PyRef dict = PyRef::steal(
      Py_TYPE(object)->tp_dictoffset ? PyObject_GenericGetDict(object, nullptr) : nullptr);
  PyErr_Clear();
  PyObject *name = nullptr, *value = nullptr;
  for (Py_ssize_t at = 0; dict && PyDict_Next(dict.get(), &at, &name, &value);)
    if (!isPlainConstant(value))
      return false;
  return static_cast<bool>(dict);
}

bool comparesPlainly(PyObject *key) {
  PyTypeObject *type = Py_TYPE(key);
  return isPlainConstant(key) || isComparedByIdentity(type) ||
         (isComparedByFields(type) && hasPlainFields(key));
}

bool isPlainDict(PyObject *object) {
  if (PyDict_CheckExact(object))
    return true;
  constexpr const char *kLookups[] = {"__getitem__", "__setitem__", "__contains__", "get"};
  PyTypeObject *type = Py_TYPE(object);
  return PyDict_Check(object) && std::ranges::all_of(kLookups, [&](const char *name) {
           return typeAttribute(type, name) == typeAttribute(&PyDict_Type, name);
         });
}

} // namespace bifront
