#include "speculate/slot_reader.h"

#include "frontend/callbacks.h"
#include "frontend/numpy_data.h"
#include "speculate/guards.h"
#include "speculate/opaque_run.h"

namespace bifront {
namespace {

class SlotReader final : public Callback {
public:
  explicit SlotReader(const Slot &slot) : slot_(slot) {}

  bool isFor(const Slot &slot) const {
    return slot.object.get() == slot_.object.get() && slot.key.get() == slot_.key.get();
  }

  PyObject *call(PyObject *, PyObject *) override {
    PyRef value = valueIn(slot_);
    if (!value || (isNumpyArray(value.get()) && holdsObjects(value.get()))) {
      PyErr_SetString(PyExc_RuntimeError, "what an opaque call has changed is of another kind");
      return nullptr;
    }
    if (OpaqueRun *run = OpaqueRun::current(); run && isNumpyArray(value.get()))
      run->watch(value.get());
    return value.release();
  }

private:
  Slot slot_;
};

} // namespace

PyRef makeSlotReader(const Slot &slot) {
  return sharedCallable<SlotReader>([&](const SlotReader &other) { return other.isFor(slot); },
                                    [&] { return std::make_shared<SlotReader>(slot); });
}

} // namespace bifront
