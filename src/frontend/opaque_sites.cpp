#include "frontend/opaque_sites.h"

#include "frontend/kinds.h"
#include "frontend/numpy_data.h"
#include "frontend/private_values.h"
#include "frontend/python_error.h"

#include <algorithm>
#include <optional>

namespace bifront {
namespace {

constexpr int kMostTries = 2;
constexpr Py_ssize_t kLargestContainer = 64;

std::optional<PyRef> sampleOf(PyObject *result, int depth = 0);

std::optional<PyRef> sampleOfSequence(PyObject *result, int depth) {
  bool isTuple = PyTuple_CheckExact(result);
  Py_ssize_t size = PySequence_Fast_GET_SIZE(result);
  PyRef sample = checked(isTuple ? PyTuple_New(size) : PyList_New(size));
  for (Py_ssize_t i = 0; i < size; ++i) {
    std::optional<PyRef> item = sampleOf(PySequence_Fast_GET_ITEM(result, i), depth + 1);
    if (!item)
      return std::nullopt;
    if (isTuple)
      PyTuple_SET_ITEM(sample.get(), i, item->release());
    else
      PyList_SET_ITEM(sample.get(), i, item->release());
  }
  return sample;
}

std::optional<PyRef> sampleOfDict(PyObject *result, int depth) {
  PyRef sample = checked(PyDict_New());
  PyObject *key = nullptr, *value = nullptr;
  for (Py_ssize_t at = 0; PyDict_Next(result, &at, &key, &value);) {
    std::optional<PyRef> item = isPlain(key) ? sampleOf(value, depth + 1) : std::nullopt;
    if (!item)
      return std::nullopt;
    checked(PyDict_SetItem(sample.get(), key, item->get()));
  }
  return sample;
}

// Of an object that nobody can change, or a copy; nothing where the object would have to be kept.
std::optional<PyRef> sampleOf(PyObject *result, int depth) {
  if (isImmutable(result) && !PyTuple_Check(result))
    return PyRef::share(result);
  if (isNumpyScalar(result))
    return PyRef::share(result);
  if (isNumpyArray(result) && !holdsObjects(result))
    return checked(PyObject_CallMethod(result, "copy", nullptr));
  bool isDict = PyDict_CheckExact(result);
  bool isSequence = PyTuple_CheckExact(result) || PyList_CheckExact(result);
  if ((!isDict && !isSequence) || depth > kDeepestSequence ||
      (!PyTuple_CheckExact(result) && PyObject_Size(result) > kLargestContainer))
    return std::nullopt;
  return isDict ? sampleOfDict(result, depth) : sampleOfSequence(result, depth);
}

// Or is one.
bool holdsContainer(PyObject *value) {
  if (!PyTuple_Check(value))
    return PyList_Check(value) || PyDict_Check(value);
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(value); ++i)
    if (holdsContainer(PyTuple_GET_ITEM(value, i)))
      return true;
  return false;
}

} // namespace

OpaqueSite *OpaqueSites::find(const CallPlace &place) {
  auto found = sites_.find(place);
  return found == sites_.end() ? nullptr : &found->second;
}

bool OpaqueSites::want(const CallPlace &place, const std::string &callee, PyObject *function,
                       bool isWalkable) {
  if (OpaqueSite *known = find(place)) {
    if (!known->refusal.empty() || known->callee != callee)
      return false;
    auto isSame = [&](const PyRef &other) { return other.get() == function; };
    if (std::none_of(known->functions.begin(), known->functions.end(), isSame)) {
      known->functions.push_back(PyRef::share(function));
      hasNew_ = true;
    }
    return true;
  }
  auto sample = samples_.find(place);
  if (sample == samples_.end()) {
    if (++tries_[place] > kMostTries)
      return false;
    unknown_[place] = {callee, PyRef::share(function), isWalkable};
    around_.clear();
    return true;
  }
  if (!sample->second.result || sample->second.callee != callee)
    return false;
  sites_[place] = {.callee = callee,
                   .sample = sample->second.result,
                   .functions = {PyRef::share(function)},
                   .isWalkable = isWalkable};
  hasNew_ = true;
  return true;
}

void OpaqueSites::refuse(OpaqueSite &site, const std::string &why) {
  site.refusal = why;
  hasNew_ = hasNew_ || site.isWalkable; // the next conversion walks it
}

bool OpaqueSites::refuseWalkable(const std::string &why) {
  bool any = false;
  for (auto &[place, site] : sites_)
    if (site.isWalkable && site.refusal.empty()) {
      site.refusal = why;
      any = true;
    }
  return any;
}

std::vector<PyRef> OpaqueSites::functionsToSample() const {
  std::vector<PyRef> functions;
  for (const auto &[place, unknown] : unknown_)
    functions.push_back(unknown.function);
  functions.insert(functions.end(), around_.begin(), around_.end());
  return functions;
}

std::vector<PyRef> OpaqueSites::functions() const {
  std::vector<PyRef> all;
  for (const auto &[place, site] : sites_)
    for (const PyRef &function : site.functions)
      if (std::none_of(all.begin(), all.end(),
                       [&](const PyRef &other) { return other.get() == function.get(); }))
        all.push_back(function);
  return all;
}

void OpaqueSites::addSample(const CallPlace &place, PyObject *callee, PyObject *result) {
  if (hasSample(place))
    return;
  try {
    bool isNobodyElses = !holdsContainer(result) || isPrivate(result, /*references=*/1);
    samples_[place] = {nameOf(callee),
                       isNobodyElses ? sampleOf(result).value_or(PyRef()) : PyRef()};
  } catch (const PythonError &) {
    PyErr_Clear(); // there is no sample then
  }
}

void OpaqueSites::endSampling() {
  auto asked = std::exchange(unknown_, {});
  around_.clear();
  for (const auto &[place, unknown] : asked)
    if (hasSample(place))
      want(place, unknown.callee, unknown.function.get(), unknown.isWalkable);
}

// Attributes and globals that hold what nobody can change, or arrays.
void OpaqueSites::noteChanged(const Slot &slot) {
  constexpr size_t kMost = 64;
  if (slot.kind != Slot::Kind::DictItem || isChanged(slot) || changed_.size() == kMost)
    return;
  PyObject *value = PyDict_GetItemWithError(slot.object.get(), slot.key.get());
  if (!value || holdsContainer(value) || !sampleOf(value))
    return;
  changed_.push_back(slot);
  hasNew_ = true;
}

bool OpaqueSites::isChanged(const Slot &slot) const {
  return slot.kind == Slot::Kind::DictItem &&
         std::any_of(changed_.begin(), changed_.end(), [&](const Slot &known) {
           return known.object.get() == slot.object.get() && known.key.get() == slot.key.get();
         });
}

int OpaqueSites::traverse(visitproc visit, void *arg) const {
  for (const auto &[place, site] : sites_)
    for (const PyRef &function : site.functions)
      Py_VISIT(function.get());
  for (const auto &[place, unknown] : unknown_)
    Py_VISIT(unknown.function.get());
  for (const PyRef &function : around_)
    Py_VISIT(function.get());
  for (const Slot &slot : changed_)
    Py_VISIT(slot.object.get());
  return 0;
}

} // namespace bifront
