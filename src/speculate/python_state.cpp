#include "speculate/python_state.h"

#include "frontend/plain_containers.h"
#include "support/plain_constant.h"

#include <algorithm>
#include <string_view>

namespace bifront {
namespace {

// The number that CPython gives a dict anew with every change of it.
uint64_t versionOf(PyObject *dict) {
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wdeprecated-declarations" // from 3.12 on; there until 3.13
  return reinterpret_cast<PyDictObject *>(dict)->ma_version_tag;
#pragma clang diagnostic pop
}

// A slot's value, or null. Runs no Python code.
PyRef slotOf(PyObject *object, PyObject *name) {
  if (PyType_Check(object))
    return PyRef::share(
        PyDict_GetItemWithError(reinterpret_cast<PyTypeObject *>(object)->tp_dict, name));
  PyRef value = PyRef::steal(PyObject_GenericGetAttr(object, name));
  if (!value)
    PyErr_Clear();
  return value;
}

} // namespace

bool PythonState::Place::readItems() {
  PyTypeObject *type = plainType(object.get());
  PyRef items;
  if (kind == Kind::Ordered)
    items = PyRef::steal(
        PyObject_CallMethod(reinterpret_cast<PyObject *>(type), "items", "O", object.get()));
  PyRef iterator = PyRef::steal(kind != Kind::Ordered ? type->tp_iter(object.get())
                                : items               ? PyObject_GetIter(items.get())
                                                      : nullptr);
  while (PyObject *item = iterator ? PyIter_Next(iterator.get()) : nullptr)
    values.push_back(PyRef::steal(item));
  return !PyErr_Occurred();
}

bool PythonState::describe(PyObject *entry, Place &place) {
  if (PyTuple_CheckExact(entry) && PyTuple_GET_SIZE(entry) == 2) {
    place.object = PyRef::share(PyTuple_GET_ITEM(entry, 0));
    PyObject *names = PyTuple_GET_ITEM(entry, 1);
    if (!PyDict_Check(place.object.get())) {
      place.kind = Kind::Slots;
      for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); ++i) {
        place.keys.push_back(PyRef::share(PyTuple_GET_ITEM(names, i)));
        place.values.push_back(slotOf(place.object.get(), place.keys.back().get()));
      }
      return true;
    }
    place.kind = Kind::Names;
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
  if (PyODict_Check(entry)) {
    place.kind = Kind::Ordered;
    place.version = versionOf(entry);
    return place.readItems();
  }
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
  if (PyAnySet_Check(entry) || std::string_view(Py_TYPE(entry)->tp_name) == "collections.deque") {
    place.kind = Kind::Collection;
    return place.readItems();
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
      if (!sameValue(keys[i].get(), key) || !sameValue(values[i].get(), value))
        return false;
    version = now;
    return true;
  }
  case Kind::Names: {
    uint64_t now = versionOf(object.get());
    if (now == version)
      return true;
    for (size_t i = 0; i < keys.size(); ++i)
      if (!sameValue(values[i].get(), PyDict_GetItemWithError(object.get(), keys[i].get())))
        return false;
    version = now;
    return true;
  }
  case Kind::List:
    if (PyList_GET_SIZE(object.get()) != static_cast<Py_ssize_t>(values.size()))
      return false;
    for (size_t i = 0; i < values.size(); ++i)
      if (!sameValue(values[i].get(), PyList_GET_ITEM(object.get(), i)))
        return false;
    return true;
  case Kind::Slots:
    for (size_t i = 0; i < keys.size(); ++i)
      if (!sameValue(values[i].get(), slotOf(object.get(), keys[i].get()).get()))
        return false;
    return true;
  case Kind::Ordered: // whose order is not the dict's
    if (versionOf(object.get()) == version && values.size() < 2)
      return true;
    [[fallthrough]];
  case Kind::Collection: {
    Place now{kind, PyRef::share(object.get()), {}, {}};
    if (!now.readItems()) {
      PyErr_Clear();
      return false;
    }
    return std::equal(values.begin(), values.end(), now.values.begin(), now.values.end(),
                      [](const PyRef &a, const PyRef &b) { return sameValue(a.get(), b.get()); });
  }
  case Kind::Cell: return sameValue(values[0].get(), PyCell_GET(object.get()));
  }
  return false;
}

bool PythonState::Place::putBack() const {
  PyObject *place = object.get();
  switch (kind) {
  case Kind::Dict:
    PyDict_Clear(place);
    for (size_t i = 0; i < keys.size(); ++i)
      if (PyDict_SetItem(place, keys[i].get(), values[i].get()) < 0)
        return false;
    return true;
  case Kind::Names:
    for (size_t i = 0; i < keys.size(); ++i) {
      if (values[i] ? PyDict_SetItem(place, keys[i].get(), values[i].get()) < 0
                    : PyDict_GetItemWithError(place, keys[i].get()) &&
                          PyDict_DelItem(place, keys[i].get()) < 0)
        return false;
    }
    return true;
  case Kind::Slots:
    for (size_t i = 0; i < keys.size(); ++i)
      if ((values[i] || slotOf(place, keys[i].get())) &&
          (PyType_Check(place) ? PyType_Type.tp_setattro : PyObject_GenericSetAttr)(
              place, keys[i].get(), values[i].get()) < 0)
        return false;
    return true;
  case Kind::Ordered:
  case Kind::Collection: return putItemsBack();
  case Kind::List: {
    PyRef contents = PyRef::steal(PyList_New(static_cast<Py_ssize_t>(values.size())));
    for (size_t i = 0; contents && i < values.size(); ++i)
      PyList_SET_ITEM(contents.get(), i, Py_NewRef(values[i].get()));
    return contents && PyList_SetSlice(place, 0, PyList_GET_SIZE(place), contents.get()) == 0;
  }
  case Kind::Cell: return PyCell_Set(place, values[0].get()) == 0;
  }
  return false;
}

bool PythonState::Place::putItemsBack() const {
  PyObject *place = object.get();
  auto *type = reinterpret_cast<PyObject *>(plainType(place));
  const char *add = PyAnySet_Check(place) ? "add" : "append";
  if (!PyRef::steal(PyObject_CallMethod(type, "clear", "O", place)))
    return false;
  for (const PyRef &value : values)
    if (kind == Kind::Ordered
            ? PyODict_SetItem(place, PyTuple_GET_ITEM(value.get(), 0),
                              PyTuple_GET_ITEM(value.get(), 1)) < 0
            : !PyRef::steal(PyObject_CallMethod(type, add, "OO", place, value.get())))
      return false;
  return true;
}

bool PythonState::restore() const {
  bool changed = false;
  for (const Place &place : places_) {
    if (place.holds())
      continue;
    changed = true;
    if (!place.putBack())
      PyErr_WriteUnraisable(place.object.get());
  }
  return changed;
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
