#include "speculate/value_pattern.h"

#include "speculate/plain_constant.h"

#include <torch/csrc/autograd/python_variable.h>

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

} // namespace

ValuePattern ValuePattern::describe(PyObject *value, const LeafOf &leafOf) {
  ValuePattern pattern;
  if (std::optional<uint32_t> leaf = leafOf(value)) {
    pattern.kind_ = Kind::Leaf;
    pattern.index_ = *leaf;
    return pattern;
  }
  if (PyTuple_CheckExact(value) || isNamedTuple(value) || PyList_CheckExact(value)) {
    pattern.kind_ = PyList_CheckExact(value) ? Kind::List : Kind::Tuple;
    if (isNamedTuple(value))
      pattern.object_ = PyRef::share(reinterpret_cast<PyObject *>(Py_TYPE(value)));
    for (Py_ssize_t i = 0, n = PySequence_Fast_GET_SIZE(value); i < n; ++i)
      pattern.children_.push_back(describe(PySequence_Fast_GET_ITEM(value, i), leafOf));
    return pattern;
  }
  if (PyDict_CheckExact(value)) {
    pattern.kind_ = Kind::Dict;
    PyObject *key = nullptr, *item = nullptr;
    for (Py_ssize_t position = 0; PyDict_Next(value, &position, &key, &item);) {
      pattern.keys_.push_back(PyRef::share(key));
      pattern.children_.push_back(describe(item, leafOf));
    }
    return pattern;
  }
  pattern.kind_ = isPlainConstant(value) ? Kind::Constant : Kind::Identity;
  pattern.object_ = PyRef::share(value);
  return pattern;
}

bool ValuePattern::match(PyObject *value, PyObject **leaves) const {
  switch (kind_) {
  case Kind::Leaf:
    if (!THPVariable_CheckExact(value) || (leaves[index_] && leaves[index_] != value))
      return false;
    leaves[index_] = value;
    return true;
  case Kind::Constant: return sameConstant(object_.get(), value);
  case Kind::Identity: return object_.get() == value;
  case Kind::Tuple:
  case Kind::List: {
    PyTypeObject *type = kind_ == Kind::List ? &PyList_Type
                         : object_.get()     ? reinterpret_cast<PyTypeObject *>(object_.get())
                                             : &PyTuple_Type;
    if (Py_TYPE(value) != type ||
        PySequence_Fast_GET_SIZE(value) != static_cast<Py_ssize_t>(children_.size()))
      return false;
    for (size_t i = 0; i < children_.size(); ++i)
      if (!children_[i].match(PySequence_Fast_GET_ITEM(value, i), leaves))
        return false;
    return true;
  }
  case Kind::Dict: {
    if (!PyDict_CheckExact(value) ||
        PyDict_GET_SIZE(value) != static_cast<Py_ssize_t>(children_.size()))
      return false;
    PyObject *key = nullptr, *item = nullptr;
    size_t i = 0;
    for (Py_ssize_t position = 0; PyDict_Next(value, &position, &key, &item); ++i)
      if (!sameConstant(keys_[i].get(), key) || !children_[i].match(item, leaves))
        return false;
    return true;
  }
  }
  return false;
}

PyObject *ValuePattern::rebuild(const std::function<PyObject *(uint32_t)> &leaf) const {
  switch (kind_) {
  case Kind::Leaf: return leaf(index_);
  case Kind::Constant:
  case Kind::Identity: return Py_NewRef(object_.get());
  case Kind::Tuple:
  case Kind::List: {
    auto size = static_cast<Py_ssize_t>(children_.size());
    PyRef nest = PyRef::steal(kind_ == Kind::List ? PyList_New(size) : PyTuple_New(size));
    if (!nest)
      return nullptr;
    for (Py_ssize_t i = 0; i < size; ++i) {
      PyObject *child = children_[i].rebuild(leaf);
      if (!child)
        return nullptr;
      kind_ == Kind::List ? PyList_SET_ITEM(nest.get(), i, child)
                          : PyTuple_SET_ITEM(nest.get(), i, child);
    }
    if (kind_ == Kind::Tuple && object_.get())
      return makeNamedTuple(object_.get(), nest.get());
    return nest.release();
  }
  case Kind::Dict: {
    PyRef nest = PyRef::steal(PyDict_New());
    if (!nest)
      return nullptr;
    for (size_t i = 0; i < children_.size(); ++i) {
      PyRef child = PyRef::steal(children_[i].rebuild(leaf));
      if (!child || PyDict_SetItem(nest.get(), keys_[i].get(), child.get()) < 0)
        return nullptr;
    }
    return nest.release();
  }
  }
  return nullptr;
}

} // namespace bifront
