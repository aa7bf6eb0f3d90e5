// What opaque calls change of the values that a graph has read, so that CPython finds them as they
// were where it runs the call again.
#include "speculate/guards.h"
#include "support/plain_constant.h"

#include "frontend/numpy_data.h"
#include "frontend/plain_containers.h"
#include "frontend/python_error.h"

namespace bifront {
namespace {

PyRef listOf(const std::vector<PyRef> &items) {
  PyRef list = checked(PyList_New(static_cast<Py_ssize_t>(items.size())));
  for (size_t i = 0; i < items.size(); ++i)
    PyList_SET_ITEM(list.get(), i, Py_NewRef(items[i].get()));
  return list;
}

PyRef pairOf(const PyRef &key, PyObject *value) {
  return checked(PyTuple_Pack(2, key.get(), value ? value : Py_None));
}

PyRef itemsToPut(PyObject *container) {
  if (!PyDict_Check(container))
    return listOf(itemsOf(container));
  std::vector<PyRef> pairs;
  for (const PyRef &key : keysOf(container))
    pairs.push_back(pairOf(key, itemOf(container, key.get())));
  return listOf(pairs);
}

void refill(PyObject *container, PyObject *items) {
  if (PyList_Check(container)) {
    checked(PyList_SetSlice(container, 0, PyList_GET_SIZE(container), items));
    return;
  }
  callPlainMethod(container, "clear");
  for (Py_ssize_t i = 0; PyODict_Check(container) && i < PyList_GET_SIZE(items); ++i) {
    PyObject *pair = PyList_GET_ITEM(items, i);
    checked(PyODict_SetItem(container, PyTuple_GET_ITEM(pair, 0), PyTuple_GET_ITEM(pair, 1)));
  }
  if (PyODict_Check(container))
    return;
  bool isUpdated = PyDict_Check(container) || PyAnySet_Check(container);
  callPlainMethod(container, isUpdated ? "update" : "extend", items);
}

void setSlot(const Slot &slot, PyObject *value) {
  PyObject *object = slot.object.get(), *key = slot.key.get();
  switch (slot.kind) {
  case Slot::Kind::DictItem:
    if (value)
      checked(PyODict_Check(object) ? PyODict_SetItem(object, key, value)
                                    : PyDict_SetItem(object, key, value));
    else if (itemOf(object, key))
      checked(PyODict_Check(object) ? PyODict_DelItem(object, key) : PyDict_DelItem(object, key));
    return;
  case Slot::Kind::ListItem:
    checked(PyList_SetItem(object, PyLong_AsSsize_t(key), Py_NewRef(value)));
    return;
  case Slot::Kind::Length: return; // follows from the items
  case Slot::Kind::Cell: checked(PyCell_Set(object, value)); return;
  case Slot::Kind::Member:
    if (value || valueIn(slot))
      checked(Py_TYPE(key)->tp_descr_set(key, object, value));
    return;
  case Slot::Kind::ClassItem:
    if (value || valueIn(slot))
      checked(PyType_Type.tp_setattro(object, key, value));
    return;
  }
}

} // namespace

void ValueChange::put(const PyRef &value) const {
  try {
    if (isNumpyArray(slot.object.get()))
      checked(PyObject_CallFunctionObjArgs(ofModule("numpy", "copyto"), slot.object.get(),
                                           value.get(), nullptr));
    else if (isContainer)
      refill(slot.object.get(), value.get());
    else
      setSlot(slot, value.get());
  } catch (const PythonError &) {
    PyErr_WriteUnraisable(slot.object.get());
  }
}

std::vector<PyRef> Guards::inputValues() const {
  std::vector<PyRef> values;
  for (const SlotPattern &input : inputs_)
    values.push_back(valueIn(input.slot));
  return values;
}

std::vector<ValueChange> Guards::changes(const std::vector<PyRef> &inputs) const {
  std::vector<ValueChange> changes;
  auto compare = [&](const Slot &slot, const PyRef &before) {
    PyRef now = valueIn(slot);
    if (!sameValue(before.get(), now.get()))
      changes.push_back({slot, false, before, std::move(now)});
  };
  for (const ContainerGuard &guard : containers_) {
    if (guard.compare())
      continue;
    std::vector<PyRef> before;
    for (size_t i = 0; i < guard.items.size(); ++i) {
      PyRef item = guard.items[i].value;
      for (size_t k = 0; guard.varies[i] && k < inputs_.size(); ++k) {
        const Slot &slot = inputs_[k].slot;
        bool isItem =
            slot.object.get() == guard.container.get() &&
            (guard.items[i].key ? sameValue(slot.key.get(), guard.items[i].key.get())
                                : static_cast<size_t>(PyLong_AsSsize_t(slot.key.get())) == i);
        if (isItem)
          item = inputs[k];
      }
      before.push_back(guard.items[i].key ? pairOf(guard.items[i].key, item.get()) : item);
    }
    changes.push_back({{Slot::Kind::Length, guard.container, {}},
                       true,
                       listOf(before),
                       itemsToPut(guard.container.get())});
  }
  for (const DictGuard &guard : dicts_)
    for (const Item &item : guard.items)
      compare({Slot::Kind::DictItem, guard.dict, item.key}, item.value);
  for (const MemberGuard &guard : members_)
    compare(guard.slot, guard.value);
  for (const ClassContents &contents : contents_) {
    PyRef type = PyRef::share(reinterpret_cast<PyObject *>(contents.type));
    for (const Item &item : contents.items)
      compare({Slot::Kind::ClassItem, type, item.key}, item.value);
  }
  for (size_t i = 0; i < inputs_.size(); ++i)
    compare(inputs_[i].slot, inputs[i]);
  return changes;
}

} // namespace bifront
