#include "speculate/slot_reader.h"

#include "frontend/callbacks.h"
#include "frontend/numpy_data.h"
#include "frontend/python_error.h"
#include "speculate/guards.h"
#include "speculate/opaque_run.h"

#include <deque>

namespace bifront {
namespace {

class SlotReader final : public Callback {
public:
  explicit SlotReader(const Slot &slot) : slot_(slot) {}

  bool isFor(const Slot &slot) const {
    return slot.object.get() == slot_.object.get() && slot.key.get() == slot_.key.get();
  }

  PyObject *call(PyObject *, PyObject *) override {
    try {
      PyRef value = valueIn(slot_);
      if (!value || (isNumpyArray(value.get()) && holdsObjects(value.get())))
        PyErr_SetString(PyExc_RuntimeError, "what an opaque call has changed is of another kind");
      else if (OpaqueRun *run = OpaqueRun::current(); run && isNumpyArray(value.get()))
        run->watch(value.get());
      return PyErr_Occurred() ? nullptr : value.release();
    } catch (const PythonError &) {
      return nullptr;
    }
  }

private:
  Slot slot_;
};

} // namespace

// The same one each time: the paths of a graph have to agree on it.
PyRef makeSlotReader(const Slot &slot) {
  constexpr size_t kMost = 256;
  // Never destroyed: the interpreter ends before C++ statics do.
  static auto *known = new std::deque<PyRef>;
  for (const PyRef &other : *known)
    if (static_cast<SlotReader *>(callbackOf(other.get()))->isFor(slot))
      return other;
  known->push_front(checked(makeCallable(std::make_shared<SlotReader>(slot))));
  if (known->size() > kMost)
    known->pop_back();
  return known->front();
}

} // namespace bifront
