#include "speculate/value_pattern.h"

#include "frontend/kinds.h"
#include "speculate/choices.h"
#include "support/plain_constant.h"

#include <torch/csrc/autograd/python_variable.h>

#include <algorithm>

namespace bifront {
namespace {

// A collections.namedtuple, or what x.max(dim) and its kin return.
bool isNamedTuple(PyObject *value) {
  auto *type = reinterpret_cast<PyObject *>(Py_TYPE(value));
  return PyTuple_Check(value) && !PyTuple_CheckExact(value) &&
         (PyObject_HasAttrString(type, "_fields") ||
          PyObject_HasAttrString(type, "n_sequence_fields"));
}

PyObject *makeNamedTuple(PyObject *type, PyObject *items) {
  return PyObject_HasAttrString(type, "_make") ? PyObject_CallMethod(type, "_make", "(O)", items)
                                               : PyObject_CallOneArg(type, items);
}

bool isNumber(PyObject *value) {
  return PyLong_CheckExact(value) || PyFloat_CheckExact(value) || PyBool_Check(value);
}

// An object that the graph may know by its class.
bool isOfProgram(PyObject *value) {
  return (Py_TYPE(value)->tp_flags & Py_TPFLAGS_HEAPTYPE) && !PyType_Check(value) &&
         !THPVariable_Check(value);
}

// Of a pattern: all of its keys are found without Python code.
bool hasPlainKeys(PyObject *dict) {
  PyObject *key = nullptr, *item = nullptr;
  for (Py_ssize_t position = 0; PyDict_Next(dict, &position, &key, &item);)
    if (!isPlainConstant(key))
      return false;
  return true;
}

ArgumentPath inside(const ArgumentPath &path, size_t position) {
  ArgumentPath longer = path;
  longer.push_back(static_cast<uint32_t>(position));
  return longer;
}

} // namespace

ValuePattern ValuePattern::describe(PyObject *value, const ArgumentPath &path, Leaves &leaves) {
  ValuePattern pattern;
  auto leafOf = [&](PyObject *object) {
    leaves.objects.push_back(object);
    leaves.paths.push_back(path);
    return static_cast<uint32_t>(leaves.objects.size() - 1);
  };
  auto known = std::find(leaves.objects.begin(), leaves.objects.end(), value);
  if (leaves.isTensor(value)) {
    pattern.kind_ = Kind::Tensor;
    pattern.index_ = known == leaves.objects.end() ? leafOf(value) : known - leaves.objects.begin();
    return pattern;
  }
  if (isChoice(value) && leaves.isChoice && leaves.isChoice(path)) {
    pattern.kind_ = Kind::Choice;
    pattern.index_ = leafOf(value);
    return pattern;
  }
  if (isNumber(value) && fitsGraph(value) && leaves.varies && leaves.varies(path)) {
    pattern.kind_ = Kind::Number;
    pattern.object_ = PyRef::share(reinterpret_cast<PyObject *>(Py_TYPE(value)));
    pattern.index_ = leafOf(value);
    return pattern;
  }
  bool isTuple = (PyTuple_CheckExact(value) && PyTuple_GET_SIZE(value) > 0) || isNamedTuple(value);
  bool isDict = PyDict_CheckExact(value) && hasPlainKeys(value);
  if (!isTuple && !isDict && !PyList_CheckExact(value)) {
    pattern.kind_ = isPlainConstant(value) ? Kind::Constant : Kind::Identity;
    pattern.object_ = PyRef::share(value);
    if (isOfProgram(value) && leaves.varies && leaves.varies(path)) {
      pattern.kind_ = Kind::Object;
      pattern.object_ = PyRef::share(reinterpret_cast<PyObject *>(Py_TYPE(value)));
      pattern.index_ =
          known == leaves.objects.end() ? leafOf(value) : known - leaves.objects.begin();
    }
    return pattern;
  }
  if (known != leaves.objects.end()) {
    pattern.kind_ = Kind::Again;
    pattern.index_ = known - leaves.objects.begin();
    return pattern;
  }
  pattern.index_ = leafOf(value);
  pattern.kind_ = isTuple ? Kind::Tuple : isDict ? Kind::Dict : Kind::List;
  if (isTuple && !PyTuple_CheckExact(value))
    pattern.object_ = PyRef::share(reinterpret_cast<PyObject *>(Py_TYPE(value)));
  if (isDict) {
    PyObject *key = nullptr, *item = nullptr;
    for (Py_ssize_t position = 0; PyDict_Next(value, &position, &key, &item);) {
      pattern.keys_.push_back(PyRef::share(key));
      pattern.children_.push_back(describe(item, inside(path, pattern.children_.size()), leaves));
    }
    return pattern;
  }
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(value); ++i)
    pattern.children_.push_back(
        describe(PySequence_Fast_GET_ITEM(value, i), inside(path, i), leaves));
  return pattern;
}

PyTypeObject *ValuePattern::containerType() const {
  return kind_ == Kind::List   ? &PyList_Type
         : kind_ == Kind::Dict ? &PyDict_Type
         : object_             ? reinterpret_cast<PyTypeObject *>(object_.get())
                               : &PyTuple_Type;
}

bool ValuePattern::match(PyObject *value, PyObject **leaves) const {
  switch (kind_) {
  case Kind::Tensor:
    if (!THPVariable_CheckExact(value) || (leaves[index_] && leaves[index_] != value))
      return false;
    leaves[index_] = value;
    return true;
  case Kind::Number:
    leaves[index_] = value;
    return reinterpret_cast<PyObject *>(Py_TYPE(value)) == object_.get() && fitsGraph(value);
  case Kind::Object:
    if (reinterpret_cast<PyObject *>(Py_TYPE(value)) != object_.get() ||
        (leaves[index_] && leaves[index_] != value))
      return false;
    leaves[index_] = value;
    return true;
  case Kind::Choice: leaves[index_] = value; return isChoice(value);
  case Kind::Constant: return sameConstant(object_.get(), value);
  case Kind::Identity: return object_.get() == value;
  case Kind::Again: return leaves[index_] == value;
  case Kind::Tuple:
  case Kind::List:
    if (Py_TYPE(value) != containerType() ||
        PySequence_Fast_GET_SIZE(value) != static_cast<Py_ssize_t>(children_.size()))
      return false;
    leaves[index_] = value;
    for (size_t i = 0; i < children_.size(); ++i)
      if (!children_[i].match(PySequence_Fast_GET_ITEM(value, i), leaves))
        return false;
    return true;
  case Kind::Dict: {
    if (!PyDict_CheckExact(value) ||
        PyDict_GET_SIZE(value) != static_cast<Py_ssize_t>(children_.size()))
      return false;
    leaves[index_] = value;
    PyObject *key = nullptr, *item = nullptr;
    size_t i = 0;
    for (Py_ssize_t position = 0; PyDict_Next(value, &position, &key, &item); ++i)
      if (!sameValue(keys_[i].get(), key) || !children_[i].match(item, leaves))
        return false;
    return true;
  }
  }
  return false;
}

// Of one value.
bool ValuePattern::differsInValue(PyObject *value, const ArgumentPath &path,
                                  const DifferentValues &different) const {
  bool sameType = kind_ != Kind::Number && Py_TYPE(value) == Py_TYPE(object_.get());
  if (sameType && isNumber(value) && fitsGraph(value)) {
    different.numbers.push_back(path);
    return true;
  }
  if (sameType && kind_ == Kind::Identity && isOfProgram(value)) {
    different.objects.push_back(path);
    return true;
  }
  bool wasChoice = kind_ == Kind::Number || isChoice(object_.get());
  if (wasChoice && isChoice(value))
    different.choices.push_back(path);
  return wasChoice && isChoice(value);
}

bool ValuePattern::differsInValues(PyObject *value, const ArgumentPath &path, PyObject **leaves,
                                   const DifferentValues &different) const {
  switch (kind_) {
  case Kind::Constant:
  case Kind::Identity:
  case Kind::Number: return match(value, leaves) || differsInValue(value, path, different);
  case Kind::Tensor:
  case Kind::Object:
  case Kind::Choice:
  case Kind::Again: return match(value, leaves);
  case Kind::Tuple:
  case Kind::List:
    if (Py_TYPE(value) != containerType() ||
        PySequence_Fast_GET_SIZE(value) != static_cast<Py_ssize_t>(children_.size()))
      return false;
    leaves[index_] = value;
    for (size_t i = 0; i < children_.size(); ++i)
      if (!children_[i].differsInValues(PySequence_Fast_GET_ITEM(value, i), inside(path, i), leaves,
                                        different))
        return false;
    return true;
  case Kind::Dict: {
    if (!PyDict_CheckExact(value) ||
        PyDict_GET_SIZE(value) != static_cast<Py_ssize_t>(children_.size()))
      return false;
    leaves[index_] = value;
    PyObject *key = nullptr, *item = nullptr;
    size_t i = 0;
    for (Py_ssize_t position = 0; PyDict_Next(value, &position, &key, &item); ++i)
      if (!sameValue(keys_[i].get(), key) ||
          !children_[i].differsInValues(item, inside(path, i), leaves, different))
        return false;
    return true;
  }
  }
  return false;
}

PyObject *ValuePattern::rebuild(std::vector<PyRef> &leaves) const {
  switch (kind_) {
  case Kind::Tensor:
  case Kind::Object:
  case Kind::Choice:
  case Kind::Number: return Py_NewRef(leaves[index_].get());
  case Kind::Constant:
  case Kind::Identity: return Py_NewRef(object_.get());
  case Kind::Again:
    if (!leaves[index_])
      PyErr_SetString(PyExc_RuntimeError, "a named tuple among the arguments contains itself");
    return Py_XNewRef(leaves[index_].get());
  case Kind::Tuple:
  case Kind::List: {
    auto size = static_cast<Py_ssize_t>(children_.size());
    PyRef nest = PyRef::steal(kind_ == Kind::List ? PyList_New(size) : PyTuple_New(size));
    if (!nest)
      return nullptr;
    if (!object_)
      leaves[index_] = nest;
    for (Py_ssize_t i = 0; i < size; ++i) {
      PyObject *child = children_[i].rebuild(leaves);
      if (!child)
        return nullptr;
      kind_ == Kind::List ? PyList_SET_ITEM(nest.get(), i, child)
                          : PyTuple_SET_ITEM(nest.get(), i, child);
    }
    if (object_)
      leaves[index_] = nest = PyRef::steal(makeNamedTuple(object_.get(), nest.get()));
    return nest.release();
  }
  case Kind::Dict: {
    PyRef nest = leaves[index_] = PyRef::steal(PyDict_New());
    if (!nest)
      return nullptr;
    for (size_t i = 0; i < children_.size(); ++i) {
      PyRef child = PyRef::steal(children_[i].rebuild(leaves));
      if (!child || PyDict_SetItem(nest.get(), keys_[i].get(), child.get()) < 0)
        return nullptr;
    }
    return nest.release();
  }
  }
  return nullptr;
}

} // namespace bifront
