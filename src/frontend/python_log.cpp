#include "frontend/python_log.h"

#include "frontend/kinds.h"
#include "frontend/python_error.h"

namespace bifront {
namespace {

bool isOrdered(PyObject *dict) { return PyODict_Check(dict); }

PyRef callMethod(PyObject *object, const char *name, PyObject *argument = nullptr) {
  PyRef method = checked(PyObject_GetAttrString(object, name));
  return checked(argument ? PyObject_CallOneArg(method.get(), argument)
                          : PyObject_CallNoArgs(method.get()));
}

// Of a list, dict, set, deque or bytearray; a method that a subclass overrides is not called.
PyRef copyOf(PyObject *container) {
  if (PyDict_Check(container))
    return isOrdered(container) ? callMethod(container, "copy") : checked(PyDict_Copy(container));
  if (PyAnySet_Check(container))
    return checked(PySet_New(container));
  return checked(PySequence_List(container));
}

void putBack(PyObject *container, PyObject *copy) {
  if (PyList_Check(container)) {
    checked(PyList_SetSlice(container, 0, PyList_GET_SIZE(container), copy));
  } else if (PyDict_Check(container) && !isOrdered(container)) {
    PyDict_Clear(container);
    checked(PyDict_Merge(container, copy, 1));
  } else {
    callMethod(container, "clear");
    callMethod(container,
               PyDict_Check(container) || PyAnySet_Check(container) ? "update" : "extend", copy);
  }
}

PyRef valueAt(Slot::Kind kind, PyObject *object, PyObject *key) {
  switch (kind) {
  case Slot::Kind::DictItem:
    return PyRef::share(checkedOrAbsent(PyDict_GetItemWithError(object, key)));
  case Slot::Kind::ListItem: {
    Py_ssize_t index = PyLong_AsSsize_t(key);
    return PyRef::share(index < PyList_GET_SIZE(object) ? PyList_GET_ITEM(object, index) : nullptr);
  }
  case Slot::Kind::Cell: return PyRef::share(PyCell_GET(object));
  case Slot::Kind::Member: {
    PyRef value = PyRef::steal(
        Py_TYPE(key)->tp_descr_get(key, object, reinterpret_cast<PyObject *>(Py_TYPE(object))));
    if (!value && !PyErr_ExceptionMatches(PyExc_AttributeError))
      throw PythonError();
    PyErr_Clear(); // not assigned
    return value;
  }
  }
  return {};
}

void put(Slot::Kind kind, PyObject *object, PyObject *key, PyObject *value) {
  switch (kind) {
  case Slot::Kind::DictItem:
    if (isOrdered(object))
      checked(value ? PyODict_SetItem(object, key, value) : PyODict_DelItem(object, key));
    else
      checked(value ? PyDict_SetItem(object, key, value) : PyDict_DelItem(object, key));
    break;
  case Slot::Kind::ListItem:
    checked(PyList_SetItem(object, PyLong_AsSsize_t(key), Py_NewRef(value)));
    break;
  case Slot::Kind::Cell: checked(PyCell_Set(object, value)); break;
  case Slot::Kind::Member: checked(Py_TYPE(key)->tp_descr_set(key, object, value)); break;
  }
}

} // namespace

void PythonLog::noteFresh(PyObject *object) { fresh_.try_emplace(object, PyRef::share(object)); }

PythonLog::ObjectState &PythonLog::stateOf(PyObject *object) {
  auto [found, isNew] = states_.try_emplace(object);
  if (isNew) {
    found->second.object = PyRef::share(object);
    found->second.indexOfKey = checked(PyDict_New());
  }
  return found->second;
}

PythonLog::SlotState &PythonLog::slotOf(ObjectState &state, PyObject *key) {
  key = key ? key : Py_None;
  if (PyObject *index = checkedOrAbsent(PyDict_GetItemWithError(state.indexOfKey.get(), key)))
    return state.slots[PyLong_AsSize_t(index)];
  PyRef index = checked(PyLong_FromSize_t(state.slots.size()));
  checked(PyDict_SetItem(state.indexOfKey.get(), key, index.get()));
  return state.slots.emplace_back();
}

//===- Reads -------------------------------------------------------------------------------===//

bool PythonLog::read(Slot::Kind kind, PyObject *object, PyObject *key, PyObject *value) {
  if (isFresh(object))
    return false;
  ObjectState &state = stateOf(object);
  SlotState &slot = slotOf(state, key);
  if (slot.read || slot.written || state.containerRead)
    return false;
  if (state.mutated) { // what was there before has become this
    readContainer(object);
    return false;
  }
  slot.read = true;
  effects_.reads.push_back({PythonRead::Kind::Slot,
                            {kind, PyRef::share(object), PyRef::share(key)},
                            PyRef::share(value)});
  return true;
}

void PythonLog::standIn(Slot slot, PyObject *value, PyObject *proxy, uint32_t input) {
  slotOf(stateOf(slot.object.get()), slot.key.get()).read = true;
  noteBefore(slot.kind, slot.object.get(), slot.key.get());
  put(slot.kind, slot.object.get(), slot.key.get(), proxy);
  effects_.inputs.push_back({std::move(slot), PyRef::share(value), input});
}

void PythonLog::readContainer(PyObject *container) {
  if (isFresh(container))
    return;
  ObjectState &state = stateOf(container);
  if (state.containerRead)
    return;
  state.containerRead = true;
  effects_.reads.push_back(
      {PythonRead::Kind::Container, {Slot::Kind::DictItem, PyRef::share(container), {}}, {}});
}

void PythonLog::readType(PyTypeObject *type) {
  if (!(type->tp_flags & Py_TPFLAGS_HEAPTYPE))
    return; // nothing of it can change
  auto *object = reinterpret_cast<PyObject *>(type);
  if (isFresh(object))
    return;
  ObjectState &state = stateOf(object);
  if (!state.typeRead)
    effects_.reads.push_back(
        {PythonRead::Kind::Type, {Slot::Kind::DictItem, PyRef::share(object), {}}, {}});
  state.typeRead = true;
}

void PythonLog::readTypeOf(PyObject *object) {
  if (!(Py_TYPE(object)->tp_flags & Py_TPFLAGS_HEAPTYPE) || isFresh(object))
    return; // `__class__` of such an object cannot be assigned
  if (isProxyTensor(object))
    return; // the graph's inputs have their own guards
  ObjectState &state = stateOf(object);
  if (!state.typeOfRead)
    effects_.reads.push_back({PythonRead::Kind::TypeOf,
                              {Slot::Kind::DictItem, PyRef::share(object), {}},
                              PyRef::share(reinterpret_cast<PyObject *>(Py_TYPE(object)))});
  state.typeOfRead = true;
}

//===- Writes ------------------------------------------------------------------------------===//

void PythonLog::noteBefore(Slot::Kind kind, PyObject *object, PyObject *key) {
  Slot slot{kind, PyRef::share(object), PyRef::share(key)};
  undo_.push_back({Undo::Kind::Slot, std::move(slot), valueAt(kind, object, key)});
}

void PythonLog::write(Slot::Kind kind, PyObject *object, PyObject *key, PyObject *value) {
  bool reorders = !value && kind == Slot::Kind::DictItem;
  if (reorders) // put back, the item would come last
    undo_.push_back({Undo::Kind::Container, {kind, PyRef::share(object), {}}, copyOf(object)});
  else
    noteBefore(kind, object, key);
  put(kind, object, key, value);
  if (isFresh(object))
    return;
  ObjectState &state = stateOf(object);
  SlotState &slot = slotOf(state, key);
  slot.written = true;
  auto &writes = effects_.writes;
  if (value && slot.lastWrite >= 0) {
    writes[slot.lastWrite].values[0] = PyRef::share(value);
    return;
  }
  slot.lastWrite = value ? static_cast<int64_t>(writes.size()) : -1;
  writes.push_back({value ? PythonWrite::Kind::SetSlot : PythonWrite::Kind::DeleteSlot,
                    {kind, PyRef::share(object), PyRef::share(key)},
                    {}});
  if (value)
    writes.back().values.push_back(PyRef::share(value));
}

PyRef PythonLog::mutate(PyObject *container, PyObject *function, PyObject *const *args,
                        size_t count, PyObject *keywordNames) {
  undo_.push_back({Undo::Kind::Container,
                   {Slot::Kind::DictItem, PyRef::share(container), {}},
                   copyOf(container)});
  PyRef result = checked(PyObject_Vectorcall(function, args, count, keywordNames));
  if (isFresh(container))
    return result;
  ObjectState &state = stateOf(container);
  state.mutated = true;
  for (SlotState &slot : state.slots)
    slot.lastWrite = -1; // what it wrote may have moved
  effects_.writes.push_back(
      {PythonWrite::Kind::Call, {Slot::Kind::DictItem, PyRef::share(function), {}}, {}});
  for (size_t i = 0; i < count; ++i)
    effects_.writes.back().values.push_back(PyRef::share(args[i]));
  return result;
}

void PythonLog::postpone(PyObject *function, PyObject *const *args, size_t count) {
  effects_.writes.push_back(
      {PythonWrite::Kind::Call, {Slot::Kind::DictItem, PyRef::share(function), {}}, {}});
  for (size_t i = 0; i < count; ++i)
    effects_.writes.back().values.push_back(PyRef::share(args[i]));
}

//===- Taking back -------------------------------------------------------------------------===//

void PythonLog::takeBack(const Undo &undo) {
  const Slot &slot = undo.slot;
  if (undo.kind == Undo::Kind::Container) {
    putBack(slot.object.get(), undo.before.get());
    return;
  }
  PyRef now = valueAt(slot.kind, slot.object.get(), slot.key.get());
  if (undo.before || now)
    put(slot.kind, slot.object.get(), slot.key.get(), undo.before.get());
}

void PythonLog::rollBack(size_t mark) {
  while (undo_.size() > mark) {
    takeBack(undo_.back());
    undo_.pop_back();
  }
}

PythonEffects PythonLog::finish() {
  for (; !undo_.empty(); undo_.pop_back())
    if (!isFresh(undo_.back().slot.object.get()))
      takeBack(undo_.back());
  return std::move(effects_);
}

} // namespace bifront
