#include "speculate/python_state.h"

#include "speculate/plain_constant.h"

namespace bifront {
namespace {

// The number that CPython gives a dict anew with every change of it.
uint64_t versionOf(PyObject *dict) {
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wdeprecated-declarations" // from 3.12 on; there until 3.13
  return reinterpret_cast<PyDictObject *>(dict)->ma_version_tag;
#pragma clang diagnostic pop
}

bool same(PyObject *before, PyObject *now) {
  if (before == now)
    return true;
  if (!before || !now || Py_TYPE(before) != Py_TYPE(now))
    return false;
  if (!PyTuple_CheckExact(now))
    return isPlainConstant(now) && sameConstant(before, now);
  if (PyTuple_GET_SIZE(before) != PyTuple_GET_SIZE(now))
    return false;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(now); ++i)
    if (!same(PyTuple_GET_ITEM(before, i), PyTuple_GET_ITEM(now, i)))
      return false;
  return true;
}

} // namespace

bool PythonState::describe(PyObject *entry, Place &place) {
  if (PyTuple_CheckExact(entry) && PyTuple_GET_SIZE(entry) == 2) {
    place.kind = Kind::Names;
    place.object = PyRef::share(PyTuple_GET_ITEM(entry, 0));
    PyObject *names = PyTuple_GET_ITEM(entry, 1);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); ++i) {
      place.keys.push_back(PyRef::share(PyTuple_GET_ITEM(names, i)));
      place.values.push_back(
          PyRef::share(PyDict_GetItemWithError(place.object.get(), place.keys.back().get())));
      if (PyErr_Occurred())
        return false;
    }
    place.version = versionOf(place.object.get());
    return true;
  }
  place.object = PyRef::share(entry);
  if (PyDict_Check(entry)) {
    place.kind = Kind::Dict;
    place.version = versionOf(entry);
    PyObject *key = nullptr, *value = nullptr;
    for (Py_ssize_t position = 0; PyDict_Next(entry, &position, &key, &value);) {
      place.keys.push_back(PyRef::share(key));
      place.values.push_back(PyRef::share(value));
    }
    return true;
  }
  if (PyList_Check(entry)) {
    place.kind = Kind::List;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(entry); ++i)
      place.values.push_back(PyRef::share(PyList_GET_ITEM(entry, i)));
    return true;
  }
  if (PyCell_Check(entry)) {
    place.kind = Kind::Cell;
    place.values.push_back(PyRef::share(PyCell_GET(entry)));
    return true;
  }
  PyErr_Format(PyExc_TypeError, "a %s is no place with Python values", Py_TYPE(entry)->tp_name);
  return false;
}

bool PythonState::remember(PyObject *places) {
  if (!PyList_Check(places)) {
    PyErr_SetString(PyExc_TypeError, "a list of places is needed");
    return false;
  }
  places_.reserve(PyList_GET_SIZE(places));
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(places); ++i)
    if (!describe(PyList_GET_ITEM(places, i), places_.emplace_back()))
      return false;
  return true;
}

bool PythonState::Place::holds() const {
  switch (kind) {
  case Kind::Dict: {
    uint64_t now = versionOf(object.get());
    if (now == version)
      return true;
    if (PyDict_GET_SIZE(object.get()) != static_cast<Py_ssize_t>(keys.size()))
      return false;
    PyObject *key = nullptr, *value = nullptr;
    size_t i = 0;
    for (Py_ssize_t position = 0; PyDict_Next(object.get(), &position, &key, &value); ++i)
      if (!same(keys[i].get(), key) || !same(values[i].get(), value))
        return false;
    version = now;
    return true;
  }
  case Kind::Names: {
    uint64_t now = versionOf(object.get());
    if (now == version)
      return true;
    for (size_t i = 0; i < keys.size(); ++i)
      if (!same(values[i].get(), PyDict_GetItemWithError(object.get(), keys[i].get())))
        return false;
    version = now;
    return true;
  }
  case Kind::List:
    if (PyList_GET_SIZE(object.get()) != static_cast<Py_ssize_t>(values.size()))
      return false;
    for (size_t i = 0; i < values.size(); ++i)
      if (!same(values[i].get(), PyList_GET_ITEM(object.get(), i)))
        return false;
    return true;
  case Kind::Cell: return same(values[0].get(), PyCell_GET(object.get()));
  }
  return false;
}

int PythonState::traverse(visitproc visit, void *arg) const {
  for (const Place &place : places_) {
    Py_VISIT(place.object.get());
    for (const PyRef &key : place.keys)
      Py_VISIT(key.get());
    for (const PyRef &value : place.values)
      Py_VISIT(value.get());
  }
  return 0;
}

bool PythonState::isUnchanged() const {
  for (const Place &place : places_)
    if (!place.holds())
      return false;
  return true;
}

} // namespace bifront
