// What of Python's values differs where guards do not hold, and whether the next graph could have
// it as an input.
#include "speculate/guards.h"

#include "frontend/kinds.h"
#include "support/plain_constant.h"

#include <algorithm>

namespace bifront {
namespace {

// As lists, whose items compare one by one.
PyRef listOf(const std::vector<PyObject *> &items) {
  PyRef list = PyRef::steal(PyList_New(static_cast<Py_ssize_t>(items.size())));
  for (size_t i = 0; list && i < items.size(); ++i)
    PyList_SET_ITEM(list.get(), static_cast<Py_ssize_t>(i), Py_NewRef(items[i]));
  return list;
}

// A number where there was nothing is an input from then on: a counter that has begun.
std::optional<ValueDifference> differenceOf(PyObject *before, PyObject *now) {
  bool begins = !before && now && (PyLong_CheckExact(now) || PyFloat_CheckExact(now));
  return begins ? ValueDifference() : compareValues(before, now);
}

bool holdsInTuples(PyObject *value, PyObject *sought) {
  if (value == sought)
    return true;
  for (Py_ssize_t i = 0; value && PyTuple_Check(value) && i < PyTuple_GET_SIZE(value); ++i)
    if (holdsInTuples(PyTuple_GET_ITEM(value, i), sought))
      return true;
  return false;
}

} // namespace

Slot Guards::ContainerGuard::slotOf(size_t item) const {
  if (PyDict_Check(container.get()))
    return {Slot::Kind::DictItem, container, items[item].key};
  return {Slot::Kind::ListItem, container, PyRef::steal(PyLong_FromSize_t(item))};
}

void Guards::forEachSlot(const std::function<void(const Slot &, PyObject *)> &use) const {
  for (const DictGuard &guard : dicts_)
    for (const Item &item : guard.items)
      use({Slot::Kind::DictItem, guard.dict, item.key}, item.value.get());
  for (const MemberGuard &guard : members_)
    use(guard.slot, guard.value.get());
  for (const ContainerGuard &guard : containers_)
    if (PyDict_Check(guard.container.get()) || PyList_Check(guard.container.get()))
      for (size_t i = 0; i < guard.items.size(); ++i)
        if (!guard.varies[i])
          use(guard.slotOf(i), guard.items[i].value.get());
}

// Of a container that is not as it was: its items, or for a deque, whose items have no slots, what
// holds it. False where neither could be an input.
bool Guards::addChanges(const ContainerGuard &guard, std::vector<Change> &changes) const {
  PyObject *container = guard.container.get();
  bool isDict = PyDict_Check(container);
  if (!isDict && !PyList_Check(container))
    return addHolders(guard, changes);
  std::vector<PyRef> held = isDict ? keysOf(container) : itemsOf(container);
  if (held.size() != guard.items.size())
    return !isDict && hasLengthGuard(container);
  for (size_t i = 0; i < held.size(); ++i) {
    const Item &item = guard.items[i];
    if (isDict && !sameValue(item.key.get(), held[i].get()))
      return false;
    PyObject *now = isDict ? itemOf(container, held[i].get()) : held[i].get();
    if (!guard.varies[i] && !sameValue(item.value.get(), now))
      changes.push_back({guard.slotOf(i), compareValues(item.value.get(), now)});
  }
  return true;
}

// Then the length may be an input.
bool Guards::hasLengthGuard(PyObject *list) const {
  return std::ranges::any_of(members_, [&](const MemberGuard &guard) {
    return guard.slot.kind == Slot::Kind::Length && guard.slot.object.get() == list;
  });
}

bool Guards::addHolders(const ContainerGuard &guard, std::vector<Change> &changes) const {
  PyObject *container = guard.container.get();
  if (!isNest(container))
    return false;
  std::vector<PyObject *> before, now;
  for (const Item &item : guard.items)
    before.push_back(item.value.get());
  std::vector<PyRef> held = itemsOf(container);
  for (const PyRef &item : held)
    now.push_back(item.get());
  ValueDifference difference;
  if (auto items = compareValues(listOf(before).get(), listOf(now).get()))
    difference = std::move(*items);
  difference.wholly = difference.wholly && before.size() == now.size();
  difference.replaced.push_back(guard.container);
  size_t known = changes.size();
  forEachSlot([&](const Slot &slot, PyObject *value) {
    if (!holdsInTuples(value, container))
      return;
    Change &change = changes.emplace_back(Change{slot, difference});
    if (value != container) // by way of a tuple
      change.difference->paths.clear();
  });
  return changes.size() > known;
}

std::optional<SlotDifference> Guards::differs(PyObject **leaves) const {
  auto holds = [](const auto &guard) { return guard.holds(); };
  if (!std::all_of(types_.begin(), types_.end(),
                   [&](const TypeGuard &guard) { return guard.holds(contents_); }) ||
      !std::all_of(objects_.begin(), objects_.end(), holds) ||
      !std::all_of(functions_.begin(), functions_.end(), holds) ||
      !std::all_of(answers_.begin(), answers_.end(), holds))
    return std::nullopt;
  std::vector<Change> changes;
  auto compare = [&](const Slot &slot, PyObject *before) {
    PyRef now = valueIn(slot);
    if (!sameValue(before, now.get()))
      changes.push_back({slot, differenceOf(before, now.get())});
  };
  for (const DictGuard &guard : dicts_)
    for (const Item &item : guard.items)
      compare({Slot::Kind::DictItem, guard.dict, item.key}, item.value.get());
  for (const MemberGuard &guard : members_)
    compare(guard.slot, guard.value.get());
  std::vector<PyObject *> lost; // changed containers that nothing is known to hold
  for (const ContainerGuard &guard : containers_)
    if (!guard.compare() && !addChanges(guard, changes))
      lost.push_back(guard.container.get());

  SlotDifference difference;
  for (const Change &change : changes)
    if (change.difference)
      difference.replaced.insert(difference.replaced.end(), change.difference->replaced.begin(),
                                 change.difference->replaced.end());
  auto isReplaced = [&](PyObject *object) {
    return std::any_of(difference.replaced.begin(), difference.replaced.end(),
                       [&](const PyRef &other) { return other.get() == object; });
  };
  if (!std::all_of(lost.begin(), lost.end(), isReplaced))
    return std::nullopt;
  // What was there is not what it was: how it differs says nothing of what this graph serves.
  bool hasAged =
      !lost.empty() || std::any_of(changes.begin(), changes.end(), [&](const auto &change) {
        return isReplaced(change.slot.object.get());
      });
  for (const Change &change : changes) {
    if (isReplaced(change.slot.object.get()))
      continue; // a graph with an input in its place does not look there
    if (!change.difference)
      return std::nullopt;
    difference.wholly = difference.wholly && (change.difference->wholly || hasAged);
    difference.values.push_back({{}, change.slot});
    for (const ValuePath &path : change.difference->paths)
      difference.values.push_back({path, change.slot});
  }
  for (const SlotPattern &input : inputs_) {
    DifferentPaths different;
    if (!input.pattern.differsInValues(valueIn(input.slot).get(), {}, leaves, different) ||
        !different.choices.empty()) // only arguments have those
      return std::nullopt;
    for (ValuePath &path : different.values)
      difference.values.push_back({std::move(path), input.slot});
  }
  return difference;
}

} // namespace bifront
