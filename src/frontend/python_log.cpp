#include "frontend/python_log.h"

#include "frontend/callbacks.h"

#include "frontend/interpreter.h"
#include "frontend/kinds.h"
#include "frontend/output.h"
#include "frontend/plain_containers.h"
#include "frontend/python_error.h"
#include "support/plain_constant.h"

#include <algorithm>
#include <initializer_list>
#include <stdexcept>
#include <string_view>

namespace bifront {
namespace {

bool isOrdered(PyObject *dict) { return PyODict_Check(dict); }

PyRef valueAt(Slot::Kind kind, PyObject *object, PyObject *key) {
  switch (kind) {
  case Slot::Kind::DictItem:
    return PyRef::share(checkedOrAbsent(PyDict_GetItemWithError(object, key)));
  case Slot::Kind::ListItem: {
    Py_ssize_t index = PyLong_AsSsize_t(key), size = PyList_GET_SIZE(object);
    index += index < 0 ? size : 0;
    return PyRef::share(index >= 0 && index < size ? PyList_GET_ITEM(object, index) : nullptr);
  }
  case Slot::Kind::Length: return checked(PyLong_FromSsize_t(PyList_GET_SIZE(object)));
  case Slot::Kind::Cell: return PyRef::share(PyCell_GET(object));
  case Slot::Kind::Member: {
    PyRef value = PyRef::steal(
        Py_TYPE(key)->tp_descr_get(key, object, reinterpret_cast<PyObject *>(Py_TYPE(object))));
    if (!value && !PyErr_ExceptionMatches(PyExc_AttributeError))
      throw PythonError();
    PyErr_Clear(); // not assigned
    return value;
  }
  case Slot::Kind::ClassItem: {
    PyObject *dict = reinterpret_cast<PyTypeObject *>(object)->tp_dict;
    return PyRef::share(checkedOrAbsent(PyDict_GetItemWithError(dict, key)));
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
    // Another thread may have made the list shorter.
    if (Py_ssize_t index = PyLong_AsSsize_t(key); value && index < PyList_GET_SIZE(object))
      checked(PyList_SetItem(object, index, Py_NewRef(value)));
    break;
  case Slot::Kind::Length: break; // nothing can stand there
  case Slot::Kind::Cell: checked(PyCell_Set(object, value)); break;
  case Slot::Kind::Member: checked(Py_TYPE(key)->tp_descr_set(key, object, value)); break;
  case Slot::Kind::ClassItem: checked(PyType_Type.tp_setattro(object, key, value)); break;
  }
}

bool isNamed(PyObject *function, std::initializer_list<std::string_view> names) {
  PyRef name = checked(PyObject_GetAttrString(function, "__name__"));
  return std::find(names.begin(), names.end(), std::string_view(PyUnicode_AsUTF8(name.get()))) !=
         names.end();
}

} // namespace

void PythonLog::noteFresh(PyObject *object) {
  bool isNew = fresh_.try_emplace(object, PyRef::share(object), numFresh_).second;
  numFresh_ += isNew ? 1 : 0;
  if (isNew && PyIter_Check(object))
    iterators_.push_back(object);
}

void PythonLog::releaseCells() {
  std::unordered_map<PyObject *, Py_ssize_t> known; // by this log
  for (const Undo &undo : undo_)
    ++known[undo.slot.object.get()];
  for (const auto &[object, fresh] : fresh_)
    if (PyCell_Check(object) && Py_REFCNT(object) == 1 + known[object] &&
        std::ranges::find(iterators_, PyCell_GET(object)) != iterators_.end())
      checked(PyCell_Set(object, nullptr));
}

void PythonLog::releaseIterators() {
  // Those that only others know which end, as zip() does, end behind these, the last one first.
  for (bool isFirst = true, anyEnded = true; anyEnded; isFirst = false) {
    std::vector<PyRef> ended; // with the last references to generators, whose end comes here again
    std::erase_if(iterators_, [&](PyObject *iterator) {
      auto found = fresh_.find(iterator);
      if (found == fresh_.end() || Py_REFCNT(iterator) > 1)
        return found == fresh_.end();
      ended.push_back(std::move(found->second.object));
      fresh_.erase(found);
      return true;
    });
    anyEnded = !ended.empty();
    if (!isFirst)
      std::reverse(ended.begin(), ended.end());
    for (PyRef &iterator : ended)
      iterator = PyRef();
  }
}

void PythonLog::noteFreshWith(PyObject *whole, PyObject *part) {
  if (auto found = fresh_.find(whole); found != fresh_.end()) {
    size_t number = found->second.number;
    fresh_.try_emplace(part, PyRef::share(part), number);
  }
}

PythonLog::ObjectState &PythonLog::stateOf(PyObject *object) {
  auto [found, isNew] = states_.try_emplace(object);
  if (isNew) {
    found->second.object = PyRef::share(object);
    found->second.indexOfKey = checked(PyDict_New());
    found->second.sizeBefore = PyList_Check(object) ? PyList_GET_SIZE(object) : 0;
  }
  return found->second;
}

size_t PythonLog::indexOf(ObjectState &state, PyObject *key) {
  key = key ? key : Py_None;
  if (PyObject *index = checkedOrAbsent(PyDict_GetItemWithError(state.indexOfKey.get(), key)))
    return PyLong_AsSize_t(index);
  PyRef index = checked(PyLong_FromSize_t(state.slots.size()));
  checked(PyDict_SetItem(state.indexOfKey.get(), key, index.get()));
  state.slots.emplace_back();
  return state.slots.size() - 1;
}

void PythonLog::noteState(ObjectState &state, size_t slot) {
  SlotState before = slot < state.slots.size() ? state.slots[slot] : SlotState();
  notes_.push_back({state.object.get(), slot, before, state.mutated});
}

//===- Reads -------------------------------------------------------------------------------===//

std::optional<size_t> PythonLog::appendedTo(PyObject *list) {
  if (isFresh(list) || !PyList_Check(list))
    return std::nullopt;
  ObjectState &state = stateOf(list);
  if (state.mutated)
    return std::nullopt;
  return PyList_GET_SIZE(list) - state.sizeBefore;
}

bool PythonLog::hasSetItems(PyObject *list) const {
  auto state = states_.find(list);
  return state != states_.end() &&
         std::ranges::any_of(state->second.slots,
                             [](const SlotState &slot) { return slot.written; });
}

// Whether no item from before the call has had another name, and this is one of them.
bool PythonLog::namesItem(ObjectState &state, PyObject *key) {
  Py_ssize_t index = PyLong_AsSsize_t(key);
  bool &mine = index < 0 ? state.indexedFromEnd : state.indexed;
  const bool &other = index < 0 ? state.indexed : state.indexedFromEnd;
  if (other || index >= state.sizeBefore)
    return false;
  mine = true;
  return true;
}

bool PythonLog::read(Slot::Kind kind, PyObject *object, PyObject *key, PyObject *value) {
  requireShown();
  if (isFresh(object))
    return false;
  ObjectState &state = stateOf(object);
  SlotState &slot = slotOf(state, key);
  slot.readAgain = slot.read;
  if (slot.read || slot.written || state.containerRead)
    return false;
  bool isKnown = kind != Slot::Kind::ListItem || namesItem(state, key);
  if (state.mutated || !isKnown) { // what was there before has become this
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
  effects_.reads.pop_back(); // of the value, which nothing is assumed of
  Slot place = slot;
  if (slot.kind == Slot::Kind::ListItem && PyLong_AsSsize_t(slot.key.get()) < 0)
    place.key = checked(PyLong_FromSsize_t(stateOf(slot.object.get()).sizeBefore +
                                           PyLong_AsSsize_t(slot.key.get())));
  put(place.kind, place.object.get(), place.key.get(), proxy);
  standIns_.push_back({std::move(place), PyRef::share(value), PyRef::share(proxy)});
  effects_.inputs.push_back({std::move(slot), PyRef::share(value), input});
}

bool PythonLog::isSeen(size_t standIn) {
  const Slot &slot = standIns_[standIn].slot;
  ObjectState &state = stateOf(slot.object.get());
  return state.containerRead || slotOf(state, slot.key.get()).readAgain;
}

PyRef PythonLog::lengthStandIn(PyObject *list) const {
  for (const StandIn &standIn : standIns_)
    if (standIn.slot.kind == Slot::Kind::Length && standIn.slot.object.get() == list)
      return standIn.proxy;
  return {};
}

void PythonLog::readContainer(PyObject *container) {
  if (isFresh(container))
    return;
  refuseNumbered(container);
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

void PythonLog::readAnswer(PyObject *function, PyObject *argument, PyObject *answer) {
  auto isSame = [&](const PythonRead &read) {
    return read.kind == PythonRead::Kind::Answer && read.slot.object.get() == function &&
           sameValue(read.slot.key.get(), argument);
  };
  if (std::ranges::none_of(effects_.reads, isSame))
    effects_.reads.push_back(
        {PythonRead::Kind::Answer,
         {Slot::Kind::DictItem, PyRef::share(function), PyRef::share(argument)},
         PyRef::share(answer)});
}

bool PythonLog::hasRead(PyObject *object) const {
  return isFresh(object) || states_.contains(object) ||
         std::ranges::any_of(effects_.reads, [&](const PythonRead &read) {
           return read.kind == PythonRead::Kind::Slot && read.value.get() == object;
         });
}

void PythonLog::readTypeOf(PyObject *object) {
  refuseStream(object);
  bool canChange = Py_TYPE(object)->tp_flags & Py_TPFLAGS_HEAPTYPE || PyFunction_Check(object);
  if (!canChange || isFresh(object))
    return; // `__class__` of other objects cannot be assigned
  if (callbackOf(object))
    return; // the call has made it
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
  requireShown();
  bool reorders = !value && kind == Slot::Kind::DictItem;
  if (reorders) // put back, the item would come last
    undo_.push_back({Undo::Kind::Container, {kind, PyRef::share(object), {}}, plainCopy(object)});
  else
    noteBefore(kind, object, key);
  put(kind, object, key, value);
  if (isFresh(object))
    return;
  ObjectState &state = stateOf(object);
  state.indexed = state.indexed || kind == Slot::Kind::ListItem;
  size_t index = indexOf(state, key);
  noteState(state, index);
  SlotState &slot = state.slots[index];
  slot.written = true;
  auto &writes = effects_.writes;
  if (value && slot.lastWrite >= static_cast<int64_t>(postponed_)) {
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

// What the function takes the items of is copied: the program may change it later.
PyRef PythonLog::itemsAsTheyAre(PyObject *function, PyObject *argument) {
  if (!isFresh(argument) || !isMutableContainer(argument) || PyByteArray_Check(argument) ||
      !isNamed(function, {"extend", "extendleft", "update", "__iadd__", "__ior__", "__iand__",
                          "__isub__", "__ixor__", "difference_update", "intersection_update",
                          "symmetric_difference_update", "__setitem__"}))
    return PyRef::share(argument);
  PyRef copy = plainCopy(argument);
  noteFresh(copy.get());
  return copy;
}

PyRef PythonLog::mutate(PyObject *container, PyObject *function, PyObject *const *args,
                        size_t count, PyObject *keywordNames) {
  requireShown();
  refuseNumbered(container);
  undo_.push_back({Undo::Kind::Container,
                   {Slot::Kind::DictItem, PyRef::share(container), {}},
                   plainCopy(container)});
  ObjectState *state = isFresh(container) ? nullptr : &stateOf(container);
  PyRef result = checked(PyObject_Vectorcall(function, args, count, keywordNames));
  if (!state)
    return result;
  if (!PyList_Check(container) || !isNamed(function, {"append", "extend"})) {
    forgetLastWrites(*state); // what it wrote may have moved
    state->mutated = true;
  }
  noteCall(function, args, count, keywordNames);
  // `list[a:b] = items`, but not `list[-1] = item`.
  std::vector<PyRef> &values = effects_.writes.back().values;
  if (count == 2 || (count == 3 && PySlice_Check(args[1])))
    values.back() = itemsAsTheyAre(function, args[count - 1]);
  return result;
}

void PythonLog::postpone(PyObject *function, PyObject *const *args, size_t count,
                         PyObject *keywordNames) {
  noteCall(function, args, count, keywordNames);
  effects_.writes.back().isOutput = true;
  postponed_ = effects_.writes.size();
}

void PythonLog::noteCall(PyObject *function, PyObject *const *args, size_t count,
                         PyObject *keywordNames) {
  PythonWrite write{PythonWrite::Kind::Call,
                    {Slot::Kind::DictItem, PyRef::share(function), {}},
                    {},
                    PyRef::share(keywordNames)};
  size_t total = count + (keywordNames ? PyTuple_GET_SIZE(keywordNames) : 0);
  for (size_t i = 0; i < total; ++i)
    write.values.push_back(PyRef::share(args[i]));
  effects_.writes.push_back(std::move(write));
}

// Before a write of another kind: each slot's next write is one of its own.
void PythonLog::forgetLastWrites(ObjectState &state) {
  for (size_t slot = 0; slot <= state.slots.size(); ++slot)
    noteState(state, slot);
  for (SlotState &slot : state.slots)
    slot.lastWrite = -1;
}

bool isChangedBy(const std::vector<PythonWrite> &writes, PyObject *object) {
  return std::ranges::any_of(writes, [&](const PythonWrite &write) {
    return write.slot.object.get() == object ||
           (write.kind == PythonWrite::Kind::Call &&
            std::ranges::any_of(write.values,
                                [&](const PyRef &value) { return value.get() == object; }));
  });
}

//===- Items under numbers of the graph ----------------------------------------------------===//

namespace {

PyObject *dictMethod(const char *name) { return PyDict_GetItemString(PyDict_Type.tp_dict, name); }

bool isPutNumbered(const PythonWrite &write, PyObject *dict) {
  static PyObject *const set = dictMethod("__setitem__"), *const remove = dictMethod("__delitem__");
  return write.kind == PythonWrite::Kind::Call && write.values[0].get() == dict &&
         (write.slot.object.get() == set || write.slot.object.get() == remove);
}

} // namespace

void PythonLog::putNumbered(PyObject *dict, PyObject *number, PyObject *value) {
  forgetLastWrites(stateOf(dict)); // of the item that this one may be
  PyObject *arguments[] = {dict, number, value};
  noteCall(dictMethod(value ? "__setitem__" : "__delitem__"), arguments, value ? 3 : 2, nullptr);
}

bool PythonLog::hasNumbered(PyObject *dict) const {
  return PyDict_Check(dict) && std::ranges::any_of(effects_.writes, [&](const PythonWrite &write) {
           return isPutNumbered(write, dict);
         });
}

void PythonLog::refuseNumbered(PyObject *container) const {
  if (hasNumbered(container))
    throw CannotFork(container, Policy::OneWay,
                     "a dict is looked at as a whole that has items under numbers of the graph");
}

std::vector<PythonLog::Put> PythonLog::putInto(PyObject *dict) const {
  auto state = states_.find(dict);
  if (state != states_.end() && state->second.mutated)
    throw CannotFork(dict, Policy::OneWay,
                     "an item under a number of the graph is asked of a dict that was changed");
  std::vector<Put> puts;
  for (const PythonWrite &write : effects_.writes)
    if (isPutNumbered(write, dict))
      puts.push_back({write.values[1], write.values.size() > 2 ? write.values[2] : PyRef()});
    else if (write.kind != PythonWrite::Kind::Call && write.slot.object.get() == dict)
      puts.push_back({write.slot.key, write.values.empty() ? PyRef() : write.values[0]});
  return puts;
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

PythonLog::Mark PythonLog::mark() const {
  return {undo_.size(), notes_.size(), numFresh_, standIns_.size(), postponed_, effects_.writes};
}

void PythonLog::rollBack(const Mark &mark) {
  requireShown();
  for (; undo_.size() > mark.undo; undo_.pop_back())
    if (!isFreshSince(mark, undo_.back().slot.object.get()))
      takeBack(undo_.back());
  // A copy of a container may have been older. What was read stays read.
  for (size_t i = mark.standIns; i < standIns_.size(); ++i)
    put(standIns_[i].slot.kind, standIns_[i].slot.object.get(), standIns_[i].slot.key.get(),
        standIns_[i].proxy.get());
  for (; notes_.size() > mark.notes; notes_.pop_back()) {
    const Note &note = notes_.back();
    ObjectState &state = states_.at(note.object);
    state.mutated = note.mutatedBefore;
    if (note.slot < state.slots.size()) {
      bool read = state.slots[note.slot].read;
      state.slots[note.slot] = note.before;
      state.slots[note.slot].read = read;
    }
  }
  effects_.writes = mark.writes;
  postponed_ = mark.postponed;
}

bool PythonLog::isFreshSince(const Mark &mark, PyObject *object) const {
  auto found = fresh_.find(object);
  return found != fresh_.end() && found->second.number >= mark.fresh;
}

std::vector<PythonLog::Change> PythonLog::changesSince(const Mark &mark) const {
  std::vector<Change> changes;
  auto isKnown = [&](const Undo &undo) {
    for (const Change &change : changes) {
      if (change.slot.object.get() != undo.slot.object.get())
        continue;
      if (change.isContainer)
        return true;
      bool sameKey = undo.slot.key && change.slot.key
                         ? checked(PyObject_RichCompareBool(change.slot.key.get(),
                                                            undo.slot.key.get(), Py_EQ)) != 0
                         : !undo.slot.key && !change.slot.key;
      if (undo.kind == Undo::Kind::Slot && sameKey)
        return true;
    }
    return false;
  };
  auto add = [&](const Undo &undo) {
    // What the branch has made itself is reached through other changes, or not at all.
    if (isFreshSince(mark, undo.slot.object.get()) || isKnown(undo))
      return;
    bool isContainer = undo.kind == Undo::Kind::Container;
    changes.push_back({isContainer, undo.slot,
                       isContainer ? plainCopy(undo.slot.object.get()) : valueNow(undo.slot)});
  };
  for (Undo::Kind kind : {Undo::Kind::Container, Undo::Kind::Slot})
    for (size_t i = mark.undo; i < undo_.size(); ++i)
      if (undo_[i].kind == kind)
        add(undo_[i]);
  return changes;
}

bool PythonLog::hasCalledSince(const Mark &mark) const {
  auto isCall = [](const PythonWrite &write) { return write.kind != PythonWrite::Kind::SetSlot; };
  const std::vector<PythonWrite> &writes = effects_.writes;
  return std::any_of(writes.begin() + static_cast<ptrdiff_t>(mark.writes.size()), writes.end(),
                     isCall);
}

PyRef PythonLog::valueNow(const Slot &slot) const {
  return valueAt(slot.kind, slot.object.get(), slot.key.get());
}

PyRef PythonLog::contentsAt(const Change &change) const {
  return change.isContainer ? plainCopy(change.slot.object.get()) : valueNow(change.slot);
}

void PythonLog::refill(PyObject *container, PyObject *contents) {
  undo_.push_back({Undo::Kind::Container,
                   {Slot::Kind::DictItem, PyRef::share(container), {}},
                   plainCopy(container)});
  putBack(container, contents);
}

//===- Beside other threads ----------------------------------------------------------------===//

void PythonLog::requireShown() const {
  if (isHidden_)
    throw std::logic_error("Python's values are used while they are as they were before the walk");
}

bool PythonLog::hides(PyObject *object) const {
  auto isOfObject = [&](const auto &change) { return change.slot.object.get() == object; };
  return !isFresh(object) &&
         (std::ranges::any_of(undo_, isOfObject) || std::ranges::any_of(standIns_, isOfObject));
}

// What is there now and what was there before change places.
void PythonLog::exchange(Undo &undo) {
  const Slot &slot = undo.slot;
  if (isFresh(slot.object.get()))
    return;
  PyRef now = undo.kind == Undo::Kind::Container
                  ? plainCopy(slot.object.get())
                  : valueAt(slot.kind, slot.object.get(), slot.key.get());
  takeBack(undo);
  undo.before = std::move(now);
}

void PythonLog::hide() {
  requireShown();
  for (size_t i = undo_.size(); i-- > 0;)
    exchange(undo_[i]);
  for (size_t i = standIns_.size(); i-- > 0;) {
    const Slot &slot = standIns_[i].slot;
    put(slot.kind, slot.object.get(), slot.key.get(), standIns_[i].before.get());
  }
  isHidden_ = true;
}

// What another thread has put there meanwhile is what was there before.
void PythonLog::show() {
  isHidden_ = false;
  for (StandIn &standIn : standIns_) {
    const Slot &slot = standIn.slot;
    standIn.before = valueNow(slot);
    put(slot.kind, slot.object.get(), slot.key.get(), standIn.proxy.get());
  }
  for (Undo &undo : undo_)
    exchange(undo);
}

PythonEffects PythonLog::finish() {
  requireShown();
  for (; !undo_.empty(); undo_.pop_back())
    if (!isFresh(undo_.back().slot.object.get()))
      takeBack(undo_.back());
  for (; !standIns_.empty(); standIns_.pop_back()) {
    const Slot &slot = standIns_.back().slot;
    put(slot.kind, slot.object.get(), slot.key.get(), standIns_.back().before.get());
  }
  auto fresh = std::make_shared<decltype(fresh_)>(std::move(fresh_));
  effects_.isFresh = [fresh](PyObject *object) { return fresh->contains(object); };
  return std::move(effects_);
}

//===- What waits for the end ----------------------------------------------------------------===//

bool isSeen(const PythonWrite &write, PyObject *reached) {
  auto has = [&](PyObject *object) {
    PyRef address = checked(PyLong_FromVoidPtr(object));
    return checked(PyDict_Contains(reached, address.get())) != 0;
  };
  if (write.kind == PythonWrite::Kind::Call)
    return write.isOutput || has(write.values[0].get());
  if (has(write.slot.object.get()))
    return true;
  PyRef address = checked(PyLong_FromVoidPtr(write.slot.object.get()));
  PyRef name =
      checked(PyTuple_Pack(2, address.get(), write.slot.key ? write.slot.key.get() : Py_None));
  return checked(PyDict_Contains(reached, name.get())) != 0;
}

bool PythonLog::hasChanged(const Slot &slot) const {
  return std::any_of(effects_.writes.begin(), effects_.writes.end(), [&](const PythonWrite &write) {
    if (write.kind == PythonWrite::Kind::Call)
      return !write.values.empty() && write.values[0].get() == slot.object.get();
    return write.slot.object.get() == slot.object.get() && write.slot.key.get() == slot.key.get();
  });
}

bool PythonLog::hasPending(PyObject *reached) const {
  return std::any_of(effects_.writes.begin(), effects_.writes.end(),
                     [&](const PythonWrite &write) { return bifront::isSeen(write, reached); });
}

} // namespace bifront
