#include "frontend/opaque_objects.h"

#include "frontend/merge.h"
#include "frontend/numpy_data.h"
#include "frontend/pointers.h"
#include "frontend/python_error.h"

#include "capture/proxy.h"

#include <torch/csrc/autograd/python_variable.h>

#include <algorithm>

namespace bifront {
namespace {

bool isSameMemory(const SharedMemory &a, const SharedMemory &b) {
  return a.tensor.get() == b.tensor.get() && a.version == b.version;
}

bool covers(const std::vector<SharedMemory> &memories, const SharedMemory &memory) {
  return std::any_of(memories.begin(), memories.end(),
                     [&](const SharedMemory &known) { return isSameMemory(known, memory); });
}

} // namespace

PyRef OpaqueObjects::sampleOf(PyObject *array) const {
  constexpr size_t kMostBytes = 16 << 20;
  auto known = copies_.find(array);
  if (known != copies_.end())
    return known->second.second;
  PyRef size = checked(PyObject_GetAttrString(array, "nbytes"));
  PyObject *copy = PyLong_AsSize_t(size.get()) <= kMostBytes && !holdsObjects(array)
                       ? checked(PyObject_CallMethod(array, "copy", nullptr)).release()
                       : Py_NewRef(array);
  PyRef sample = PyRef::steal(copy);
  copies_.emplace(array, std::pair(PyRef::share(array), sample));
  return sample;
}

// An array that was not copied lies in the memory of one from outside.
bool OpaqueObjects::isOurs(PyObject *sample) const {
  PyRef owner = ownerOfMemory(sample);
  return std::none_of(copies_.begin(), copies_.end(), [&](const auto &copy) {
    return copy.second.first.get() == copy.second.second.get() &&
           ownerOfMemory(copy.first).get() == owner.get();
  });
}

bool OpaqueObject::sharesWithTensor() const {
  return std::any_of(shared.begin(), shared.end(),
                     [](const SharedMemory &memory) { return static_cast<bool>(memory.tensor); });
}

void OpaqueObjects::note(ValueId value, OpaqueObject object) {
  lanes_.note(value, [sample = object.mayBeNone ? PyRef() : object.sample](const Activation &) {
    return sample;
  });
  known_[value] = std::move(object);
}

const OpaqueObject *OpaqueObjects::find(ValueId value) const {
  auto found = known_.find(value);
  return found == known_.end() ? nullptr : &found->second;
}

std::optional<OpaqueObject> OpaqueObjects::of(PyObject *object) const {
  if (isNumpyArray(object))
    return OpaqueObject{sampleOf(object), {SharedMemory{}}};
  if (isNumpyScalar(object))
    return OpaqueObject{PyRef::share(object)};
  auto pointer = pointerOf(object);
  const OpaqueObject *known = pointer ? find(*pointer) : nullptr;
  return known ? std::optional(*known) : std::nullopt;
}

std::optional<OpaqueObject> OpaqueObjects::merged(PyObject *one, PyObject *other) const {
  if (one == Py_None && other != Py_None)
    return merged(other, one);
  auto result = of(one);
  auto second = other == Py_None ? std::nullopt : of(other);
  if (!result || (!second && other != Py_None) ||
      (second && Py_TYPE(result->sample.get()) != Py_TYPE(second->sample.get())))
    return std::nullopt;
  result->sizes = PyRef();
  result->mayBeNone = result->mayBeNone || !second || second->mayBeNone;
  if (second && second->selectedBy != result->selectedBy)
    result->selectedBy = kNoValue;
  if (second)
    for (SharedMemory &memory : second->shared)
      if (!covers(result->shared, memory))
        result->shared.push_back(std::move(memory));
  for (const SharedMemory &memory : result->shared) {
    ProxyImpl *proxy =
        memory.tensor ? ProxyImpl::of(THPVariable_Unpack(memory.tensor.get())) : nullptr;
    if (proxy && !recording_.graph().isUsable(proxy->value()))
      throw CannotMerge("an array lies in the memory of a tensor of one way, or one iteration");
  }
  return result;
}

bool OpaqueObjects::fits(const OpaqueObject &place, PyObject *object) const {
  if (object == Py_None)
    return place.mayBeNone;
  auto known = of(object);
  return known && Py_TYPE(known->sample.get()) == Py_TYPE(place.sample.get()) &&
         (place.mayBeNone || !known->mayBeNone) &&
         std::all_of(known->shared.begin(), known->shared.end(),
                     [&](const SharedMemory &memory) { return covers(place.shared, memory); });
}

const Choice *OpaqueObjects::choice(PyObject *object) const {
  auto pointer = choices_.empty() ? std::nullopt : pointerOf(object);
  auto found = pointer ? choices_.find(*pointer) : choices_.end();
  return found == choices_.end() ? nullptr : &found->second;
}

std::set<ValueId> OpaqueObjects::leaving() const {
  std::set<ValueId> values;
  for (const auto &[value, object] : known_)
    if (!object.sharesWithTensor())
      values.insert(value);
  return values;
}

bool OpaqueObjects::sharesNothing() const {
  return std::all_of(known_.begin(), known_.end(),
                     [](const auto &object) { return object.second.shared.empty(); });
}

} // namespace bifront
